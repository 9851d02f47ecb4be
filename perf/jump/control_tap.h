// Sees the control messages of the client's links as they pass, without touching them: which link
// is warm, and what a jump's exchange looked like to the microsecond. One thread of its own.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "perf/jump/clock.h"

namespace jvpn::perf {

struct TappedMessage {
  Nanos at = 0;
  size_t link = 0;        ///< number in the list given to start()
  bool outbound = false;  ///< from the client
  size_t bytes = 0;       ///< of the sealed message
};

/// What a sealed message of that length and direction is, as far as the length tells:
/// `REATTACH_REQUEST`, `112 bytes`.
std::string describe(const TappedMessage& message);

class ControlTap {
 public:
  /// `ns`: the client's namespace; `port`: the gateway's. IPv4 only.
  static Result<std::unique_ptr<ControlTap>> start(const std::string& ns,
                                                   const std::vector<std::string>& links,
                                                   uint16_t port);
  /// A probe, its challenge and the answer to that have passed on the link since then.
  bool validated(size_t link, Nanos since) const;
  std::vector<TappedMessage> between(Nanos from, Nanos to) const;

 private:
  ControlTap() = default;
  Result<void> open(const std::string& ns, const std::vector<std::string>& links, uint16_t port);
  void run(const std::stop_token& stop);

  FileDescriptor socket_;
  std::vector<int> indices_;  ///< of the links' interfaces
  mutable std::mutex mutex_;  ///< of seen_
  std::vector<TappedMessage> seen_;
  std::jthread thread_;
};

}  // namespace jvpn::perf
