#include "tests/stress/wire_side.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <rte_ring.h>

#include "common/handshake_mac.h"
#include "common/tunnel_header.h"
#include "common/wire.h"
#include "control/neighbor/arp.h"
#include "tests/support/must.h"
#include "tests/support/openssl_aead.h"

namespace jvpn::test {
namespace {

constexpr unsigned kOffered = 16;  ///< between two looks at what left
constexpr size_t kMostFaults = 10;
constexpr size_t kInnerHeaders = 20 + 8;

void count(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

/// Tells an inner packet from every other.
Bytes mark_of(uint64_t first, uint64_t second) {
  Bytes bytes(2 * sizeof first);
  std::memcpy(bytes.data(), &first, sizeof first);
  std::memcpy(bytes.data() + sizeof first, &second, sizeof second);
  return bytes;
}

}  // namespace

WireSide::WireSide(RingGateway& gateway, const Generations& generations, const MacKey& mac1,
                   uint64_t seed)
    : gateway_(gateway),
      generations_(generations),
      mac1_(mac1),
      mac_(must(MessageMac::create())),
      random_(seed) {}

void WireSide::run(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    for (unsigned i = 0; i < kOffered; ++i) offer();
    take();
  }
}

void WireSide::offer() {
  const auto peer = static_cast<uint32_t>(random_.below(kPeers));
  const auto place = static_cast<uint32_t>(random_.below(kIndices));
  switch (random_.below(12)) {
    case 0:
      return offer_control(peer, place);
    case 1:
      return offer_handshake(peer);
    case 2:
    case 3:
    case 4:
    case 5:
      return offer_to_peer(peer);
    default:
      return offer_data(peer, place);
  }
}

WireSide::Sending& WireSide::sending(uint32_t peer, uint32_t place) {
  Sending& sending = sending_[peer][place];
  const uint32_t now = generations_[peer][place].load(std::memory_order_relaxed);
  if (sending.generation != now) sending = {.generation = now};
  return sending;
}

/// To either worker, whoever has the lane; now and then to both, and one has to lose.
void WireSide::offer_data(uint32_t peer, uint32_t place) {
  Sending& from = sending(peer, place);
  const auto lane = static_cast<uint16_t>(random_.below(kLanes));
  const uint64_t sequence = from.sequence[lane]++;
  const uint64_t counter = wire::make_counter(LaneId{lane}, sequence);
  const auto other = static_cast<uint32_t>((peer + 1) % kPeers);
  const IpAddress to = random_.chance(0.2) ? inner_of(other, kSteadyHost) : lan_host();
  const uint64_t key = uint64_t{from.generation} << 16 | peer << 8 | place;
  const Bytes inner =
      ipv4_packet(inner_of(peer, kSteadyHost), to, udp_datagram(7, 7, mark_of(key, counter)));
  const uint64_t masked = counter ^ mask_of(KeyUse::kToGateway, peer, place, from.generation);
  const Bytes message =
      openssl_message({wire::MessageType::kData, {}, index_of(peer, place).value, masked}, kSuite,
                      key_of(KeyUse::kToGateway, peer, place, from.generation), inner);
  const Bytes frame = frame_of_peer(peer, message);
  const size_t worker = random_.below(kWorkers);
  put(kWan, worker, frame);
  if (random_.chance(0.3)) put(kWan, 1 - worker, frame);
}

void WireSide::offer_control(uint32_t peer, uint32_t place) {
  Sending& from = sending(peer, place);
  const Bytes plain = mark_of(peer, index_of(peer, place).value);
  const uint64_t masked = from.control++ ^ mask_of(KeyUse::kControl, peer, place, from.generation);
  const Bytes message =
      openssl_message({wire::MessageType::kControl, {}, index_of(peer, place).value, masked},
                      kSuite, key_of(KeyUse::kControl, peer, place, from.generation), plain);
  put(kWan, random_.below(kWorkers), frame_of_peer(peer, message));
}

void WireSide::offer_handshake(uint32_t peer) {
  wire::Initiation initiation{};
  initiation.type = wire::MessageType::kInitiation;
  initiation.sender = static_cast<uint32_t>(random_.next());
  Bytes message(sizeof initiation);
  std::memcpy(message.data(), &initiation, sizeof initiation);
  write_macs(mac_, mac1_, nullptr, message);
  put(kWan, random_.below(kWorkers), frame_of_peer(peer, message));
}

void WireSide::offer_to_peer(uint32_t peer) {
  const uint8_t host = random_.chance(0.8) ? kSteadyHost : kChangingHost;
  const auto port = static_cast<uint16_t>(random_.below(64));  // a flow of its own
  const Bytes inner = ipv4_packet(lan_host(), inner_of(peer, host),
                                  udp_datagram(port, 7, mark_of(random_.next(), peer)));
  put(kLan, random_.below(kWorkers), ip_frame(kPortMac, neighbor_mac(1), inner));
}

Bytes WireSide::frame_of_peer(uint32_t peer, const Bytes& message) const {
  const Bytes datagram = udp_datagram(kPeerPort, kListenPort, message);
  return ip_frame(kPortMac, neighbor_mac(1),
                  ipv4_packet(outer_of(peer, 0), address("192.0.2.1"), datagram));
}

/// Without a buffer or room the frame is lost: the workers are busy.
void WireSide::put(uint16_t port, size_t worker, const Bytes& frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(gateway_.pool());
  if (packet == nullptr) return;
  char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
  std::memcpy(data, frame.data(), frame.size());
  if (rte_ring_sp_enqueue(gateway_.rx_ring(port, worker), packet) != 0) rte_pktmbuf_free(packet);
}

void WireSide::take() {
  for (const uint16_t port : {kWan, kLan})
    for (size_t worker = 0; worker < kWorkers; ++worker)
      for (const Punted& left : take_all(gateway_.tx_ring(port, worker)))
        look_at(port, worker, left.bytes);
}

void WireSide::look_at(uint16_t port, size_t worker, const Bytes& frame) {
  if (frame.size() < kEthernetHeaderBytes + kInnerHeaders) return fault("a short frame");
  if (get16(frame, 12) == kArpType) return answer_arp(port, frame);
  const Mac48 neighbor = neighbor_mac(0);
  if (!std::equal(neighbor.begin(), neighbor.end() - 1, frame.begin()) ||
      !std::equal(kPortMac.begin(), kPortMac.end(), frame.begin() + 6))
    return fault("a frame to nobody");
  const Bytes ip(frame.begin() + kEthernetHeaderBytes, frame.end());
  if (internet_sum(ip.data(), 20) != 0xFFFF) return fault("a wrong checksum of an IPv4 header");
  if (ip[9] != kUdpProtocol) return;  // ICMP errors
  if (port == kLan) return look_at_inner(ip, delivered);
  const auto first = static_cast<uint8_t>(wire::MessageType::kData);
  if (frame[kTunnelV4.transport] == first) look_at_tunnel(worker, frame);
}

/// All parts of the frame must be of one record.
void WireSide::look_at_tunnel(size_t worker, const Bytes& frame) {
  wire::TransportHeader header;
  std::memcpy(&header, &frame[kTunnelV4.transport], sizeof header);
  const uint32_t peer = header.receiver >> 24;
  const uint32_t generation = header.receiver & 0xFF'FFFF;
  const uint64_t counter = header.counter ^ mask_of(KeyUse::kFromGateway, peer, 0, generation);
  const uint32_t lane = wire::lane_of(counter).value;
  if (peer >= kPeers) return fault("the index of no peer");
  const bool to_first = frame[33] == outer_of(peer, 0).bytes[3];
  if (!to_first && frame[33] != outer_of(peer, 1).bytes[3]) return fault("another peer's address");
  if (get16(frame, kTunnelV4.udp + 2) != remote_port_of(generation, lane / kLanes))
    return fault("the address of one binding and the lane of another");
  if (lane % kWorkers != worker) return fault("another worker's lane");
  if (!nonces_.emplace(header.receiver, header.counter).second) return fault("a nonce again");
  const Bytes ciphertext(frame.begin() + kTunnelV4.bytes, frame.end());
  const RawKey key = key_of(KeyUse::kFromGateway, peer, 0, generation);
  const Nonce nonce = transport_nonce(iv_of(key), ReceiverIndex{header.receiver}, header.counter);
  const auto inner = openssl_open(kSuite, key, nonce, ciphertext);
  if (!inner) return fault("a frame that doesn't open");
  if (get16(*inner, 16) != (10U << 8 | 1) || (*inner)[18] != peer) return fault("another's packet");
  if (get16(*inner, 12) == (10U << 8 | 1)) return look_at_inner(*inner, crossed);
  count(sealed);
}

/// A peer's packet arrives once.
void WireSide::look_at_inner(const Bytes& inner, std::atomic<uint64_t>& counter) {
  uint64_t first;
  uint64_t second;
  if (inner.size() < kInnerHeaders + 16) return fault("a short inner packet");
  std::memcpy(&first, &inner[kInnerHeaders], sizeof first);
  std::memcpy(&second, &inner[kInnerHeaders + sizeof first], sizeof second);
  if (inner[14] != (first >> 8 & 0xFF)) return fault("a packet with another peer's address");
  if (!arrived_.emplace(first, second).second) return fault("a replayed packet was delivered");
  count(counter);
}

void WireSide::answer_arp(uint16_t port, const Bytes& frame) {
  const auto asked = parse_arp(std::span(frame).subspan(kEthernetHeaderBytes));
  if (!asked || asked->operation != ArpMessage::Operation::kRequest) return;
  if (asked->target == asked->sender) return;  // an announcement
  const ArpMessage answer{ArpMessage::Operation::kReply, neighbor_mac(asked->target.bytes[3]),
                          asked->target, asked->sender_mac, asked->sender};
  Bytes bytes(kArpFrameBytes);
  write_arp_frame(std::span<uint8_t, kArpFrameBytes>(bytes), asked->sender_mac, answer);
  put(port, random_.below(kWorkers), bytes);
}

void WireSide::fault(const std::string& what) {
  if (faults_.size() < kMostFaults) faults_.push_back(what);
}

}  // namespace jvpn::test
