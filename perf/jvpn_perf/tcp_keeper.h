// One TCP connection through the tunnel that has to survive: numbered messages go to the other end,
// which echoes them. One thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "common/result.h"
#include "tools/shared/file_descriptor.h"

namespace jvpn::perf {

struct TcpOptions {
  std::string from;  ///< network namespace of the end that connects
  std::string to;
  std::string address;
  uint16_t port = 0;
};

class TcpKeeper {
 public:
  /// Connects, within 5 s, and begins.
  static Result<std::unique_ptr<TcpKeeper>> start(const TcpOptions& options);
  ~TcpKeeper();
  TcpKeeper(const TcpKeeper&) = delete;
  TcpKeeper& operator=(const TcpKeeper&) = delete;

  /// Messages that came back, each once and in order.
  uint64_t echoed() const { return echoed_.load(); }
  /// The connection ended, or something else came back than was sent.
  bool broken() const { return broken_.load(); }

 private:
  explicit TcpKeeper(const TcpOptions& options) : options_(options) {}
  Result<void> open();
  void run();
  bool send_next();
  bool echo();
  bool take_echoes();

  TcpOptions options_;
  FileDescriptor near_;  ///< the end that connected
  FileDescriptor far_;
  uint64_t sent_ = 0;
  std::string pending_;  ///< of a message that hasn't come back whole
  std::atomic<uint64_t> echoed_{0};
  std::atomic<bool> broken_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace jvpn::perf
