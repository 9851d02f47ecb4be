#include "tools/client/tunnel/coalescer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"
#include "tools/client/tunnel/inner_packet.h"

namespace jvpn::client::tunnel {
namespace {

constexpr uint8_t kJoinableFlags = kTcpFin | kTcpPsh | kTcpAck;
constexpr size_t kMaxPieces = 512;       // well under the kernel's UIO_MAXIOV of 1024
constexpr size_t kFlowsRemembered = 16;  // open items looked through for a segment's flow

// Offset of the TCP header; 0 when the packet is no plain TCP over IP: options, fragments and
// extension headers are left alone.
size_t tcp_offset(std::span<const uint8_t> packet) {
  if (is_ipv4(packet.data())) {
    const bool plain = packet[0] == 0x45 && packet[9] == kProtocolTcp &&
                       (load_be16(&packet[6]) & 0xBFFF) == 0;  // all but DF
    return plain ? kIpv4HeaderBytes : 0;
  }
  return packet[6] == kProtocolTcp ? kIpv6HeaderBytes : 0;
}

bool checksum_right(std::span<const uint8_t> packet, size_t transport) {
  const auto segment = packet.subspan(transport);
  const uint64_t pseudo = pseudo_header_sum(packet.data(), kProtocolTcp, segment.size());
  if (checksum_fold(checksum_add(segment, pseudo)) != 0xFFFF) return false;
  return !is_ipv4(packet.data()) ||
         checksum_fold(checksum_add(packet.first(kIpv4HeaderBytes), 0)) == 0xFFFF;
}

// Addresses and ports; the ports stand right behind the addresses in neither family.
bool same_flow(const uint8_t* a, const uint8_t* b, size_t transport) {
  const bool v4 = transport == kIpv4HeaderBytes;
  return is_ipv4(a) == is_ipv4(b) && std::memcmp(a + transport, b + transport, 4) == 0 &&
         std::memcmp(a + (v4 ? 12 : 8), b + (v4 ? 12 : 8), v4 ? 8 : 32) == 0;
}

// What must not differ within a super-packet: DSCP and ECN, DF, TTL, IPv6 flow label.
bool same_ip_fields(const uint8_t* a, const uint8_t* b) {
  if (is_ipv4(a)) return a[1] == b[1] && a[6] == b[6] && a[8] == b[8];
  return std::memcmp(a, b, 4) == 0 && a[7] == b[7];
}

// Acknowledgement, header length, window, urgent pointer, options.
bool same_tcp_fields(const uint8_t* a, const uint8_t* b, size_t tcp_bytes) {
  return std::memcmp(a + 8, b + 8, 4) == 0 && a[12] == b[12] &&
         std::memcmp(a + 14, b + 14, 2) == 0 && std::memcmp(a + 18, b + 18, 2) == 0 &&
         std::memcmp(a + kTcpHeaderBytes, b + kTcpHeaderBytes, tcp_bytes - kTcpHeaderBytes) == 0;
}

}  // namespace

Coalescer::Coalescer() {
  out_.reserve(kMaxPieces + 2);
}

Coalescer::Item* Coalescer::open_item_of_flow(const Item& segment) {
  const size_t oldest = used_ - std::min(used_, kFlowsRemembered);
  for (size_t i = used_; i > oldest; --i) {
    Item& item = items_[i - 1];
    if (item.transport == segment.transport &&
        same_flow(item.first.data(), segment.first.data(), item.transport))
      return item.open ? &item : nullptr;
  }
  return nullptr;
}

Coalescer::Item Coalescer::parse(std::span<uint8_t> packet) {
  Item item;
  item.first = packet;
  item.total_bytes = packet.size();
  const size_t transport = tcp_offset(packet);
  if (transport == 0 || transport + kTcpHeaderBytes > packet.size()) return item;
  const uint8_t* const tcp = &packet[transport];
  const size_t tcp_bytes = size_t{tcp[12]} / 16 * 4;
  item.transport = transport;
  item.headers = transport + tcp_bytes;
  if (tcp_bytes < kTcpHeaderBytes || item.headers >= packet.size()) return item;
  item.segment_bytes = packet.size() - item.headers;
  item.next_sequence = load_be32(tcp + 4) + static_cast<uint32_t>(item.segment_bytes);
  item.last_flags = tcp[13];
  item.open = tcp[13] == kTcpAck;  // a pushed or final segment ends a run, so it can't begin one
  return item;
}

void Coalescer::add(std::span<uint8_t> packet) {
  Item segment = parse(packet);
  if (Item* const item = segment.transport == 0 ? nullptr : open_item_of_flow(segment)) {
    if (segment.segment_bytes != 0 && join(*item, segment)) return;
    item->open = false;
  }
  if (used_ == items_.size()) items_.emplace_back();
  Item& slot = items_[used_++];
  segment.more = std::move(slot.more);
  segment.more.clear();
  slot = std::move(segment);
}

bool Coalescer::join(Item& item, const Item& segment) {
  const uint8_t* const a = item.first.data();
  const uint8_t* const b = segment.first.data();
  const uint8_t flags = segment.last_flags;
  const uint32_t sequence = load_be32(b + segment.transport + 4);
  if (sequence != item.next_sequence || segment.headers != item.headers) return false;
  if ((flags & ~kJoinableFlags) != 0 || !(flags & kTcpAck)) return false;
  if (segment.segment_bytes > item.segment_bytes) return false;
  if (item.total_bytes + segment.segment_bytes > kMaxSuperPacket) return false;
  if (item.more.size() == kMaxPieces || !same_ip_fields(a, b)) return false;
  if (!same_tcp_fields(a + item.transport, b + item.transport, item.headers - item.transport))
    return false;
  if (!item.first_proven && !checksum_right(item.first, item.transport)) return false;
  item.first_proven = true;
  if (!checksum_right(segment.first, segment.transport)) return false;

  item.more.push_back({segment.first.data() + segment.headers, segment.segment_bytes});
  item.total_bytes += segment.segment_bytes;
  item.next_sequence = segment.next_sequence;
  item.last_flags = flags;
  item.open = flags == kTcpAck && segment.segment_bytes == item.segment_bytes;
  return true;
}

void Coalescer::write_item(Item& item, SuperPacketSink& sink) {
  VnetHeader header;
  uint8_t* const ip = item.first.data();
  if (!item.more.empty()) {
    uint8_t* const tcp = ip + item.transport;
    const bool v4 = is_ipv4(ip);
    tcp[13] |= item.last_flags;
    if (v4) {
      store_be16(ip + 2, static_cast<uint16_t>(item.total_bytes));
      store_be16(ip + 10, 0);
      store_checksum(ip + 10,
                     static_cast<uint16_t>(~checksum_fold(checksum_add({ip, item.transport}, 0))));
    } else {
      store_be16(ip + 4, static_cast<uint16_t>(item.total_bytes - kIpv6HeaderBytes));
    }
    const size_t length = item.total_bytes - item.transport;
    store_checksum(tcp + 16, checksum_fold(pseudo_header_sum(ip, kProtocolTcp, length)));
    header = {.flags = kVnetNeedsCsum,
              .gso_type = v4 ? kGsoTcp4 : kGsoTcp6,
              .header_bytes = static_cast<uint16_t>(item.headers),
              .gso_bytes = static_cast<uint16_t>(item.segment_bytes),
              .csum_start = static_cast<uint16_t>(item.transport),
              .csum_offset = 16};
  }
  out_.clear();
  out_.push_back({&header, sizeof header});
  out_.push_back({ip, item.first.size()});
  out_.insert(out_.end(), item.more.begin(), item.more.end());
  sink.write(out_);
}

void Coalescer::flush(SuperPacketSink& sink) {
  for (size_t i = 0; i < used_; ++i) write_item(items_[i], sink);
  used_ = 0;
}

}  // namespace jvpn::client::tunnel
