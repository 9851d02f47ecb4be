#include "control/files/whole_file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"

namespace jvpn::files {
namespace {

Error unwritten(const std::string& path, const char* doing) {
  const char* const mend = errno == EEXIST   ? " (remove or rename it first)"
                           : errno == EACCES ? " (try as root)"
                                             : "";
  return Error{fmt::format("{}: can't {}: {}{}", path, doing, std::strerror(errno), mend)};
}

std::string parent_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = write(descriptor, text.data(), text.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return false;
    text.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

/// A name in a folder is kept by the disk when the folder is.
Result<void> keep_folder(const std::string& path) {
  const FileDescriptor folder(open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || fsync(folder.get()) != 0) return unwritten(path, "keep its folder");
  return {};
}

}  // namespace

Result<void> write_whole(const std::string& path, std::string_view text, mode_t mode,
                         Existing existing) {
  const std::string name = std::filesystem::path(path).filename().string();
  std::string beside = fmt::format("{}/.{}.XXXXXX", parent_of(path), name);
  const FileDescriptor file(mkostemp(beside.data(), O_CLOEXEC));  // mode 0600
  if (!file) return unwritten(path, "write beside it");
  const bool written =
      write_all(file.get(), text) && fchmod(file.get(), mode) == 0 && fsync(file.get()) == 0;
  const unsigned flags = existing == Existing::kKeep ? RENAME_NOREPLACE : 0U;
  const bool moved =
      written && renameat2(AT_FDCWD, beside.c_str(), AT_FDCWD, path.c_str(), flags) == 0;
  if (!moved) {
    const Error error = unwritten(path, written ? "move it there" : "write it");
    unlink(beside.c_str());
    return error;
  }
  return keep_folder(path);
}

Result<void> remove_file(const std::string& path) {
  if (unlink(path.c_str()) == 0) return keep_folder(path);
  if (errno == ENOENT) return {};
  return unwritten(path, "remove it");
}

}  // namespace jvpn::files
