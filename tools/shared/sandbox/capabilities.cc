#include "tools/shared/sandbox/capabilities.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/shared/sandbox/every_thread.h"

namespace jvpn::sandbox {
namespace {

std::atomic<uint64_t> kept_bits{0};  ///< for reduce_own()
static_assert(std::atomic<uint64_t>::is_always_lock_free, "read by a signal handler");

/// Of the calling thread. Async-signal-safe.
bool reduce_own() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return false;
  const uint64_t kept = kept_bits.load(std::memory_order_relaxed);
  for (size_t half = 0; half < sets.size(); ++half) {
    const auto bits = static_cast<uint32_t>(kept >> (32 * half));
    sets[half].permitted &= bits;
    sets[half].effective &= bits;
    sets[half].inheritable = 0;
  }
  return syscall(SYS_capset, &header, sets.data()) == 0;
}

/// Of the thread whose folder that is; 0 when it has ended meanwhile.
uint64_t permitted(const std::filesystem::path& task) {
  static constexpr std::string_view kField = "CapPrm:";
  std::ifstream status(task / "status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kField)) continue;
    const size_t begin = std::min(line.find_first_not_of(" \t", kField.size()), line.size());
    uint64_t bits = ~uint64_t{0};
    std::from_chars(line.data() + begin, line.data() + line.size(), bits, 16);
    return bits;
  }
  return 0;
}

}  // namespace

Result<uint64_t> permitted_in_any_thread() {
  uint64_t bits = 0;
  std::error_code failed;
  std::filesystem::directory_iterator at("/proc/self/task", failed);
  for (; !failed && at != std::filesystem::directory_iterator(); at.increment(failed))
    bits |= permitted(at->path());
  if (failed) return Error{"/proc/self/task: " + failed.message()};
  return bits;
}

Result<void> keep_only(Capabilities kept) {
  kept_bits.store(kept.bits(), std::memory_order_relaxed);
  if (auto reduced = in_every_thread(reduce_own); !reduced) return reduced;
  const auto left = permitted_in_any_thread();
  if (!left) return left.error();
  if ((*left & ~kept.bits()) != 0) return Error{"a thread kept capabilities that it shouldn't"};
  return {};
}

}  // namespace jvpn::sandbox
