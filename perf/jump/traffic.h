// The traffic of `jvpn-perf jump` through the tunnel: a probe stream for each direction, and a TCP
// connection. Each has threads of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <sys/socket.h>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "perf/jump/clock.h"

namespace jvpn::perf {

/// Between two network namespaces.
struct TrafficEnds {
  std::string from;
  std::string to;
  std::string address;  ///< in `to`
  uint16_t port = 0;
};

/// What became of the packets sent in a span of time.
struct Delivery {
  uint64_t offered = 0;
  uint64_t lost = 0;
  Nanos longest_gap = 0;  ///< between two arrivals, the last one before the span included
  Nanos first_lost = 0;   ///< when it was sent; 0: none
  Nanos last_lost = 0;
};

/// UDP packets at a steady rate, and what became of each.
class ProbeStream {
 public:
  /// Sends `rate` packets of `bytes` a second from now on.
  static Result<std::unique_ptr<ProbeStream>> start(const TrafficEnds& ends, unsigned rate,
                                                    unsigned bytes);
  /// Ends the sender; what is on its way still counts as it arrives.
  void stop_sending();

  /// Of the packets sent in [from, to). One that hasn't arrived yet counts as lost.
  Delivery delivery(Nanos from, Nanos to) const;
  /// The last `count` packets that are older than `age` were sent after `since` and have all
  /// arrived.
  bool flows(size_t count, Nanos age, Nanos since = 0) const;
  uint64_t duplicates() const { return duplicates_.load(); }

 private:
  struct Probe {
    Nanos sent = 0;
    Nanos arrived = 0;  ///< 0: not yet
  };
  ProbeStream(unsigned rate, unsigned bytes) : rate_(rate), bytes_(bytes) {}
  Result<void> open(const TrafficEnds& ends);
  void send_all(const std::stop_token& stop);
  void receive_all(const std::stop_token& stop);
  void take(uint64_t number, Nanos arrived);

  unsigned rate_;
  unsigned bytes_;
  FileDescriptor out_;
  FileDescriptor in_;
  mutable std::mutex mutex_;  ///< of probes_
  std::deque<Probe> probes_;  ///< by number
  std::atomic<uint64_t> duplicates_{0};
  std::jthread receiver_;
  std::jthread sender_;
};

/// One TCP connection that has to survive: numbered messages go to the other end, which echoes
/// them.
class TcpKeeper {
 public:
  /// Connects, within 5 s, and begins.
  static Result<std::unique_ptr<TcpKeeper>> start(const TrafficEnds& ends);

  /// Messages that came back, each once and in order.
  uint64_t echoed() const { return echoed_.load(); }
  /// The connection ended, or something else came back than was sent.
  bool broken() const { return broken_.load(); }

 private:
  Result<void> open(const TrafficEnds& ends);
  void run(const std::stop_token& stop);
  bool send_next();
  bool echo();
  bool take_echoes();

  FileDescriptor near_;  ///< the end that connected
  FileDescriptor far_;
  uint64_t sent_ = 0;
  std::string pending_;  ///< of a message that hasn't come back whole
  std::atomic<uint64_t> echoed_{0};
  std::atomic<bool> broken_{false};
  std::jthread thread_;
};

/// When the kernel received the packet of this message header; now, if it doesn't say.
Nanos arrival_of(const msghdr& header);

/// Runs `body` on a thread of its own inside /run/netns/`name`, and waits for it. A socket stays in
/// the namespace that it was made in, so only the making of it needs this.
Result<void> in_namespace(const std::string& name, const std::function<Result<void>()>& body);

}  // namespace jvpn::perf
