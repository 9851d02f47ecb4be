// One direction's probe stream: UDP packets at a steady rate from one namespace to an address in
// another, and what became of each. Two threads of its own, a sender and a receiver.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/result.h"
#include "perf/jvpn_perf/clock.h"
#include "tools/shared/file_descriptor.h"

namespace jvpn::perf {

/// What became of the packets sent in a span of time.
struct Delivery {
  uint64_t offered = 0;
  uint64_t lost = 0;
  Nanos longest_gap = 0;  ///< between two arrivals, the last one before the span included
  Nanos first_lost = 0;   ///< when it was sent; 0: none
  Nanos last_lost = 0;
};

struct ProbeOptions {
  std::string from;  ///< network namespace of the sender
  std::string to;    ///< and of the receiver
  std::string address;
  uint16_t port = 0;
  unsigned rate = 1'000;
  unsigned bytes = 128;
};

class ProbeStream {
 public:
  /// Sends from now on.
  static Result<std::unique_ptr<ProbeStream>> start(const ProbeOptions& options);
  ~ProbeStream();
  ProbeStream(const ProbeStream&) = delete;
  ProbeStream& operator=(const ProbeStream&) = delete;

  /// Ends the sender; what is on its way still counts as it arrives.
  void stop_sending();

  /// Of the packets sent in [from, to). One that hasn't arrived yet counts as lost.
  Delivery delivery(Nanos from, Nanos to) const;
  /// The last `count` packets that are older than `age` were sent after `since` and have all
  /// arrived.
  bool flows(size_t count, Nanos age, Nanos since = 0) const;
  uint64_t sent() const;
  uint64_t duplicates() const { return duplicates_.load(); }

 private:
  struct Probe {
    Nanos sent = 0;
    Nanos arrived = 0;  ///< 0: not yet
  };
  explicit ProbeStream(const ProbeOptions& options) : options_(options) {}
  Result<void> open();
  void send_all();
  void receive_all();
  void take(uint64_t number, Nanos arrived);

  ProbeOptions options_;
  FileDescriptor out_;
  FileDescriptor in_;
  mutable std::mutex mutex_;  ///< of probes_
  std::deque<Probe> probes_;  ///< by number
  std::atomic<uint64_t> duplicates_{0};
  std::atomic<bool> stop_sending_{false};
  std::atomic<bool> stop_receiving_{false};
  std::thread sender_;
  std::thread receiver_;
};

}  // namespace jvpn::perf
