// Sessions of the in-memory gateway, published as the engine would after a handshake. Keys follow
// from the session's number: both directions share one, so that nobody has to remember it.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "common/aead.h"
#include "common/result.h"
#include "common/types.h"
#include "control/publish/publisher.h"
#include "control/session/index_allocator.h"
#include "perf/pipeline/memory_gateway.h"

namespace jvpn::perf {

RawKey key_of(uint32_t session);

/// A binding of one session, as both ends know it.
struct BenchBinding {
  PeerId peer;
  uint32_t number = 0;  ///< of the session's bindings
  Suite suite{};
  ReceiverIndex index;  ///< the gateway's and, for want of another, the peer's
  LaneId first_lane;
  uint16_t lanes = 1;
  uint16_t peer_port = 0;
  RawKey to_gateway{};
  RawKey to_peer{};
  RawKey control{};
};
session::RxInstall rx_of(const BenchBinding& binding);
session::TxInstall tx_of(const BenchBinding& binding);

/// Control thread, but for index() and lanes(), which any thread may ask once attach() is over.
class BenchSessions {
 public:
  struct Shape {
    uint32_t count = 1;
    Suite suite = Suite::kAes128Gcm;
    uint16_t lanes = 1;  ///< of each session, a multiple of the workers
  };
  /// `slot_bits`: of the table that `publisher` writes to.
  BenchSessions(publish::Publisher& publisher, uint32_t slot_bits, const Shape& shape)
      : publisher_(publisher), shape_(shape), indices_(slot_bits) {}

  /// Publishes them all. Fails when the publisher refused one, or at Ctrl-C.
  Result<void> attach();

  /// A binding of session `peer` on which the peer has moved to another port.
  BenchBinding binding(uint32_t peer, uint32_t number) const;

  const Shape& shape() const { return shape_; }
  ReceiverIndex index(uint32_t session) const { return index_[session]; }
  double attached_per_s() const { return attached_per_s_; }

 private:
  publish::Publisher& publisher_;
  Shape shape_;
  session::IndexAllocator indices_;
  std::mt19937 random_{1};
  std::vector<ReceiverIndex> index_;
  double attached_per_s_ = 0;
};

}  // namespace jvpn::perf
