// Packets that workers don't finish themselves: ARP and ND, pings to our own addresses, packets
// without a known next hop, and those that earn an ICMP error. Control thread only.
#pragma once

#include <cstdint>
#include <span>

#include <rte_mbuf.h>

#include "common/exchange.h"
#include "common/port_info.h"
#include "common/token_bucket.h"
#include "control/neighbor/handed_over.h"
#include "control/neighbor/icmp.h"
#include "control/neighbor/inside_routes.h"
#include "control/neighbor/neighbors.h"
#include "control/publish/injector.h"

namespace jvpn::neighbor {

class SlowPath {
 public:
  static constexpr uint32_t kErrorsPerSecond = 1'000;

  struct Counters {
    uint64_t frames = 0;
    uint64_t echo_replies = 0;
    uint64_t errors_sent = 0;
    uint64_t errors_limited = 0;    ///< not sent: over kErrorsPerSecond
    uint64_t errors_barred = 0;     ///< not sent: nothing may answer such a packet
    uint64_t fragmented = 0;        ///< IPv4 packets without DF that were cut
    uint64_t outer_fragmented = 0;  ///< sealed frames that were cut for their path
    uint64_t gleaned = 0;           ///< packets that wait for their next hop
    uint64_t malformed = 0;
    uint64_t ignored = 0;  ///< addressed to us, but nothing that we serve
  };

  /// Everything passed outlives it. Tells `neighbors` what to do with packets that wait in vain.
  SlowPath(std::span<const PortInfo> ports, publish::Injector& injector, Neighbors& neighbors,
           InsideRoutes& inside, Millis now);

  /// Has what is for peers without a session here forwarded by `handed_over`, which outlives it.
  void forward_by(HandedOver& handed_over) { handed_over_ = &handed_over; }
  /// Takes a packet of PuntClass::kSlowPath; its note says why it is here.
  void handle(Millis now, rte_mbuf* packet);
  const Counters& counters() const { return counters_; }

 private:
  void handle_frame(Millis now, rte_mbuf* packet);
  void handle_ip_frame(Millis now, rte_mbuf* packet);
  void handle_glean(Millis now, rte_mbuf* packet);
  void handle_local(Millis now, rte_mbuf* packet);
  void handle_too_big(Millis now, rte_mbuf* packet);
  void handle_oversize(rte_mbuf* packet);
  template <typename Fragmenter>
  void send_fragments(Fragmenter cutter, std::span<const uint8_t> link, uint16_t port,
                      uint32_t flow);
  /// Answers an inner packet with an error, then frees it.
  void refuse(Millis now, rte_mbuf* packet, IcmpError error, uint16_t mtu = 0);
  void drop(rte_mbuf* packet, uint64_t& counter);

  std::span<const PortInfo> ports_;
  publish::Injector& injector_;
  Neighbors& neighbors_;
  InsideRoutes& inside_;
  HandedOver* handed_over_ = nullptr;
  TokenBucket errors_;
  Millis now_;
  uint32_t fragment_id_ = 0;
  Counters counters_;
};

}  // namespace jvpn::neighbor
