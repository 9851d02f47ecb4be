#include "control/admin/path_checks.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

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

}  // namespace

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
