#include "perf/ndr/memif_peer.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <sys/random.h>
#include <time.h>

#include "control/neighbor/arp.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/keep.h"

namespace jvpn::perf {
namespace {

constexpr std::chrono::seconds kMemifLimit{30};
constexpr uint16_t kOuterPort = 40'000;
constexpr uint16_t kDiscardPort = 9;
constexpr uint32_t kPeerSlotBits = 8;
constexpr uint64_t kSampleEvery = 16;
constexpr PeerId kMemifGateway{0};
constexpr EtherAddress kEveryone{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

constexpr size_t kEtherTypeAt = 12;
constexpr size_t kProtocolAt = kEthernetHeaderBytes + 9;
constexpr size_t kUdpAt = kEthernetHeaderBytes + kIpv4HeaderBytes;
constexpr size_t kMessageAt = kUdpAt + kUdpHeaderBytes;
constexpr size_t kStampAt = kIpv4HeaderBytes + kUdpHeaderBytes;  // in an inner packet

const IpAddress kPeerInside = IpAddress::v4({10, 77, 0, 2});

Millis boot_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Millis{static_cast<uint64_t>(now.tv_sec) * 1'000 +
                static_cast<uint64_t>(now.tv_nsec) / 1'000'000};
}

Error dpdk_error(const std::string& what, int error) {
  return Error{fmt::format("{}: {}", what, rte_strerror(error < 0 ? -error : error))};
}

Result<void> start_dpdk(const GatewayProcess& gateway, unsigned ring) {
  std::vector<std::string> arguments{
      "jvpn-perf",    "--no-huge",      "--no-shconf", "--no-pci", "--no-telemetry",
      "--lcores=0@0", "--iova-mode=va", "-m",          "512",      "--log-level=*:4"};
  for (const char* port : {"wan0", "lan"})
    arguments.push_back(fmt::format(
        "--vdev=net_memif_{},role=client,socket={},socket-abstract=no,rsize={},bsize=2048", port,
        gateway.memif_socket(port), std::countr_zero(ring)));
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
    return dpdk_error("DPDK can't start", rte_errno);
  return {};
}

std::span<uint8_t> bytes_of(rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, uint8_t*), rte_pktmbuf_data_len(packet)};
}

void set_length(rte_mbuf* packet, size_t bytes) {
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = packet->data_len;
}

/// IPv4 and UDP around zeros, `size` bytes in all. No UDP checksum, as the time in it changes.
std::vector<uint8_t> datagram_inside(const IpAddress& from, const IpAddress& to, size_t size) {
  std::vector<uint8_t> packet(size);
  write_ip(packet.data(), from, to, kProtocolUdp, kHops, size - kIpv4HeaderBytes);
  uint8_t* udp = packet.data() + kIpv4HeaderBytes;
  store_be16(udp, kDiscardPort);
  store_be16(udp + 2, kDiscardPort);
  store_be16(udp + 4, size - kIpv4HeaderBytes);
  return packet;
}

}  // namespace

void MemifPeer::FreePool::operator()(rte_mempool* pool) const {
  rte_mempool_free(pool);
}

Result<std::unique_ptr<MemifPeer>> MemifPeer::create(const NdrOptions& options,
                                                     const SecretKey& private_key,
                                                     GatewayProcess& gateway) {
  std::unique_ptr<MemifPeer> peer(new MemifPeer(options, gateway));
  auto started = start_dpdk(gateway, options.ring);
  if (started) started = peer->start_ports();
  if (started) started = peer->start_session(private_key);
  if (!started) return started.error();
  return peer;
}

MemifPeer::~MemifPeer() {
  for (const End& end : ends_) {
    rte_eth_dev_stop(end.port);
    rte_eth_dev_close(end.port);
  }
}

