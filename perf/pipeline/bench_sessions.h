// Sessions of many peers, published as the engine would after a handshake and with every jump. Keys
// follow from the session's number: both directions share one, so that nobody has to remember it.
//
//   peers 172.16.0.0/12 ── wan (0) 192.0.2.1 │ workers │ lan (1) 10.0.0.1 ── host 10.0.0.2
//   behind peer n: one host, 10.1.0.0 + n
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "common/aead.h"
#include "common/result.h"
#include "common/types.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"
#include "control/session/index_allocator.h"
#include "tests/support/ring_gateway.h"

namespace jvpn::perf {

RawKey key_of(uint32_t session);

/// Inner address of the host behind a peer, of the host on the LAN, outer addresses.
IpAddress inner_host_of(uint32_t peer);
IpAddress lan_host();
Endpoint outer_of(uint32_t peer, uint16_t port);
Endpoint gateway_outer();

/// What a peer knows of its session's binding.
struct BenchBinding {
  ReceiverIndex index;  ///< the gateway's and, for want of another, the peer's
  uint16_t number = 0;  ///< jumps so far, and the first lane
  uint16_t port() const;
};

/// Control thread, but for binding(), which any thread may ask.
class BenchSessions {
 public:
  struct Shape {
    uint32_t count = 1;
    Suite suite = Suite::kAes128Gcm;
    uint16_t lanes = 1;  ///< of each session, a multiple of the workers
  };
  /// Publishes them all to `table`, which may be another than the data plane's own. Fails when the
  /// publisher refused one, or at Ctrl-C. Both outlive it.
  static Result<std::unique_ptr<BenchSessions>> create(SessionTable& table, Dataplane& dataplane,
                                                       const Shape& shape);

  /// The send side anew, as after a jump to another port; the receive side is told its remote
  /// again.
  void rebind(uint32_t session);
  /// All of a jump: the next spare's receive side, the send side with fresh lanes, what the peer's
  /// lanes counted. Gives the old index, to be retired once it has drained; nullopt: no index is
  /// free.
  std::optional<ReceiverIndex> jump(uint32_t session);
  void retire(ReceiverIndex index);

  const Shape& shape() const { return shape_; }
  BenchBinding binding(uint32_t session) const {
    const uint64_t word = bindings_[session].load(std::memory_order_acquire);
    return {ReceiverIndex{static_cast<uint32_t>(word >> 32)}, static_cast<uint16_t>(word)};
  }
  publish::Reclaimer& reclaimer() { return reclaimer_; }
  double attached_per_s() const { return attached_per_s_; }
  /// Bindings that the publisher refused.
  uint64_t refused() const { return publisher_->failures(); }

 private:
  BenchSessions(SessionTable& table, rte_rcu_qsbr* rcu, const Shape& shape)
      : shape_(shape), reclaimer_(rcu), indices_(table.slot_bits()), bindings_(shape.count) {}
  Result<void> attach();
  bool bind(uint32_t session, uint16_t number);
  void install_tx(uint32_t session, const BenchBinding& binding, uint16_t port);

  Shape shape_;
  publish::Reclaimer reclaimer_;
  SharedHop hop_;  ///< that all of them leave by
  std::unique_ptr<publish::Publisher> publisher_;
  session::IndexAllocator indices_;
  std::mt19937 random_{1};
  /// By session: index in the upper half, number in the lower.
  std::vector<std::atomic<uint64_t>> bindings_;
  uint64_t version_ = 0;
  double attached_per_s_ = 0;
};

}  // namespace jvpn::perf
