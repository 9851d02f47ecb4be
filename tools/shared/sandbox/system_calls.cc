#include "tools/shared/sandbox/system_calls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <memory>
#include <sstream>
#include <string_view>

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace jvpn::sandbox {
namespace {

/// Names, by what they are for. Not every libseccomp and architecture knows all of them.
constexpr auto kAllowed = std::to_array<std::string_view>({
    // files
    "access close close_range dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchmod "
    "fchmodat fchown fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents64 "
    "ioctl lseek lstat mkdir mkdirat newfstatat open openat pipe2 pread64 preadv pwrite64 "
    "pwritev read readlink readlinkat readv rename renameat renameat2 rmdir stat statfs statx "
    "sync_file_range umask unlink unlinkat utimensat write writev",
    // memory
    "brk get_mempolicy madvise mbind membarrier memfd_create mincore mlock mlock2 mlockall "
    "mremap msync munlock munmap set_mempolicy",
    // threads and time
    "clock_getres clock_gettime clock_nanosleep exit exit_group futex futex_waitv getcpu "
    "getitimer gettid gettimeofday nanosleep restart_syscall rseq sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler "
    "sched_setaffinity sched_yield setpriority set_robust_list set_tid_address time times",
    // signals
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "sigaltstack tgkill",
    // waiting
    "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd2 poll ppoll "
    "pselect6 "
    "select signalfd4 timerfd_create timerfd_gettime timerfd_settime",
    // the network
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg "
    "recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair",
    // itself
    "arch_prctl getegid geteuid getgid getpid getppid getrandom getresgid getresuid getrlimit "
    "getrusage getuid prlimit64 sysinfo uname",
});

constexpr uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr uint64_t kWriteAndRun = PROT_WRITE | PROT_EXEC;

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FreeFilter>;

std::string failure(const char* what, int status) {
  return std::string(what) + ": " + std::strerror(-status);
}

/// Adds rules, and remembers the first that was refused.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  void allow(const char* name) { add(SCMP_ACT_ALLOW, name, {}); }
  void allow(const char* name, scmp_arg_cmp only) { add(SCMP_ACT_ALLOW, name, {&only, 1}); }
  void fail(const char* name, uint32_t error) { add(SCMP_ACT_ERRNO(error), name, {}); }
  /// Empty: all were taken.
  const std::string& refused() const { return refused_; }

 private:
  void add(uint32_t action, const char* name, std::span<const scmp_arg_cmp> when) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;  // not of this architecture, or younger than libseccomp
    const int status = seccomp_rule_add_array(filter_, action, number,
                                              static_cast<unsigned>(when.size()), when.data());
    if (status != 0 && refused_.empty()) refused_ = failure(name, status);
  }

  scmp_filter_ctx filter_;
  std::string refused_;
};

/// No page can be written and run, nor one be made to run that could be written. (A file in memory
/// still can be written, then mapped to run: DPDK needs such files.)
void allow_memory(Rules& rules) {
  for (const uint64_t bits : {uint64_t{0}, uint64_t{PROT_WRITE}, uint64_t{PROT_EXEC}})
    rules.allow("mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, kWriteAndRun, bits));
  rules.allow("mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, uint64_t{PROT_EXEC}, 0));
}

/// Threads only. clone3's arguments can't be seen by a filter: the C library then takes clone.
void allow_threads(Rules& rules) {
  const uint64_t looked_at = kNewNamespaces | CLONE_THREAD;
  rules.allow("clone", SCMP_A0(SCMP_CMP_MASKED_EQ, looked_at, uint64_t{CLONE_THREAD}));
  rules.fail("clone3", ENOSYS);
}

/// Names of threads and of mappings.
void allow_own_names(Rules& rules) {
  static constexpr uint64_t kSetVma = 0x53564d41;  // PR_SET_VMA, prctl(2)
  for (const uint64_t what : {uint64_t{PR_SET_NAME}, uint64_t{PR_GET_NAME}, kSetVma})
    rules.allow("prctl", SCMP_A0(SCMP_CMP_EQ, what));
}

/// Async-signal-safe. The process ends by the signal as it would without us.
void on_refused(int signal, siginfo_t* info, void*) {
  static constexpr std::string_view kBefore = "ended: system call ";
  static constexpr std::string_view kAfter =
      " is none of those that this program makes once it has started (--sandbox, its --help)\n";
  std::array<char, kBefore.size() + 12 + kAfter.size()> line{};
  char* end = std::copy(kBefore.begin(), kBefore.end(), line.data());
  end = std::to_chars(end, end + 12, info->si_syscall).ptr;
  end = std::copy(kAfter.begin(), kAfter.end(), end);
  const auto bytes = static_cast<size_t>(end - line.data());
  if (write(STDERR_FILENO, line.data(), bytes) < 0) errno = 0;  // nobody is left to be told
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  syscall(SYS_tgkill, getpid(), gettid(), signal);
}

Result<void> name_what_is_refused() {
  struct sigaction action {};
  action.sa_sigaction = on_refused;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return errno_error("sigaction");
  return {};
}

}  // namespace

Result<void> restrict_system_calls(std::span<const char* const> more, Refusal refusal) {
  const uint32_t otherwise = refusal == Refusal::kEnd ? SCMP_ACT_TRAP : SCMP_ACT_LOG;
  const Filter filter(seccomp_init(otherwise));
  if (!filter) return Error{"seccomp_init: no memory"};
  if (const int status = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); status != 0)
    return Error{failure("one filter for all threads", status)};
  Rules rules(filter.get());
  for (const std::string_view group : kAllowed) {
    std::istringstream names{std::string(group)};
    for (std::string name; names >> name;) rules.allow(name.c_str());
  }
  for (const char* const name : more) rules.allow(name);
  allow_memory(rules);
  allow_threads(rules);
  allow_own_names(rules);
  if (!rules.refused().empty()) return Error{rules.refused()};
  if (auto named = name_what_is_refused(); !named) return named;
  if (const int status = seccomp_load(filter.get()); status != 0)
    return Error{failure("seccomp_load", status)};
  return {};
}

}  // namespace jvpn::sandbox
