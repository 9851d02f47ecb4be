#include "perf/ndr/memif_peer.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "common/policy.h"
#include "common/profile.h"
#include "control/neighbor/arp.h"
#include "dataplane/eal.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/keep.h"
#include "tests/support/packet_builder.h"

namespace jvpn::perf {
namespace {

constexpr std::chrono::seconds kMemifLimit{30};
constexpr uint32_t kMegabytes = 512;
constexpr uint16_t kOuterPort = 40'000;
constexpr uint16_t kDiscardPort = 9;
constexpr uint32_t kPeerSlotBits = 8;
constexpr uint64_t kSampleEvery = 16;
constexpr PeerId kMemifGateway{0};
constexpr EtherAddress kEveryone{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

/// As the gateway's (perf/ndr/gateway.py): overload and its losses end no session.
Policy lasting_policy() {
  Policy policy;
  policy.session.transport_loss_ttl = Millis{300'000};
  policy.volatility.heartbeat_volatile = Millis{60'000};
  policy.volatility.transport_dead = Millis{120'000};
  policy.volatility.loss_volatile_threshold = 1;
  return policy;
}

constexpr size_t kEtherTypeAt = 12;
constexpr size_t kProtocolAt = kEthernetHeaderBytes + 9;
constexpr size_t kUdpAt = kEthernetHeaderBytes + kIpv4HeaderBytes;
constexpr size_t kMessageAt = kUdpAt + kUdpHeaderBytes;
constexpr size_t kStampAt = kIpv4HeaderBytes + kUdpHeaderBytes;  // in an inner packet

const IpAddress kPeerInside = IpAddress::v4({10, 77, 0, 2});

std::span<uint8_t> bytes_of(rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, uint8_t*), rte_pktmbuf_data_len(packet)};
}

void set_length(rte_mbuf* packet, size_t bytes) {
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = packet->data_len;
}

}  // namespace

Result<std::unique_ptr<MemifPeer>> MemifPeer::create(const NdrOptions& options,
                                                     const SecretKey& private_key, Script& gateway,
                                                     const Json& gateway_facts) {
  std::unique_ptr<MemifPeer> peer(new MemifPeer(options, gateway));
  const auto key = key_from_base64(gateway_facts.at("public_key").get<std::string>());
  if (!key) return Error{"the gateway's public key is not understood"};
  auto started = peer->start_ports(gateway_facts.at("folder"));
  if (started) started = peer->start_session(private_key, *key);
  if (!started) return started.error();
  return peer;
}

Result<void> MemifPeer::start_ports(const std::string& folder) {
  GatewayProfile profile;
  profile.memory = {.hugepages = false, .megabytes = kMegabytes};
  profile.eal_args = {"--no-telemetry", "--log-level=*:4"};
  for (const char* name : {"wan0", "lan"}) {
    PortProfile& port = profile.ports.emplace_back();
    port.name = name;
    port.vdev = fmt::format(
        "net_memif_{0},role=client,socket={1}/{0}.sock,socket-abstract=no,rsize={2},bsize=2048",
        name, folder, std::countr_zero(options_.ring));
    port.rx_descriptors = port.tx_descriptors = static_cast<uint16_t>(options_.ring);
  }
  static auto eal = Eal::start(profile);  // until the process ends
  if (!eal) return eal.error();
  const auto pool = make_pool("generator", 4 * options_.ring - 1, 1'500);
  if (!pool) return pool.error();
  pool_.reset(*pool);
  ends_[kWan].address = IpAddress::v4({192, 0, 2, 2});
  ends_[kWan].gateway = IpAddress::v4({192, 0, 2, 1});
  ends_[kLan].address = IpAddress::v4({10, 99, 0, 2});
  ends_[kLan].gateway = IpAddress::v4({10, 99, 0, 1});
  for (const Side side : {kWan, kLan}) {
    auto port = Port::open(profile.ports[side], {side, 1, pool_.get()});
    if (!port) return port.error();
    End& end = ends_[side];
    end.port = std::make_unique<Port>(*std::move(port));
    end.id = end.port->info().dpdk_id;
    end.mac = end.port->info().mac;
  }
  return {};
}

Result<void> MemifPeer::start_session(const SecretKey& private_key, const PublicKey& gateway_key) {
  auto done = keep(data_path_, client::dataplane::DataPath::create(
                                   {Prefix{ends_[kLan].address, 32}}, kPeerSlotBits));
  if (!done) return done;
  path_ = {0, {ends_[kWan].address, kOuterPort}, {ends_[kWan].gateway, wire::kDefaultPort}};
  session::EngineConfig config;
  config.private_key = private_key;
  config.peers.push_back({"gateway", gateway_key, std::nullopt, {}});
  config.suites = {options_.suite};
  config.slot_bits = kPeerSlotBits;
  config.policy = lasting_policy();
  return keep(engine_,
              engine::SessionEngine::create(std::move(config), *this, session::boottime_now()));
}

template <typename Condition>
Result<void> MemifPeer::until(Condition&& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + kMemifLimit;
  LatencyHistogram ignored;
  while (!condition()) {
    receive(ignored);
    keep_alive();
    if (interrupted()) return Error{"interrupted"};
    if (!gateway_.alive()) return Error{"jvpnd ended"};
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{fmt::format("{} within {} s", what, kMemifLimit.count())};
    rte_delay_us_sleep(200);
  }
  return {};
}

Result<void> MemifPeer::connect() {
  auto done = until([this] { return links_up(); }, "no memif connection");
  if (done) done = until([this] { return neighbours_known(); }, "no answer to ARP");
  if (!done) return done;
  build_templates();
  engine_->dial(session::boottime_now(), kMemifGateway, path_);
  done = until([this] { return data_path_->path().has_value(); }, "no session");
  if (done) done = until([this] { return data_passes(); }, "no data came through");
  return done;
}

bool MemifPeer::links_up() const {
  return std::ranges::all_of(ends_, [](const End& end) { return end.port->link_up(); });
}

bool MemifPeer::neighbours_known() {
  for (const End& end : ends_)
    if (!end.gateway_known) ask_neighbour(end);
  return ends_[kWan].gateway_known && ends_[kLan].gateway_known;
}

void MemifPeer::ask_neighbour(const End& end) {
  std::array<uint8_t, neighbor::kArpFrameBytes> frame;
  neighbor::write_arp_frame(
      frame, kEveryone,
      {neighbor::ArpMessage::Operation::kRequest, end.mac, end.address, {}, end.gateway});
  send_frame(end, frame);
}

bool MemifPeer::data_passes() {
  LatencyHistogram ignored;
  send(1);
  rte_delay_us_sleep(500);
  return receive(ignored) != 0;
}

/// UDP without checksums, as times and ciphertexts change.
void MemifPeer::build_templates() {
  const End& end = ends_[options_.open ? kWan : kLan];
  const IpAddress lan_host = ends_[kLan].address;
  const test::Bytes payload(options_.size - kStampAt);
  inner_ = test::ipv4_packet(options_.open ? kPeerInside : lan_host,
                             options_.open ? lan_host : kPeerInside,
                             test::udp_datagram(kDiscardPort, kDiscardPort, payload));
  const test::Bytes message(options_.size + wire::kTransportOverhead);
  const test::Bytes sealed = test::ipv4_packet(
      end.address, end.gateway, test::udp_datagram(kOuterPort, wire::kDefaultPort, message));
  envelope_ = test::ip_frame(end.gateway_mac, end.mac, options_.open ? sealed : inner_);
  envelope_.resize(options_.open ? kMessageAt : kEthernetHeaderBytes);
}

void MemifPeer::send_frame(const End& end, std::span<const uint8_t> frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  if (packet == nullptr) return;
  std::ranges::copy(frame, rte_pktmbuf_mtod(packet, uint8_t*));
  set_length(packet, frame.size());
  if (rte_eth_tx_burst(end.id, 0, &packet, 1) == 0) rte_pktmbuf_free(packet);
}

void MemifPeer::send(const Path&, std::span<const uint8_t> datagram) {
  std::array<uint8_t, 2'048> frame;
  if (kMessageAt + datagram.size() > frame.size()) return;
  const size_t bytes = neighbor::write_udp_frame(frame.data(), path_, ends_[kWan].mac, datagram);
  write_ethernet(frame.data(), ends_[kWan].gateway_mac, ends_[kWan].mac, kEtherTypeIpv4);
  send_frame(ends_[kWan], {frame.data(), bytes});
}

/// The envelope and what stands in it.
void MemifPeer::fill(rte_mbuf* packet, std::span<const uint8_t> content) {
  auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
  std::memcpy(data, envelope_.data(), envelope_.size());
  std::memcpy(data + envelope_.size(), content.data(), content.size());
  set_length(packet, envelope_.size() + content.size());
}

/// With a trial's packets, all of one time. How many were filled: a packet may fail to be sealed.
unsigned MemifPeer::fill_burst(std::span<rte_mbuf*> packets) {
  const uint64_t now = rte_rdtsc();
  std::memcpy(inner_.data() + kStampAt, &now, sizeof now);
  if (!options_.open) {
    for (rte_mbuf* packet : packets) fill(packet, inner_);
    return static_cast<unsigned>(packets.size());
  }
  for (size_t i = 0; i < packets.size(); ++i) std::ranges::copy(inner_, batch_.next(inner_.size()));
  data_path_->seal(batch_, Millis{});
  unsigned filled = 0;
  for (const auto message : batch_.packets()) fill(packets[filled++], message);
  batch_.clear();
  return filled;
}

unsigned MemifPeer::send(unsigned count) {
  std::array<rte_mbuf*, kBurst> packets;
  if (rte_pktmbuf_alloc_bulk(pool_.get(), packets.data(), count) != 0) return 0;
  const unsigned filled = fill_burst({packets.data(), count});
  const End& end = ends_[options_.open ? kWan : kLan];
  const unsigned sent = rte_eth_tx_burst(end.id, 0, packets.data(), static_cast<uint16_t>(filled));
  rte_pktmbuf_free_bulk(packets.data() + sent, count - sent);
  return sent;
}

void MemifPeer::take_arp(End& end, std::span<const uint8_t> frame) {
  const auto message = neighbor::parse_arp(frame.subspan(kEthernetHeaderBytes));
  if (!message || message->sender != end.gateway) return;
  end.gateway_mac = message->sender_mac;
  end.gateway_known = true;
  if (message->operation != neighbor::ArpMessage::Operation::kRequest ||
      message->target != end.address)
    return;
  std::array<uint8_t, neighbor::kArpFrameBytes> answer;
  neighbor::write_arp_frame(answer, end.gateway_mac,
                            {neighbor::ArpMessage::Operation::kReply, end.mac, end.address,
                             end.gateway_mac, end.gateway});
  send_frame(end, answer);
}

void MemifPeer::open_sample(std::span<uint8_t> message, LatencyHistogram& latency) {
  opened_.clear();
  data_path_->open({&message, 1}, session::boottime_now(), opened_);
  if (opened_.empty() || opened_[0].size() < kStampAt + sizeof(uint64_t)) return;
  uint64_t sent_at = 0;
  std::memcpy(&sent_at, opened_[0].data() + kStampAt, sizeof sent_at);
  latency.record(rte_rdtsc() - sent_at);
}

bool MemifPeer::take_wan(std::span<uint8_t> frame, LatencyHistogram& latency) {
  if (frame.size() <= kMessageAt || frame[kProtocolAt] != kProtocolUdp) return false;
  // An Ethernet frame may be padded; UDP knows better.
  const size_t udp = load_be16(frame.data() + kUdpAt + 4);
  if (udp <= kUdpHeaderBytes || kUdpAt + udp > frame.size()) return false;
  const auto message = frame.subspan(kMessageAt, udp - kUdpHeaderBytes);
  if (wire::MessageType{message[0]} != wire::MessageType::kData) {
    test::give(*engine_, session::boottime_now(), path_, message);
    return false;
  }
  if (data_frames_++ % kSampleEvery == 0)
    open_sample(message, latency);
  else
    ++unopened_;
  return !options_.open;
}

bool MemifPeer::take_lan(std::span<uint8_t> frame, LatencyHistogram& latency) {
  constexpr size_t kStamp = kEthernetHeaderBytes + kStampAt;
  if (frame.size() < kStamp + sizeof(uint64_t) || frame[kProtocolAt] != kProtocolUdp) return false;
  uint64_t sent_at = 0;
  std::memcpy(&sent_at, frame.data() + kStamp, sizeof sent_at);
  latency.record(rte_rdtsc() - sent_at);
  return options_.open;
}

unsigned MemifPeer::receive(LatencyHistogram& latency) {
  std::array<rte_mbuf*, kBurst> packets;
  unsigned data = 0;
  for (const Side side : {kWan, kLan}) {
    End& end = ends_[side];
    const unsigned count = rte_eth_rx_burst(end.id, 0, packets.data(), kBurst);
    for (unsigned i = 0; i < count; ++i) {
      const auto frame = bytes_of(packets[i]);
      if (frame.size() < kEthernetHeaderBytes) continue;
      const uint16_t type = load_be16(frame.data() + kEtherTypeAt);
      if (type == kEtherTypeArp) take_arp(end, frame);
      if (type != kEtherTypeIpv4) continue;
      data += side == kWan ? take_wan(frame, latency) : take_lan(frame, latency);
    }
    rte_pktmbuf_free_bulk(packets.data(), count);
  }
  return data;
}

void MemifPeer::keep_alive() {
  const Millis now = session::boottime_now();
  if (engine_->next_deadline() <= now) engine_->advance(now);
}

Result<void> MemifPeer::check() {
  if (!gateway_.alive()) return Error{"jvpnd ended"};
  if (!data_path_->path()) return Error{"the session ended"};
  return {};
}

}  // namespace jvpn::perf
