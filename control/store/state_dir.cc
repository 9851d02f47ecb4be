#include "control/store/state_dir.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace jvpn::store {
namespace {

constexpr const char* kSessions = "sessions.db";
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

std::string reason() {
  return std::strerror(errno);
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

/// Of a directory that is there.
std::string trouble_with(const std::string& path, const struct stat& info) {
  if (!S_ISDIR(info.st_mode)) return path + " is no directory";
  if (info.st_uid != geteuid())
    return fmt::format("{} belongs to another user (uid {}): chown it to uid {}", path, info.st_uid,
                       geteuid());
  if ((info.st_mode & kOthers) != 0)
    return fmt::format("{} is open to others (mode {:04o}): chmod 0700 {}", path,
                       info.st_mode & 07777, path);
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) return path + ": " + reason();
  return {};
}

}  // namespace

std::string state_dir_trouble(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return trouble_with(path, info);
  if (errno != ENOENT) return path + ": " + reason();
  const std::string parent = parent_of(path);
  if (stat(parent.c_str(), &info) != 0) return parent + ": " + reason();
  if (!S_ISDIR(info.st_mode)) return parent + " is no directory";
  return access(parent.c_str(), W_OK | X_OK) == 0 ? std::string() : parent + ": " + reason();
}

Result<StateDir> StateDir::open(const std::string& path) {
  if (mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    return Error{fmt::format("can't make the state directory {}: {}", path, reason())};
  if (const std::string trouble = state_dir_trouble(path); !trouble.empty())
    return Error{"state directory: " + trouble};
  const std::string name = path + "/lock";
  FileDescriptor lock(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return Error{name + ": " + reason()};
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Error{
          fmt::format("another jvpnd uses the state directory {}: give each its own", path)};
    return Error{name + ": " + reason()};
  }
  return StateDir(path, std::move(lock));
}

Result<std::array<uint8_t, 16>> StateDir::instance(const std::array<uint8_t, 16>& fresh) const {
  const std::string name = path_ + "/instance";
  std::array<uint8_t, 16> named{};
  FileDescriptor there(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (there && read(there.get(), named.data(), named.size()) == static_cast<ssize_t>(named.size()))
    return named;
  // Missing, or cut short by a crash: whoever finds another name waits for the safe time.
  FileDescriptor made(
      ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      made && write(made.get(), fresh.data(), fresh.size()) == static_cast<ssize_t>(fresh.size());
  if (!written || fsync(made.get()) != 0) return Error{name + ": " + reason()};
  return fresh;
}

Result<std::unique_ptr<SessionDb>> StateDir::open_sessions(const RecordKey& key,
                                                           const StoreTime& now,
                                                           const News& news) const {
  const mode_t before = umask(kOthers);  // SQLite makes its files as the umask lets it
  const std::string file = path_ + "/" + kSessions;
  auto opened = SessionDb::open(file, key, now);
  if (!opened && opened.error().kind == OpenError::Kind::kForeign) {
    const auto aside = set_aside(file, now.wall_ms);
    if (aside) {
      news(
          fmt::format("{}; it is kept as {}, and an empty one is begun: sessions in it can't be "
                      "resumed",
                      opened.error().message, *aside));
      opened = SessionDb::open(file, key, now);
    } else {
      opened = OpenError{OpenError::Kind::kUnusable,
                         opened.error().message + "; " + aside.error().message};
    }
  }
  umask(before);
  if (!opened) return Error{opened.error().message};
  return std::move(*opened);
}

/// With its log: the two are one database.
Result<std::string> StateDir::set_aside(const std::string& file, uint64_t wall_ms) const {
  const std::string aside = fmt::format("{}.refused-{}", file, wall_ms);
  for (const char* part : {"-wal", "-shm", ""}) {
    const std::string from = file + part;
    const std::string to = aside + part;
    if (access(to.c_str(), F_OK) == 0) return Error{to + " is there already"};
    if (std::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT)
      return Error{fmt::format("can't rename {} to {}: {}", from, to, reason())};
  }
  return aside;
}

}  // namespace jvpn::store
