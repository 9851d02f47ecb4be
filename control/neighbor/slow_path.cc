#include "control/neighbor/slow_path.h"

#include <algorithm>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "control/neighbor/ipv4_fragmenter.h"
#include "control/neighbor/ipv6_fragmenter.h"

namespace jvpn::neighbor {
namespace {

constexpr uint8_t kNdSolicitation = 135, kNdAdvertisement = 136;

std::span<uint8_t> bytes_of(rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, uint8_t*), rte_pktmbuf_data_len(packet)};
}

EtherAddress source_mac(std::span<const uint8_t> frame) {
  EtherAddress mac;
  std::copy_n(frame.begin() + 6, mac.size(), mac.begin());
  return mac;
}

bool is_nd(const IpView& view, std::span<const uint8_t> ip) {
  if (view.protocol != kProtocolIcmpv6 || !view.source.is_v6()) return false;
  if (view.total_bytes <= view.header_bytes) return false;
  const uint8_t type = ip[view.header_bytes];
  return type == kNdSolicitation || type == kNdAdvertisement;
}

/// Leaves the first `bytes`: link padding goes.
void shorten(rte_mbuf* packet, size_t bytes) {
  rte_pktmbuf_trim(packet, static_cast<uint16_t>(rte_pktmbuf_data_len(packet) - bytes));
}

}  // namespace

SlowPath::SlowPath(std::span<const PortInfo> ports, publish::Injector& injector,
                   Neighbors& neighbors, InsideRoutes& inside, Millis now)
    : ports_(ports),
      injector_(injector),
      neighbors_(neighbors),
      inside_(inside),
      errors_(kErrorsPerSecond, now),
      now_(now) {
  neighbors_.on_unreachable(
      [this](rte_mbuf* packet) { refuse(now_, packet, IcmpError::kHostUnreachable); });
}

void SlowPath::handle(Millis now, rte_mbuf* packet) {
  now_ = now;
  if (rte_pktmbuf_linearize(packet) != 0) return drop(packet, counters_.malformed);
  switch (note_of(packet).reason) {
    case PuntReason::kFrame:
      return handle_frame(now, packet);
    case PuntReason::kGlean:
      return handle_glean(now, packet);
    case PuntReason::kLocal:
      return handle_local(now, packet);
    case PuntReason::kTooBig:
      return handle_too_big(now, packet);
    case PuntReason::kHandedOver:
      if (handed_over_ == nullptr) return drop(packet, counters_.ignored);
      return handed_over_->forward(now, note_of(packet).port, packet);
    case PuntReason::kOversize:
      return handle_oversize(packet);
    case PuntReason::kTtlExpired:
      return refuse(now, packet, IcmpError::kTimeExceeded);
    case PuntReason::kNoRoute:
      return refuse(now, packet, IcmpError::kNetUnreachable);
  }
  drop(packet, counters_.malformed);
}

void SlowPath::handle_frame(Millis now, rte_mbuf* packet) {
  ++counters_.frames;
  const std::span<uint8_t> frame = bytes_of(packet);
  const uint16_t port = note_of(packet).port;
  if (frame.size() < kEthernetHeaderBytes || port >= ports_.size() || (frame[6] & 1))
    return drop(packet, counters_.malformed);
  if (load_be16(frame.data() + 12) != kEtherTypeArp) return handle_ip_frame(now, packet);
  neighbors_.on_arp(now, port, frame.subspan(kEthernetHeaderBytes));
  rte_pktmbuf_free(packet);
}

void SlowPath::handle_ip_frame(Millis now, rte_mbuf* packet) {
  const std::span<uint8_t> frame = bytes_of(packet);
  const std::span<uint8_t> ip = frame.subspan(kEthernetHeaderBytes);
  const PortInfo& port = ports_[note_of(packet).port];
  const auto view = view_ip(ip);
  if (!view) return drop(packet, counters_.malformed);
  if (is_nd(*view, ip)) {
    neighbors_.on_nd(now, port.number, source_mac(frame), ip);
    rte_pktmbuf_free(packet);
    return;
  }
  if (!port.owns(view->destination) || !is_echo_request(*view, ip))
    return drop(packet, counters_.ignored);
  make_echo_reply(*view, ip);
  write_ethernet(frame.data(), source_mac(frame), port.mac, load_be16(frame.data() + 12));
  shorten(packet, kEthernetHeaderBytes + view->total_bytes);
  ++counters_.echo_replies;
  injector_.transmit(port.number, packet);
}

