#include "control/admin/key_log.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/profile.h"
#include "common/secret.h"
#include "control/files/private_file.h"

namespace jvpn::admin {
namespace {

constexpr mode_t kLogMode = 0600;
constexpr size_t kLongestKeyLine = 384;  // two keys of 32 bytes, and what stands around them

/// A line as it grows; its memory is wiped when it goes.
class KeyLine {
 public:
  KeyLine() = default;
  KeyLine(const KeyLine&) = delete;
  KeyLine& operator=(const KeyLine&) = delete;
  ~KeyLine() { wipe(text_.data(), text_.size()); }

  void add(std::string_view word) {
    JVPN_ASSERT(size_ + word.size() <= text_.size(), "a line has room for all that it can hold");
    std::memcpy(text_.data() + size_, word.data(), word.size());
    size_ += word.size();
  }
  void add_hex(std::span<const uint8_t> bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    for (const uint8_t byte : bytes) {
      add({&kDigits[byte >> 4], 1});
      add({&kDigits[byte & 15], 1});
    }
  }
  /// Numbers stand as people write them.
  void add_number(uint64_t number, unsigned bytes) {
    std::array<uint8_t, sizeof number> big_endian;
    for (unsigned i = 0; i < bytes; ++i)
      big_endian[i] = static_cast<uint8_t>(number >> 8 * (bytes - 1 - i));
    add_hex(std::span(big_endian).first(bytes));
    wipe(big_endian.data(), big_endian.size());
  }
  void add_key(Suite suite, const RawKey& key, uint64_t mask) {
    add(" ");
    add_hex(std::span(key).first(key_bytes(suite)));
    add(" ");
    add_hex(std::span(key).subspan<kAeadKeyBytes>());
    add(" ");
    add_number(mask, sizeof mask);
  }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, kLongestKeyLine> text_;
  size_t size_ = 0;
};

void begin_line(KeyLine& line, ReceiverIndex index, Suite suite) {
  line.add("jvp1 ");
  line.add_number(index.value, sizeof index.value);
  line.add(" ");
  line.add(to_string(suite));
}

/// What is wrong with the file that was opened; nothing: keys may stand in it.
std::optional<files::Unfit> unfit_for_log(int fd) {
  if (auto wrong = files::privacy_trouble(fd)) return wrong;
  struct stat info {};
  if (fstat(fd, &info) != 0) return files::Unfit{"a readable file", std::strerror(errno)};
  if (info.st_uid != geteuid())
    return files::Unfit{fmt::format("a file of uid {}", geteuid()),
                        fmt::format("one of uid {}", info.st_uid)};
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<KeyLog>> KeyLog::open(const std::string& path, News news) {
  if (path.empty()) return std::unique_ptr<KeyLog>();
  // Non-blocking, so that a FIFO in the file's place can't hold the program up.
  FileDescriptor file(::open(
      path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
      kLogMode));
  if (!file)
    return Error{fmt::format("crypto.key_log_file: {}: can't write keys there: {}", path,
                             errno == ELOOP ? "it is a symbolic link" : std::strerror(errno))};
  if (const auto wrong = unfit_for_log(file.get()))
    return Error{fmt::format(
        "crypto.key_log_file: {}: expected {}, got {}; remove it, and a new one is made", path,
        wrong->expected, wrong->got)};
  news(
      fmt::format("keys are written to {} (crypto.key_log_file): whoever reads it reads all "
                  "traffic",
                  path));
  return std::unique_ptr<KeyLog>(new KeyLog(std::move(file), path, std::move(news)));
}

KeyLog::KeyLog(FileDescriptor file, std::string path, News news)
    : file_(std::move(file)), path_(std::move(path)), news_(std::move(news)) {
  struct stat info {};
  char last = '\n';
  if (::fstat(file_.get(), &info) == 0 && info.st_size > 0)
    torn_ = ::pread(file_.get(), &last, 1, info.st_size - 1) == 1 && last != '\n';
}

void KeyLog::write(const session::Effects& effects) {
  for (const session::Effect& effect : effects.list()) {
    if (const auto* const rx = std::get_if<session::RxInstall>(&effect)) {
      KeyLine line;
      begin_line(line, rx->index, rx->suite);
      line.add_key(rx->suite, rx->traffic_key, rx->data_mask);
      line.add_key(rx->suite, rx->control_key, rx->control_mask);
      line.add("\n");
      append(line.text());
    } else if (const auto* const tx = std::get_if<session::TxInstall>(&effect)) {
      KeyLine line;
      begin_line(line, tx->peer_index, tx->suite);
      line.add_key(tx->suite, tx->traffic_key, tx->data_mask);
      line.add(" - - -\n");
      append(line.text());
    }
  }
}

// A part of a line is no key: readers pass over it, so the next one must not stand behind it.
void KeyLog::append(std::string_view line) {
  char newline[] = "\n";
  const size_t before = torn_ ? 1 : 0;
  const std::array<iovec, 2> parts{iovec{newline, before},
                                   iovec{const_cast<char*>(line.data()), line.size()}};
  ssize_t written = 0;
  do {
    written = ::writev(file_.get(), parts.data(), parts.size());
  } while (written < 0 && errno == EINTR);
  const bool whole = written == static_cast<ssize_t>(before + line.size());
  if (written > 0) torn_ = !whole && written != static_cast<ssize_t>(before);
  if (whole || failed_) return;
  failed_ = true;
  news_(fmt::format("{}: keys aren't written any more: {}; packets under them can't be read", path_,
                    written < 0 ? std::strerror(errno) : "no room"));
}

}  // namespace jvpn::admin
