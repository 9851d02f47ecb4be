#include "control/files/private_file.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/stat.h>

namespace jvpn::files {
namespace {

const char* kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

std::optional<Unfit> privacy_trouble(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return Unfit{"a readable file", std::strerror(errno)};
  if (!S_ISREG(info.st_mode)) return Unfit{"a regular file", kind_of_file(info.st_mode)};
  if ((info.st_mode & 077) != 0) {
    return Unfit{"a file with mode 0600", fmt::format("mode {:04o}", info.st_mode & 07777)};
  }
  return std::nullopt;
}

}  // namespace jvpn::files
