#include "tools/jvpn/keys.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

#include "common/noise.h"
#include "common/profile.h"
#include "common/secret.h"
#include "control/session/system_sources.h"

namespace jvpn {
namespace {

constexpr int kFailed = 1;
constexpr size_t kLargestInput = 128;  // 44 characters and some white space

void warn_if_others_may_read_output() {
  struct stat info {};
  if (fstat(STDOUT_FILENO, &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 077) == 0) {
    return;
  }
  std::fprintf(stderr,
               "jvpn: warning: writing a secret to a file with mode %04o; others may read it.\n"
               "      Mend: chmod 0600 FILE, and umask 077 before the next one.\n",
               static_cast<unsigned>(info.st_mode & 07777));
}

/// One line to standard output, unbuffered, so that no copy of a secret stays in stdio.
int print_line(std::string line) {
  line += '\n';
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t bytes = write(STDOUT_FILENO, line.data() + written, line.size() - written);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    written += static_cast<size_t>(bytes);
  }
  const bool whole = written == line.size();
  if (!whole) std::fprintf(stderr, "jvpn: can't write the key: %s\n", std::strerror(errno));
  wipe(line.data(), line.size());
  return whole ? 0 : kFailed;
}

int print_secret(const Secret<32>& secret) {
  warn_if_others_may_read_output();
  return print_line(key_to_base64(secret.bytes()));
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Fills `buffer` from standard input up to its end; the number of bytes, or -1.
ssize_t read_input(std::array<char, kLargestInput>& buffer) {
  size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t bytes = read(STDIN_FILENO, buffer.data() + filled, buffer.size() - filled);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return -1;
    if (bytes == 0) break;
    filled += static_cast<size_t>(bytes);
  }
  return static_cast<ssize_t>(filled);
}

}  // namespace

int run_genkey() {
  return print_secret(generate_secret_key());
}

int run_genpsk() {
  Secret<32> secret;
  session::fill_random(secret.bytes());
  return print_secret(secret);
}

int run_pubkey() {
  std::array<char, kLargestInput> buffer;
  const ssize_t bytes = read_input(buffer);
  std::string_view text(buffer.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  auto decoded = key_from_base64(text);
  wipe(buffer.data(), buffer.size());
  if (!decoded) {
    std::fprintf(stderr,
                 "jvpn: expected a private key of 32 bytes in base64 on standard input, "
                 "as from jvpn genkey\n");
    return kFailed;
  }
  const SecretKey secret(*decoded);
  wipe(decoded->data(), decoded->size());
  return print_line(key_to_base64(public_key_of(secret)));
}

}  // namespace jvpn