void SlowPath::handle_glean(Millis now, rte_mbuf* packet) {
  const auto view = view_ip(bytes_of(packet));
  if (!view) return drop(packet, counters_.malformed);
  const auto key = inside_.next_hop(view->destination);
  if (!key) return refuse(now, packet, IcmpError::kNetUnreachable);
  // Resolved, yet without a record: routing it again would only bring it back here.
  if (const auto mac = neighbors_.resolved(*key); mac && !inside_.published(*key)) {
    inside_.retry(now, *key, *mac);
    if (!inside_.published(*key)) return drop(packet, counters_.ignored);
  }
  ++counters_.gleaned;
  neighbors_.send_inner(now, *key, packet);
}

void SlowPath::handle_local(Millis now, rte_mbuf* packet) {
  const std::span<uint8_t> ip = bytes_of(packet);
  const auto view = view_ip(ip);
  if (!view) return drop(packet, counters_.malformed);
  if (view->protocol == kProtocolUdp || view->protocol == kProtocolTcp)
    return refuse(now, packet, IcmpError::kPortUnreachable);
  if (!is_echo_request(*view, ip)) return drop(packet, counters_.ignored);
  make_echo_reply(*view, ip);
  shorten(packet, view->total_bytes);
  ++counters_.echo_replies;
  injector_.route(packet);
}

void SlowPath::handle_too_big(Millis now, rte_mbuf* packet) {
  const uint16_t mtu = note_of(packet).mtu;
  const auto view = view_ip(bytes_of(packet));
  if (!view) return drop(packet, counters_.malformed);
  const bool v6 = view->source.is_v6();  // never told less than its least MTU (RFC 8201, §4)
  if (view->dont_fragment)
    return refuse(now, packet, IcmpError::kTooBig, v6 ? std::max(mtu, kIpv6LeastMtu) : mtu);
  ++counters_.fragmented;
  for (Ipv4Fragmenter cutter(bytes_of(packet), *view, mtu); cutter.next_bytes() != 0;) {
    std::span<uint8_t> data;
    rte_mbuf* fragment = injector_.allocate(cutter.next_bytes(), data);
    if (fragment == nullptr) break;
    cutter.write(data);
    injector_.route(fragment);
  }
  rte_pktmbuf_free(packet);
}

/// Our own outer packet, so it may be fragmented in either family; the kernel of a client, or the
/// path's end, joins it again.
void SlowPath::handle_oversize(rte_mbuf* packet) {
  const PacketNote note = note_of(packet);
  const std::span<uint8_t> frame = bytes_of(packet);
  if (frame.size() < kEthernetHeaderBytes) return drop(packet, counters_.malformed);
  const std::span<uint8_t> ip = frame.subspan(kEthernetHeaderBytes);
  const auto view = view_ip(ip);
  if (!view || note.port >= ports_.size()) return drop(packet, counters_.malformed);
  ++counters_.outer_fragmented;
  const uint32_t id = ++fragment_id_;
  const auto link = frame.first(kEthernetHeaderBytes);
  if (is_ipv4(ip.data())) {
    store_be16(ip.data() + 4, static_cast<uint16_t>(id));
    send_fragments(Ipv4Fragmenter(ip, *view, note.mtu), link, note.port, id);
  } else {
    send_fragments(Ipv6Fragmenter(ip, id, note.mtu), link, note.port, id);
  }
  rte_pktmbuf_free(packet);
}

template <typename Fragmenter>
void SlowPath::send_fragments(Fragmenter cutter, std::span<const uint8_t> link, uint16_t port,
                              uint32_t flow) {
  while (cutter.next_bytes() != 0) {
    std::span<uint8_t> data;
    rte_mbuf* fragment = injector_.allocate(link.size() + cutter.next_bytes(), data);
    if (fragment == nullptr) return;
    std::copy(link.begin(), link.end(), data.begin());
    cutter.write(data.subspan(link.size()));
    injector_.transmit(port, fragment, flow);
  }
}

void SlowPath::refuse(Millis now, rte_mbuf* packet, IcmpError error, uint16_t mtu) {
  const std::span<const uint8_t> offender = bytes_of(packet);
  const auto view = view_ip(offender);
  if (!view) return drop(packet, counters_.malformed);
  const auto source = inside_.own_address(view->source.family);
  if (!source || !may_answer_with_error(*view, offender))
    return drop(packet, counters_.errors_barred);
  if (!errors_.take(now)) return drop(packet, counters_.errors_limited);
  std::span<uint8_t> data;
  const size_t bytes = icmp_error_bytes(*view);
  if (rte_mbuf* answer = injector_.allocate(bytes, data)) {
    write_icmp_error(data, error, *source, *view, offender, mtu);
    ++counters_.errors_sent;
    injector_.route(answer);
  }
  rte_pktmbuf_free(packet);
}

void SlowPath::drop(rte_mbuf* packet, uint64_t& counter) {
  ++counter;
  rte_pktmbuf_free(packet);
}

}  // namespace jvpn::neighbor
