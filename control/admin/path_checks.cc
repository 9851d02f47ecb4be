#include "control/admin/path_checks.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "control/files/private_file.h"

namespace jvpn::admin {
namespace {

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// Why nothing can be made in a folder; nothing when it can.
std::optional<std::string> barred(const std::string& folder) {
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0) return fmt::format("{} ({})", std::strerror(errno), folder);
  if (!S_ISDIR(info.st_mode)) return fmt::format("no folder ({})", folder);
  if (access(folder.c_str(), W_OK | X_OK) == 0) return std::nullopt;
  return fmt::format("{} ({})", std::strerror(errno), folder);
}

/// The same for a file that is appended to, or made when it isn't there.
std::optional<std::string> unappendable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return barred(folder_of(path));
    return fmt::format("{} ({})", std::strerror(errno), path);
  }
  if (S_ISDIR(info.st_mode)) return fmt::format("a folder ({})", path);
  if (access(path.c_str(), W_OK) == 0) return std::nullopt;
  return fmt::format("{} ({})", std::strerror(errno), path);
}

/// A socket's own folder is made when it is missing.
std::optional<std::string> unbindable(const std::string& path) {
  const std::string folder = folder_of(path);
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0 && errno == ENOENT) return barred(folder_of(folder));
  return barred(folder);
}

/// Why a folder can't be a gateway's alone; nothing when it is, or can be made.
std::optional<std::string> unkeepable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 && errno == ENOENT) return barred(folder_of(path));
  if (auto why = barred(path)) return why;
  if (info.st_uid != geteuid()) return fmt::format("one of uid {} ({})", info.st_uid, path);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fmt::format("mode {:04o} (chmod 0700 {})", info.st_mode & 07777, path);
  return std::nullopt;
}

/// Why keys can't be logged there; nothing when they can.
std::optional<std::string> unfit_for_keys(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 && errno == ENOENT) return barred(folder_of(path));
  // Non-blocking, so that a FIFO in the file's place can't hold the program up.
  const FileDescriptor there(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!there)
    return fmt::format("{} ({})", errno == ELOOP ? "a symbolic link" : std::strerror(errno), path);
  const auto wrong = files::privacy_trouble(there.get());
  if (!wrong) return std::nullopt;
  return fmt::format("{} ({}; remove it, and a new one is made)", wrong->got, path);
}

}  // namespace

std::vector<std::string> check_key_log(const FileReference& log, const std::string& file) {
  if (log.path.empty()) return {};
  const auto why = unfit_for_keys(log.path);
  if (!why) return {};
  return {profile_finding(file, log.place, log.key,
                          "a file with mode 0600, or a folder where one can be made", *why)};
}

std::vector<std::string> check_ca_file(const FileReference& ca, const std::string& file) {
  if (ca.path.empty() || access(ca.path.c_str(), R_OK) == 0) return {};
  return {profile_finding(file, ca.place, ca.key, "a readable file of certificates in PEM",
                          fmt::format("{} ({})", std::strerror(errno), ca.path))};
}

std::vector<std::string> check_state(const StateProfile& state, const std::string& file) {
  if (state.directory.empty() || state.place.line == 0) return {};
  const auto why = unkeepable(state.directory);
  if (!why) return {};
  return {profile_finding(file, state.place, "state_dir",
                          "none, or a folder of jvpnd's user alone, which is there or can be made",
                          *why)};
}

std::vector<std::string> check_paths(const EventsProfile& events, const AdminProfile& admin,
                                     const std::string& file) {
  std::vector<std::string> findings;
  for (const EventSinkProfile& sink : events.sinks) {
    if (sink.kind != EventSinkKind::kFile) continue;
    if (const auto why = unappendable(sink.path))
      findings.push_back(
          profile_finding(file, sink.place, sink.key, "a file that can be appended to", *why));
  }
  if (const auto why = unbindable(admin.socket))
    findings.push_back(profile_finding(file, admin.place, "admin.socket",
                                       "a socket in a folder that is there, or can be made", *why));
  return findings;
}

}  // namespace jvpn::admin