Result<void> MemifPeer::start_ports() {
  pool_.reset(rte_pktmbuf_pool_create("generator", 4 * options_.ring - 1, 256, 0,
                                      RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY));
  if (!pool_) return dpdk_error("packet pool", rte_errno);
  ends_[kWan].address = IpAddress::v4({192, 0, 2, 2});
  ends_[kWan].gateway = IpAddress::v4({192, 0, 2, 1});
  ends_[kLan].address = IpAddress::v4({10, 99, 0, 2});
  ends_[kLan].gateway = IpAddress::v4({10, 99, 0, 1});
  if (auto started = start_port(ends_[kWan], "net_memif_wan0"); !started) return started;
  return start_port(ends_[kLan], "net_memif_lan");
}

Result<void> MemifPeer::start_port(End& end, const char* name) {
  if (rte_eth_dev_get_port_by_name(name, &end.port) != 0)
    return Error{fmt::format("DPDK has no device {}: is its memif driver installed?", name)};
  const auto ring = static_cast<uint16_t>(options_.ring);
  const rte_eth_conf configuration{};
  rte_ether_addr mac{};
  int error = rte_eth_dev_configure(end.port, 1, 1, &configuration);
  if (error == 0) error = rte_eth_rx_queue_setup(end.port, 0, ring, 0, nullptr, pool_.get());
  if (error == 0) error = rte_eth_tx_queue_setup(end.port, 0, ring, 0, nullptr);
  if (error == 0) error = rte_eth_dev_start(end.port);
  if (error == 0) error = rte_eth_macaddr_get(end.port, &mac);
  if (error != 0) return dpdk_error(name, error);
  std::ranges::copy(mac.addr_bytes, end.mac.begin());
  return {};
}

Result<void> MemifPeer::start_session(const SecretKey& private_key) {
  auto done = keep(data_path_, client::dataplane::DataPath::create(
                                   {Prefix{ends_[kLan].address, 32}}, kPeerSlotBits));
  if (!done) return done;
  path_ = {0, {ends_[kWan].address, kOuterPort}, {ends_[kWan].gateway, wire::kDefaultPort}};
  session::EngineConfig config;
  config.private_key = private_key;
  config.peers.push_back({"gateway", gateway_.public_key(), std::nullopt, {}});
  config.suites = {options_.suite};
  config.slot_bits = kPeerSlotBits;
  config.policy = lasting_policy();
  return keep(engine_, engine::SessionEngine::create(std::move(config), *this, boot_now()));
}

template <typename Condition>
Result<void> MemifPeer::until(Condition&& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + kMemifLimit;
  LatencyHistogram ignored;
  while (!condition()) {
    receive(ignored);
    keep_alive();
    if (interrupted()) return Error{"interrupted"};
    if (!gateway_.alive()) return Error{"jvpnd ended:\n" + gateway_.last_messages()};
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{fmt::format("{} within {} s; jvpnd said:\n{}", what, kMemifLimit.count(),
                               gateway_.last_messages())};
    rte_delay_us_sleep(200);
  }
  return {};
}

Result<void> MemifPeer::connect() {
  auto done = until([this] { return links_up(); }, "no memif connection");
  if (done) done = until([this] { return neighbours_known(); }, "no answer to ARP");
  if (!done) return done;
  build_templates();
  engine_->dial(boot_now(), kMemifGateway, path_);
  done = until([this] { return data_path_->path().has_value(); }, "no session");
  if (done) done = until([this] { return data_passes(); }, "no data came through");
  return done;
}

