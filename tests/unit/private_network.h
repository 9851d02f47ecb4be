// A real kernel's network in a namespace of the test's own. Skipped without the right to make one.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace jvpn {

inline std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return text;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) text += line;
  ::pclose(pipe);
  return text;
}

/// lo, and wan0 with addresses and a default route. The kernel finishes IPv6 in the background:
/// waits for it, so that snapshots taken later differ by what the test does alone.
inline bool bring_up() {
  output_of(
      "ip link set lo up; ip link add wan0 type veth peer name far0; "
      "sysctl -qw net.ipv6.conf.far0.disable_ipv6=1; ip link set wan0 addrgenmode none; "
      "ip link set far0 up; ip link set wan0 up; ip addr add 192.0.2.2/24 dev wan0; "
      "ip addr add 2001:db8::2/64 dev wan0 nodad; ip route add default via 192.0.2.9");
  for (int i = 0; i < 100; ++i) {
    const std::string local = output_of("ip -6 route show table local");
    if (local.find("2001:db8::2") != std::string::npos &&
        local.find("ff00::/8") != std::string::npos)
      return true;
    ::usleep(20'000);
  }
  return false;
}

/// Runs `body` in a child process with a network namespace of its own, so that nothing stays
/// behind. The child's exit status is the number of its failed expectations; 77: no right to make
/// one.
class PrivateNetwork : public testing::Test {
 protected:
  static void run(const std::function<void()>& body) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(77);
      EXPECT_TRUE(bring_up()) << "the namespace's own network didn't come up";
      body();
      ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "the child crashed";
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs root for a network namespace";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
};

}  // namespace jvpn
