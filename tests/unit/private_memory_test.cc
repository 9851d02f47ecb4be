#include "tools/shared/private_memory.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace jvpn {
namespace {

long locked_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long value = 0;
    if (word == "VmLck:" && status >> value) return value;
  }
  return -1;
}

/// What is wrong after keep_memory_private(); 0: nothing.
int faults() {
  if (!keep_memory_private().empty()) return 1;
  rlimit core{1, 1};
  if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) return 2;
  if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 3;
#ifdef __SANITIZE_ADDRESS__
  return 0;  // AddressSanitizer lets mlockall() do nothing
#endif
  return locked_kilobytes() > 0 ? 0 : 4;
}

// In a process of its own: it can't be taken back.
TEST(PrivateMemory, NoCoreFileNoDebuggerNoSwap) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(faults());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A limit that doesn't let all be locked is told, not passed over.
TEST(PrivateMemory, RefusalIsTold) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer lets mlockall() do nothing";
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit page{4'096, 4'096};
    constexpr uid_t kNobody = 65'534;
    if (setrlimit(RLIMIT_MEMLOCK, &page) != 0 || setuid(kNobody) != 0) _exit(2);
    _exit(keep_memory_private().find("LimitMEMLOCK") == std::string::npos ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace jvpn