bool MemifPeer::links_up() const {
  return std::ranges::all_of(ends_, [](const End& end) {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(end.port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
  });
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

void MemifPeer::build_templates() {
  const IpAddress lan_host = ends_[kLan].address;
  inner_ = options_.open ? datagram_inside(kPeerInside, lan_host, options_.size)
                         : datagram_inside(lan_host, kPeerInside, options_.size);
  if (!options_.open) {
    envelope_.resize(kEthernetHeaderBytes);
    write_ethernet(envelope_.data(), ends_[kLan].gateway_mac, ends_[kLan].mac, kEtherTypeIpv4);
    return;
  }
  const std::vector<uint8_t> message(options_.size + wire::kTransportOverhead);
  std::vector<uint8_t> frame(kMessageAt + message.size());
  neighbor::write_udp_frame(frame.data(), path_, ends_[kWan].mac, message);
  write_ethernet(frame.data(), ends_[kWan].gateway_mac, ends_[kWan].mac, kEtherTypeIpv4);
  store_be16(frame.data() + kUdpAt + 6, 0);  // the ciphertext changes
  frame.resize(kMessageAt);
  envelope_ = std::move(frame);
}

void MemifPeer::send_frame(const End& end, std::span<const uint8_t> frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  if (packet == nullptr) return;
  std::ranges::copy(frame, rte_pktmbuf_mtod(packet, uint8_t*));
  set_length(packet, frame.size());
  if (rte_eth_tx_burst(end.port, 0, &packet, 1) == 0) rte_pktmbuf_free(packet);
}

void MemifPeer::send(const Path&, std::span<const uint8_t> datagram) {
  std::array<uint8_t, 2'048> frame;
  if (kMessageAt + datagram.size() > frame.size()) return;
  const size_t bytes = neighbor::write_udp_frame(frame.data(), path_, ends_[kWan].mac, datagram);
  write_ethernet(frame.data(), ends_[kWan].gateway_mac, ends_[kWan].mac, kEtherTypeIpv4);
  send_frame(ends_[kWan], {frame.data(), bytes});
}

unsigned MemifPeer::fill_from_lan(std::span<rte_mbuf*> packets) {
  const uint64_t now = rte_rdtsc();
  for (rte_mbuf* packet : packets) {
    auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
    std::memcpy(data, envelope_.data(), kEthernetHeaderBytes);
    std::memcpy(data + kEthernetHeaderBytes, inner_.data(), inner_.size());
    std::memcpy(data + kEthernetHeaderBytes + kStampAt, &now, sizeof now);
    set_length(packet, kEthernetHeaderBytes + inner_.size());
  }
  return static_cast<unsigned>(packets.size());
}

unsigned MemifPeer::fill_from_peer(std::span<rte_mbuf*> packets) {
  const uint64_t now = rte_rdtsc();
  for (size_t i = 0; i < packets.size(); ++i) {
    uint8_t* inner = batch_.next(inner_.size());
    std::memcpy(inner, inner_.data(), inner_.size());
    std::memcpy(inner + kStampAt, &now, sizeof now);
  }
  data_path_->seal(batch_);
  unsigned filled = 0;
  for (const auto message : batch_.packets()) {
    rte_mbuf* packet = packets[filled++];
    auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
    std::memcpy(data, envelope_.data(), kMessageAt);
    std::memcpy(data + kMessageAt, message.data(), message.size());
    set_length(packet, kMessageAt + message.size());
  }
  batch_.clear();
  return filled;
}

unsigned MemifPeer::send(unsigned count) {
  std::array<rte_mbuf*, kBurst> packets;
  if (rte_pktmbuf_alloc_bulk(pool_.get(), packets.data(), count) != 0) return 0;
  const std::span burst(packets.data(), count);
  const unsigned filled = options_.open ? fill_from_peer(burst) : fill_from_lan(burst);
  const End& end = ends_[options_.open ? kWan : kLan];
  const unsigned sent =
      rte_eth_tx_burst(end.port, 0, packets.data(), static_cast<uint16_t>(filled));
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
  data_path_->open({&message, 1}, boot_now(), opened_);
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
    test::give(*engine_, boot_now(), path_, message);
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
    const unsigned count = rte_eth_rx_burst(end.port, 0, packets.data(), kBurst);
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
  const Millis now = boot_now();
  if (engine_->next_deadline() <= now) engine_->advance(now);
}

Result<void> MemifPeer::check() {
  if (!gateway_.alive()) return Error{"jvpnd ended:\n" + gateway_.last_messages()};
  if (!data_path_->path())
    return Error{"the session ended; jvpnd said:\n" + gateway_.last_messages()};
  return {};
}

}  // namespace jvpn::perf
