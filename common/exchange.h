// How workers and the control core exchange packets: rings of mbufs with a note on each, and
// counters that one side writes and the other reads. No other shared mutable state exists, but for
// the session and route tables.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "common/drop.h"
#include "common/handshake_mac.h"
#include "common/limits.h"
#include "common/message_mac.h"
#include "common/types.h"

namespace jvpn {

/// Classes of what workers hand to control; one ring each, so that no flood starves another.
enum class PuntClass : uint8_t {
  kVerifiedHandshake,  ///< initiations whose source is proven
  kHandshake,          ///< other initiations
  kAnswer,             ///< to our own initiations; resets, which answer what we sent
  kControl,
  kSlowPath,
  kCount
};
inline constexpr size_t kPuntClasses = static_cast<size_t>(PuntClass::kCount);

/// Why a packet is on the slow path.
enum class PuntReason : uint8_t {
  kFrame,       ///< ARP, ND, or IP to one of our port addresses; data starts at Ethernet
  kGlean,       ///< inner packet whose next hop is unresolved; data starts at IP
  kLocal,       ///< inner packet out of the tunnel to our inside address; data starts at IP
  kTooBig,      ///< inner packet over `mtu`; data starts at IP
  kTtlExpired,  ///< inner packet whose TTL ran out; data starts at IP
  kNoRoute,     ///< inner packet that nothing routes; data starts at IP (rate-limited by the ring)
  kHandedOver,  ///< inner packet for a peer without a binding here; data starts at IP
  kOversize,    ///< sealed frame for `port`, whose path takes IP packets of `mtu`: to be fragmented
};

/// What control asks of a worker with a packet.
enum class InjectAction : uint8_t {
  kTransmit,  ///< finished frame: send on `port`
  kRoute,     ///< inner packet, data starts at IP: route, then seal or deliver it
};

/// The note in each mbuf's private area. One owner at a time: whoever holds the mbuf.
struct PacketNote {
  uint32_t receiver = 0;  ///< kControl: the index it was opened under
  PeerId peer;  ///< kControl; of a reset whom it concerns; or the peer an inner packet came from
  uint64_t counter = 0;         ///< kControl: its counter
  uint64_t serial = 0;          ///< kControl, hand-off: RxRecord::serial that it was taken under
  uint16_t payload_offset = 0;  ///< handshakes: UDP payload; kControl: plaintext; from data start
  uint16_t payload_bytes = 0;
  uint16_t port = 0;  ///< rx port of a punt, tx port of kTransmit
  uint16_t mtu = 0;   ///< kTooBig, kOversize: what would have fit
  PuntReason reason = PuntReason::kFrame;
  InjectAction action = InjectAction::kTransmit;
  bool from_tunnel = false;  ///< inner packet: came out of the tunnel, not from an inside port
  bool opened = false;       ///< handed-off data packet: already opened, replay check still due
  uint16_t outer_bytes = 0;  ///< data packets between stages: bytes before the transport header
  /// When a worker read it; kTransmit: the end of the proof that the sessions were ours when
  /// control made it, 0: it needs none.
  uint64_t tsc = 0;
};
static_assert(sizeof(PacketNote) <= 64);
inline constexpr uint16_t kMbufPrivateBytes = 64;

inline PacketNote& note_of(rte_mbuf* packet) {
  return *static_cast<PacketNote*>(rte_mbuf_to_priv(packet));
}

/// Counters of one worker. Writer: that worker. Readers load relaxed.
struct alignas(64) WorkerCounters {
  std::array<std::atomic<uint64_t>, kDropCount> drops{};
  std::array<std::atomic<uint64_t>, kMaxPorts> rx_packets{};  ///< by port number
  std::atomic<uint64_t> tx_packets{0};
  std::atomic<uint64_t> sealed{0};
  std::atomic<uint64_t> opened{0};
  std::atomic<uint64_t> handed_off{0};
  std::atomic<uint64_t> punted{0};
  std::atomic<uint64_t> cookie_replies{0};
  std::atomic<uint64_t> signals_lost{0};    ///< foreign sources that didn't fit the ring
  std::atomic<uint64_t> hold_packets{0};    ///< held now
  std::atomic<uint64_t> hold_bytes{0};      ///< of those
  std::atomic<uint64_t> hold_resent{0};     ///< reported as missing, and sealed again
  std::atomic<uint64_t> hold_unsettled{0};  ///< sent, and let go: nobody told whether they arrived
  std::atomic<uint64_t> hold_crowded{0};    ///< sent, and let go before their time for want of room
  std::atomic<uint64_t> busy_polls{0};
  std::atomic<uint64_t> idle_polls{0};
  std::atomic<int32_t> thread{0};  ///< the kernel's number of it; 0: it hasn't started

  /// Received by all ports. Any thread.
  uint64_t received() const {
    uint64_t sum = 0;
    for (const auto& each : rx_packets) sum += each.load(std::memory_order_relaxed);
    return sum;
  }
  /// For the one writer: a plain add, no locked instruction.
  static void add(std::atomic<uint64_t>& counter, uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

/// The rings of one worker.
struct WorkerRings {
  std::array<rte_ring*, kPuntClasses>
      punt{};                   ///< single producer (worker), single consumer (control)
  rte_ring* sources = nullptr;  ///< SourceSignals; single producer (worker), consumer control
  rte_ring* unknown = nullptr;  ///< SourceSignals of messages under unknown indices; the same
  rte_ring* inject = nullptr;   ///< single producer (control), single consumer (worker)
  std::array<rte_ring*, kMaxWorkers> handoff{};  ///< [from]: single producer, consumer this worker
};

/// Cookie secrets as workers see them: replaced whole by control, reclaimed by RCU.
using SharedCookieSecrets = std::atomic<const CookieSecrets*>;

}  // namespace jvpn
