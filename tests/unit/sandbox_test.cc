// What a program can't do any more once it has given up its privileges. Each case in a process of
// its own, because there is no way back.
#include "tools/shared/sandbox/sandbox.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "tools/shared/sandbox/files.h"

namespace jvpn::sandbox {
namespace {

/// How a child ended, and what it wrote to stderr.
struct Ended {
  int status = 0;
  std::string told;

  bool well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  bool by(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
};

/// `run` says whether all went as it should.
Ended in_child(const std::function<bool()>& run) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    _exit(run() ? 0 : 1);
  }
  close(ends[1]);
  const FileDescriptor reads(ends[0]);
  Ended ended;
  std::array<char, 512> bytes{};
  for (ssize_t got = 0; (got = read(ends[0], bytes.data(), bytes.size())) > 0;)
    ended.told.append(bytes.data(), static_cast<size_t>(got));
  EXPECT_EQ(waitpid(child, &ended.status, 0), child);
  return ended;
}

bool restricted(Refusal refusal = Refusal::kEnd) {
  return restrict_system_calls({}, refusal).ok();
}

TEST(Sandbox, ProgramsDoTheirWork) {
  const Ended ended = in_child([] {
    if (!restricted()) return false;
    std::atomic<bool> ran{false};
    std::thread([&ran] { ran = true; }).join();
    const FileDescriptor file(open("/proc/self/status", O_RDONLY));
    const FileDescriptor udp(socket(AF_INET, SOCK_DGRAM, 0));
    const auto memory = std::make_unique<std::array<char, size_t{1} << 22>>();
    return ran && file && udp && memory != nullptr;
  });
  EXPECT_TRUE(ended.well()) << ended.told;
}

struct Forbidden {
  const char* what;
  int number;
  void (*call)();
};

class ForbiddenCall : public testing::TestWithParam<Forbidden> {};

TEST_P(ForbiddenCall, EndsTheProgramAndIsNamed) {
  const Ended ended = in_child([] {
    if (restricted()) GetParam().call();
    return true;
  });
  EXPECT_TRUE(ended.by(SIGSYS)) << ended.status;
  EXPECT_NE(ended.told.find("system call " + std::to_string(GetParam().number) + " "),
            std::string::npos)
      << ended.told;
}

/// Nothing is lost when one of them is carried out after all: none of it reaches beyond the child.
INSTANTIATE_TEST_SUITE_P(
    Sandbox, ForbiddenCall,
    testing::Values(Forbidden{"execve", SYS_execve, [] { execl("/bin/true", "true", nullptr); }},
                    // glibc 2.41's fork() blocks all signals, so nothing could be told.
                    Forbidden{"fork", SYS_clone,
                              [] {
                                if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) _exit(0);
                              }},
                    Forbidden{"unshare", SYS_unshare, [] { unshare(CLONE_NEWUTS); }},
                    Forbidden{"ptrace", SYS_ptrace, [] { syscall(SYS_ptrace, 0, 0, 0, 0); }},
                    Forbidden{"setuid", SYS_setuid, [] { syscall(SYS_setuid, 0); }},
                    Forbidden{"bpf", SYS_bpf, [] { syscall(SYS_bpf, 0, nullptr, 0); }},
                    Forbidden{"dumpable", SYS_prctl, [] { syscall(SYS_prctl, 4, 1, 0, 0, 0); }},
                    Forbidden{"run what was written", SYS_mprotect,
                              [] {
                                void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                                mprotect(page, 4096, PROT_READ | PROT_EXEC);
                              }},
                    Forbidden{"write and run", SYS_mmap,
                              [] {
                                mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                              }}),
    [](const auto& each) {
      std::string name = each.param.what;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST(Sandbox, AnOlderThreadIsRestrictedToo) {
  const Ended ended = in_child([] {
    std::atomic<bool> go{false};
    std::thread older([&go] {
      while (!go) std::this_thread::yield();
      execl("/bin/true", "true", nullptr);
    });
    const bool done = restricted();
    go = done;
    older.join();
    return false;
  });
  EXPECT_TRUE(ended.by(SIGSYS)) << ended.status;
}

TEST(Sandbox, WhatIsAskedForIsAllowed) {
  const Ended ended = in_child([] {
    const std::array more{"bpf"};
    return restrict_system_calls(more, Refusal::kEnd).ok() &&
           syscall(SYS_bpf, ~0U, nullptr, 0) == -1;
  });
  EXPECT_TRUE(ended.well()) << ended.told;
}

TEST(Sandbox, ALogOnlyTells) {
  const Ended ended =
      in_child([] { return restricted(Refusal::kLog) && syscall(SYS_getpgid, 0) > 0; });
  EXPECT_TRUE(ended.well()) << ended.told;
}

/// Also in a thread that is older than the restriction, and one that is younger.
TEST(Sandbox, FilesAreWrittenInItsFoldersAlone) {
  const std::string folder = testing::TempDir() + "/sandbox-" + std::to_string(getpid());
  for (const char* each : {"", "/own", "/other"})
    ASSERT_EQ(mkdir((folder + each).c_str(), 0700), 0);
  const Ended ended = in_child([&folder] {
    const auto writes = [&folder](const char* where) {
      return static_cast<bool>(
          FileDescriptor(open((folder + where).c_str(), O_WRONLY | O_CREAT, 0600)));
    };
    const auto bounded = [&] { return writes("/own/file") && !writes("/other/file"); };
    bool older = false;
    std::atomic<bool> go{false};
    std::thread thread([&] {
      while (!go) std::this_thread::yield();
      older = bounded();
    });
    const auto restricted = write_only_beneath({folder + "/own", folder + "/isn't there"});
    go = true;
    thread.join();
    bool younger = false;
    std::thread([&] { younger = bounded(); }).join();
    const bool reads = static_cast<bool>(FileDescriptor(open("/etc/passwd", O_RDONLY)));
    const bool has_landlock = restricted.ok() && *restricted;
    return !has_landlock || (older && younger && bounded() && reads);
  });
  EXPECT_TRUE(ended.well()) << ended.told;
  std::filesystem::remove_all(folder);
}

TEST(Sandbox, EveryThreadKeepsTheNamedCapabilitiesAtMost) {
  const auto had = permitted_in_any_thread();
  ASSERT_TRUE(had.ok());
  const Capabilities kept{CAP_NET_ADMIN};
  const Ended ended = in_child([&kept] {
    std::atomic<bool> stop{false};
    std::thread older([&stop] {
      while (!stop) std::this_thread::yield();
    });
    const bool done = keep_only(kept).ok();
    const auto left = permitted_in_any_thread();
    stop = true;
    older.join();
    return done && left && (*left & ~kept.bits()) == 0;
  });
  EXPECT_TRUE(ended.well()) << ended.told;
  EXPECT_EQ(*permitted_in_any_thread(), *had) << "the child's are its own";
}

TEST(Sandbox, AThreadThatTakesNoSignalIsAnError) {
  const auto had = permitted_in_any_thread();
  ASSERT_TRUE(had.ok());
  if (*had == 0) GTEST_SKIP() << "there is nothing to give up";
  const Ended ended = in_child([] {
    sigset_t all;
    sigfillset(&all);
    std::atomic<bool> deaf{false};
    std::atomic<bool> stop{false};
    std::thread older([&] {
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
      deaf = true;
      while (!stop) std::this_thread::yield();
    });
    while (!deaf) std::this_thread::yield();
    const auto done = keep_only(Capabilities{CAP_NET_ADMIN});
    stop = true;
    older.join();
    return !done && done.error().message.find("takes no signal") != std::string::npos;
  });
  EXPECT_TRUE(ended.well()) << ended.told;
}

}  // namespace
}  // namespace jvpn::sandbox
