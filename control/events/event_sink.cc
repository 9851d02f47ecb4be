#include "control/events/event_sink.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "common/assert.h"
#include "control/events/collector_sink.h"

namespace jvpn::events {
namespace {

constexpr int kWaitMs = 100;
constexpr mode_t kFileMode = 0640;

/// True also when it is broken: writing tells.
bool writable(int descriptor) {
  pollfd one{descriptor, POLLOUT, 0};
  return poll(&one, 1, kWaitMs) > 0;
}

/// As much as a pipe that is writable takes without blocking.
ssize_t write_some(int descriptor, std::string_view bytes, bool socket) {
  const size_t count = std::min<size_t>(bytes.size(), PIPE_BUF);
  return socket ? send(descriptor, bytes.data(), count, MSG_NOSIGNAL | MSG_DONTWAIT)
                : write(descriptor, bytes.data(), count);
}

class StdoutSink : public EventSink {
 public:
  Wrote write(std::string_view line) override { return send_line(STDOUT_FILENO, line, false); }
};

/// Appends, and opens the file anew when it isn't at its path any more.
class FileSink : public EventSink {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}
  ~FileSink() override { shut(); }

  Wrote write(std::string_view line) override {
    if (!in_place() && !reopen()) {
      const int why = errno;
      shut();
      return failed(why);
    }
    return send_line(file_, line, false);
  }

 private:
  void shut() {
    if (file_ >= 0) close(file_);
    file_ = -1;
    sent_ = 0;
  }

  bool in_place() const {
    struct stat there {};
    return file_ >= 0 && stat(path_.c_str(), &there) == 0 && there.st_dev == device_ &&
           there.st_ino == inode_;
  }

  /// A FIFO without a reader is refused rather than waited for.
  bool reopen() {
    shut();
    const bool torn = ends_within_a_line();
    file_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                 kFileMode);
    struct stat status {};
    if (file_ < 0 || fstat(file_, &status) != 0) return false;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    return !torn || ::write(file_, "\n", 1) == 1;
  }

  /// A program that ended at a full disk leaves that behind.
  bool ends_within_a_line() const {
    const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return false;
    struct stat status {};
    char last = '\n';
    const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    if (regular && status.st_size > 0 && pread(file, &last, 1, status.st_size - 1) != 1) last = 0;
    close(file);
    return last != '\n';
  }

  std::string path_;
  int file_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// Connects to a stream socket, again and again. A line that a reader got in part it gets whole
/// from the next connection.
class UnixSink : public EventSink {
 public:
  explicit UnixSink(std::string path) : path_(std::move(path)) {}
  ~UnixSink() override { shut(); }

  Wrote write(std::string_view line) override {
    if (socket_ < 0 && !dial()) {
      const int why = errno;
      shut();
      return failed(why);
    }
    const Wrote wrote = send_line(socket_, line, true);
    if (wrote == Wrote::kFailed) shut();
    return wrote;
  }

 private:
  void shut() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
    sent_ = 0;
  }

  bool dial() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    errno = ENAMETOOLONG;  // a relative path may have become so
    if (path_.size() >= sizeof address.sun_path) return false;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return socket_ >= 0 &&
           connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  std::string path_;
  int socket_ = -1;
};

/// One per process, as syslog(3) is. What the daemon doesn't take, libc drops without a word.
class SyslogSink : public EventSink {
 public:
  explicit SyslogSink(std::string program) : program_(std::move(program)) {
    openlog(program_.c_str(), LOG_PID, LOG_DAEMON);
  }
  ~SyslogSink() override { closelog(); }

  Wrote write(std::string_view line) override {
    line.remove_suffix(1);
    syslog(LOG_INFO, "%.*s", static_cast<int>(line.size()), line.data());
    return Wrote::kAll;
  }

 private:
  std::string program_;  // openlog() keeps the pointer
};

}  // namespace

Wrote EventSink::send_line(int descriptor, std::string_view line, bool socket) {
  JVPN_ASSERT(sent_ <= line.size(), "the line that was begun comes again until it is sent");
  while (sent_ < line.size()) {
    if (!writable(descriptor)) return Wrote::kBusy;
    const ssize_t wrote = write_some(descriptor, line.substr(sent_), socket);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) return Wrote::kBusy;
    if (wrote < 0) return failed(errno);
    sent_ += static_cast<size_t>(wrote);
  }
  sent_ = 0;
  return Wrote::kAll;
}

std::unique_ptr<EventSink> make_event_sink(const EventSinkProfile& profile,
                                           const std::string& program) {
  switch (profile.kind) {
    case EventSinkKind::kFile:
      return std::make_unique<FileSink>(profile.path);
    case EventSinkKind::kUnix:
      return std::make_unique<UnixSink>(profile.path);
    case EventSinkKind::kSyslog:
      return std::make_unique<SyslogSink>(program);
    case EventSinkKind::kCollector:
      return std::make_unique<CollectorSink>(profile.collector, SyslogSender{program, getpid()});
    case EventSinkKind::kStdout:
      break;
  }
  return std::make_unique<StdoutSink>();
}

}  // namespace jvpn::events
