#include "tools/shared/sandbox/files.h"

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "tools/shared/sandbox/every_thread.h"

namespace jvpn::sandbox {
namespace {

constexpr uint64_t kTruncate = uint64_t{1} << 14;  // younger than Debian 12's header
constexpr uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

std::atomic<int> wanted_rules{-1};  ///< for restrict_own()

/// The calling thread, and those that it makes. Async-signal-safe.
bool restrict_own() {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_landlock_restrict_self, wanted_rules.load(std::memory_order_relaxed), 0) == 0;
}

/// Of the kernel; 0: it has none.
Result<long> landlock_version() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version >= 0) return version;
  if (errno == ENOSYS || errno == EOPNOTSUPP) return 0;
  return errno_error("landlock_create_ruleset");
}

Result<void> allow_beneath(int ruleset, const std::string& directory, uint64_t access) {
  const FileDescriptor at(open(directory.c_str(), O_PATH | O_CLOEXEC | O_DIRECTORY));
  if (!at && errno == ENOENT) return {};
  if (!at) return errno_error(directory);
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access;
  rule.parent_fd = at.get();
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return errno_error(directory);
  return {};
}

}  // namespace

Result<bool> write_only_beneath(const std::vector<std::string>& directories) {
  const auto version = landlock_version();
  if (!version) return version.error();
  if (*version < 1) return false;
  const uint64_t writes = *version < 3 ? kWrite : kWrite | kTruncate;
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = writes | LANDLOCK_ACCESS_FS_EXECUTE;
  const FileDescriptor ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset) return errno_error("landlock_create_ruleset");
  for (const std::string& directory : directories) {
    if (auto allowed = allow_beneath(ruleset.get(), directory, writes); !allowed)
      return allowed.error();
  }
  wanted_rules.store(ruleset.get(), std::memory_order_relaxed);
  const auto restricted = in_every_thread(restrict_own);
  wanted_rules.store(-1, std::memory_order_relaxed);
  if (!restricted) return restricted.error();
  return true;
}

}  // namespace jvpn::sandbox
