#include "tests/packet/worker_fixture.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kPoolPackets = 8191;

std::string unique(const std::string& what) {
  static std::atomic<unsigned> count{0};
  return what + std::to_string(count.fetch_add(1));
}

rte_ring* make_ring(const char* what, uint32_t packets) {
  rte_ring* ring = rte_ring_create(unique(what).c_str(), packets, SOCKET_ID_ANY,
                                   RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
  EXPECT_NE(ring, nullptr);
  return ring;
}

PublicKey gateway_key() {
  PublicKey key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i * 7 + 1);
  return key;
}

/// A ring's packets as bytes; the packets go back to their pool.
std::vector<std::pair<PacketNote, Bytes>> take_all(rte_ring* ring) {
  std::vector<std::pair<PacketNote, Bytes>> taken;
  void* entry = nullptr;
  while (rte_ring_sc_dequeue(ring, &entry) == 0) {
    auto* packet = static_cast<rte_mbuf*>(entry);
    const auto* data = rte_pktmbuf_mtod(packet, const uint8_t*);
    taken.emplace_back(note_of(packet), Bytes(data, data + packet->data_len));
    rte_pktmbuf_free(packet);
  }
  return taken;
}

Prefix prefix(const std::string& text) {
  return Prefix::parse(text).value();
}

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%x", value);
  return text;
}

}  // namespace

uint64_t run_seed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("JVPN_SEED");
    const uint64_t value =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("JVPN_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return seed;
}

Lab::Lab(const LabOptions& options)
    : options_(options),
      aead_(*Aead::create()),
      mac_(*MessageMac::create()),
      mac_keys_(ResponderMacKeys::derive(mac_, gateway_key())) {
  pool_.reset(*make_pool(unique("test_pool"), kPoolPackets, options.wan_mtu));
  const size_t rcu_bytes = rte_rcu_qsbr_get_memsize(options.workers);
  rcu_.reset(static_cast<rte_rcu_qsbr*>(rte_zmalloc(nullptr, rcu_bytes, kCacheLine)));
  rte_rcu_qsbr_init(rcu_.get(), options.workers);
  sessions_ = *SessionTable::create(options.peers);
  routes_ = *RouteTable::create({1024, 1024, 256, 256}, rcu_.get());
  ports_.push_back(open_port(unique("wan"), kWan, wan_rings_));
  ports_.push_back(open_port(unique("lan"), kLan, lan_rings_));
  for (const Port& port : ports_) infos_.push_back(port.info());
  make_worker_rings();
  make_workers();
  add_inside_routes();
}

Lab::~Lab() {
  EXPECT_EQ(packets_out(), 0U) << "packets leaked; drops: " << drop_text();
}

Port Lab::open_port(const std::string& name, uint16_t number, PortRings& rings) {
  std::vector<rte_ring*> rx;
  std::vector<rte_ring*> tx;
  for (uint16_t queue = 0; queue < options_.workers; ++queue) {
    rx.push_back(rings.rx.emplace_back(make_ring("rx", options_.port_ring)).get());
    tx.push_back(rings.tx.emplace_back(make_ring("tx", options_.port_ring)).get());
  }
  rte_eth_from_rings(name.c_str(), rx.data(), options_.workers, tx.data(), options_.workers, 0);
  PortProfile profile;
  profile.name = name;
  profile.vdev = "net_ring_" + name;
  profile.role = number == kWan ? PortRole::kOutside : PortRole::kInside;
  profile.mtu = number == kWan ? options_.wan_mtu : uint16_t{1500};
  profile.addresses = number == kWan ? std::vector{prefix("192.0.2.1/24"), prefix("2001:db8::1/64")}
                                     : std::vector{prefix("10.0.0.1/24"), prefix("fd00::1/64")};
  auto port = Port::open(profile, {number, options_.workers, pool_.get()});
  EXPECT_TRUE(port.ok()) << (port.ok() ? "" : port.error().message);
  return *std::move(port);
}

void Lab::make_worker_rings() {
  rings_.resize(options_.workers);
  const auto own = [&](const char* what, uint32_t packets) {
    return owned_rings_.emplace_back(make_ring(what, packets)).get();
  };
  for (WorkerRings& rings : rings_) {
    for (rte_ring*& punt : rings.punt) punt = own("punt", options_.control_ring);
    rings.inject = own("inject", options_.control_ring);
    for (size_t from = 0; from < rings_.size(); ++from)
      if (&rings_[from] != &rings) rings.handoff[from] = own("handoff", options_.handoff_ring);
  }
}

void Lab::make_workers() {
  counters_ = std::vector<WorkerCounters>(options_.workers);
  for (uint16_t number = 0; number < options_.workers; ++number) {
    WorkerConfig config;
    config.number = number;
    config.workers = options_.workers;
    config.queues = {{kWan, number}, {kLan, number}};
    config.sessions = sessions_.get();
    config.routes = routes_.get();
    config.rcu = rcu_.get();
    config.rings = rings_;
    config.ports = infos_;
    config.counters = &counters_[number];
    config.mac1 = &mac_keys_.mac1;
    config.cookies = &cookies_;
    config.listen_port = kListenPort;
    workers_.push_back(*Worker::create(config));
  }
}

void Lab::add_inside_routes() {
  lan_host_.port = kLan;
  lan_host_.mtu = 1500;
  lan_host_.set_addresses(kHostMac, {});
  sessions_->store_next_hop(0, &lan_host_);
  const auto add = [&](const char* to, Target target) {
    EXPECT_TRUE(routes_->add(prefix(to), target).ok());
  };
  add("10.0.0.1/32", Target::local(kLan));
  add("fd00::1/128", Target::local(kLan));
  add("10.0.0.2/32", Target::next_hop(0));
  add("fd00::2/128", Target::next_hop(0));
  add("10.0.0.0/24", Target::glean(kLan));
  add("fd00::/64", Target::glean(kLan));
  EXPECT_TRUE(routes_->commit().ok());
}

rte_mbuf* Lab::make_packet(const Bytes& bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  EXPECT_NE(packet, nullptr);
  EXPECT_LE(bytes.size(), rte_pktmbuf_tailroom(packet));
  std::copy(bytes.begin(), bytes.end(), rte_pktmbuf_mtod(packet, uint8_t*));
  packet->data_len = static_cast<uint16_t>(bytes.size());
  packet->pkt_len = packet->data_len;
  return packet;
}

void Lab::receive(uint16_t port, const Bytes& frame, uint16_t queue) {
  EXPECT_EQ(rte_ring_sp_enqueue(rx_ring(port, queue), make_packet(frame)), 0);
}

void Lab::receive_scattered(uint16_t port, const Bytes& frame, uint16_t segment) {
  rte_mbuf* head = nullptr;
  for (size_t at = 0; at < frame.size(); at += segment) {
    const auto end = frame.begin() + static_cast<long>(std::min(frame.size(), at + segment));
    rte_mbuf* part = make_packet(Bytes(frame.begin() + static_cast<long>(at), end));
    if (head == nullptr)
      head = part;
    else
      EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
  }
  EXPECT_EQ(rte_ring_sp_enqueue(rx_ring(port, 0), head), 0);
}

void Lab::inject(const Bytes& packet, const PacketNote& note, uint16_t worker) {
  rte_mbuf* mbuf = make_packet(packet);
  note_of(mbuf) = note;
  EXPECT_EQ(rte_ring_sp_enqueue(rings_[worker].inject, mbuf), 0);
}

size_t Lab::poll() {
  size_t packets = 0;
  for (auto& worker : workers_) packets += worker->poll_once();
  return packets;
}

std::vector<Bytes> Lab::sent(uint16_t port) {
  std::vector<Bytes> frames;
  for (auto& ring : rings_of(port).tx)
    for (auto& [note, bytes] : take_all(ring.get())) frames.push_back(std::move(bytes));
  return frames;
}

std::vector<Punted> Lab::punted(PuntClass punt_class) {
  std::vector<Punted> found;
  for (WorkerRings& rings : rings_)
    for (auto& [note, bytes] : take_all(rings.punt[static_cast<size_t>(punt_class)]))
      found.push_back({note, std::move(bytes)});
  return found;
}

uint64_t Lab::drops(Drop reason) const {
  uint64_t count = 0;
  for (const WorkerCounters& counters : counters_)
    count += counters.drops[static_cast<size_t>(reason)].load();
  return count;
}

uint64_t Lab::all_drops() const {
  uint64_t count = 0;
  for (size_t reason = 0; reason < kDropCount; ++reason) count += drops(static_cast<Drop>(reason));
  return count;
}

std::string Lab::drop_text() const {
  std::string text;
  for (size_t reason = 0; reason < kDropCount; ++reason) {
    const uint64_t count = drops(static_cast<Drop>(reason));
    if (count != 0) text += std::string(kDropInfo[reason].name) + "=" + std::to_string(count) + " ";
  }
  return text;
}

uint64_t Lab::total(std::atomic<uint64_t> WorkerCounters::*counter) const {
  uint64_t sum = 0;
  for (const WorkerCounters& counters : counters_) sum += (counters.*counter).load();
  return sum;
}

size_t Lab::packets_out() {
  for (PortRings* rings : {&wan_rings_, &lan_rings_}) {
    for (auto& ring : rings->rx) take_all(ring.get());
    for (auto& ring : rings->tx) take_all(ring.get());
  }
  for (auto& ring : owned_rings_) take_all(ring.get());
  return rte_mempool_in_use_count(pool_.get());
}

TestSession::TestSession(Lab& lab, const SessionSpec& spec)
    : lab_(lab),
      spec_(spec),
      rx_lanes_(spec.rx_lanes),
      rx_words_(spec.rx_lanes),
      tx_lanes_(lab.workers() * spec.lanes_per_worker),
      rx_(std::make_unique<RxRecord>()),
      tx_(std::make_unique<TxRecord>()) {
  make_keys();
  rx_->index = ReceiverIndex{0xABC00000U | spec.peer.value};
  rx_->peer = spec.peer;
  rx_->first_lane = LaneId{spec.rx_first_lane};
  rx_->lane_count = spec.rx_lanes;
  rx_->lanes = rx_lanes_.data();
  for (size_t i = 0; i < rx_lanes_.size(); ++i) rx_lanes_[i].keep_window_in(rx_words_[i]);
  for (TxLane& lane : tx_lanes_) lane.quota = spec.quota;
  tx_->lanes = tx_lanes_.data();
  tx_->peer_index = ReceiverIndex{0x12340000U | spec.peer.value};
  tx_->first_lane = LaneId{spec.tx_first_lane};
  tx_->lanes_per_worker = spec.lanes_per_worker;
  tx_->inner_mtu = spec.inner_mtu;
  tx_->port = kWan;
  write_tunnel_header({kPortMac, kPeerMac, {outer(false), kListenPort}, {outer(true), kPeerPort}},
                      *tx_);
  publish();
}

TestSession::~TestSession() {
  lab_.sessions().store_rx(rx_->index, nullptr);
  lab_.sessions().store_tx(spec_.peer, nullptr);
}

void TestSession::make_keys() {
  std::mt19937_64 random(uint64_t{spec_.peer.value} * 1000 + static_cast<uint64_t>(spec_.suite));
  for (RawKey* key : {&inbound_, &control_, &outbound_})
    for (uint8_t& byte : *key) byte = static_cast<uint8_t>(random());
  lab_.aead().expand(spec_.suite, inbound_, rx_->traffic_key);
  lab_.aead().expand(spec_.suite, outbound_, tx_->traffic_key);
  rx_->control_key = control_;
}

void TestSession::publish() {
  lab_.sessions().store_rx(rx_->index, rx_.get());
  lab_.sessions().store_tx(spec_.peer, tx_.get());
  const std::string number = std::to_string(spec_.peer.value);
  const Target target = Target::peer(spec_.peer);
  EXPECT_TRUE(lab_.routes().add(prefix("10.1." + number + ".0/24"), target).ok());
  EXPECT_TRUE(lab_.routes().add(prefix("fd01:" + hex(spec_.peer.value) + "::/32"), target).ok());
  EXPECT_TRUE(lab_.routes().commit().ok());
}

IpAddress TestSession::outer(bool peer) const {
  if (spec_.outer == Family::kIpv4) return address(peer ? "192.0.2.2" : "192.0.2.1");
  return address(peer ? "2001:db8::2" : "2001:db8::1");
}

IpAddress TestSession::host(Family family, uint8_t number) const {
  const std::string peer = std::to_string(spec_.peer.value);
  const std::string last = std::to_string(number);
  if (family == Family::kIpv4) return address(("10.1." + peer + "." + last).c_str());
  return address(("fd01:" + hex(spec_.peer.value) + "::" + last).c_str());
}

Bytes TestSession::frame_at_peer(const Bytes& message) const {
  const Bytes datagram = udp_datagram(kPeerPort, kListenPort, message);
  return ip_frame(kPortMac, kPeerMac, ip_packet(outer(true), outer(false), datagram));
}

Bytes TestSession::seal_at_peer(const Bytes& inner, uint16_t lane, uint64_t sequence) const {
  const uint64_t counter = wire::make_counter(LaneId{lane}, sequence);
  const wire::TransportHeader header{wire::MessageType::kData, {}, rx_->index.value, counter};
  Bytes message(sizeof header);
  std::memcpy(message.data(), &header, sizeof header);
  append(message, openssl_seal(spec_.suite, inbound_, transport_nonce(rx_->index, counter), inner));
  return frame_at_peer(message);
}

Bytes TestSession::control_at_peer(const Bytes& plaintext, uint64_t counter) const {
  const wire::TransportHeader header{wire::MessageType::kControl, {}, rx_->index.value, counter};
  Bytes message(sizeof header);
  std::memcpy(message.data(), &header, sizeof header);
  append(message,
         openssl_seal(spec_.suite, control_, transport_nonce(rx_->index, counter), plaintext));
  return frame_at_peer(message);
}

std::optional<TestSession::Opened> TestSession::open_at_peer(const Bytes& frame) const {
  const bool v4 = spec_.outer == Family::kIpv4;
  const size_t udp = v4 ? 34 : 54;
  EXPECT_GT(frame.size(), udp + 8 + wire::kTransportOverhead);
  EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 6), Bytes(kPeerMac.begin(), kPeerMac.end()));
  const Bytes datagram(frame.begin() + static_cast<long>(udp), frame.end());
  EXPECT_EQ(get16(datagram, 0), kListenPort);
  EXPECT_EQ(get16(datagram, 2), kPeerPort);
  EXPECT_EQ(get16(datagram, 4), datagram.size());
  // The whole packet, headers and all, as the builder would have made it.
  Bytes expected = ip_packet(outer(false), outer(true), datagram);
  EXPECT_EQ(Bytes(frame.begin() + 14, frame.end()), expected);
  if (!v4) {
    const uint32_t pseudo =
        static_cast<uint32_t>(datagram.size()) + kUdpProtocol + internet_sum(&frame[22], 32);
    EXPECT_EQ(internet_sum(datagram.data(), datagram.size(), pseudo), 0xFFFF);
  }
  wire::TransportHeader header;
  std::memcpy(&header, &datagram[8], sizeof header);
  EXPECT_EQ(header.type, wire::MessageType::kData);
  EXPECT_EQ(header.receiver, tx_->peer_index.value);
  const Bytes sealed(datagram.begin() + 8 + sizeof header, datagram.end());
  const Nonce nonce = transport_nonce(tx_->peer_index, header.counter);
  auto inner = openssl_open(spec_.suite, outbound_, nonce, sealed);
  if (!inner) return std::nullopt;
  EXPECT_EQ(openssl_seal(spec_.suite, outbound_, nonce, *inner), sealed);
  return Opened{*std::move(inner), wire::lane_of(header.counter).value,
                wire::sequence_of(header.counter)};
}

std::unique_ptr<TxRecord> TestSession::next_revision() const {
  auto next = std::make_unique<TxRecord>(*tx_);
  ++next->revision;
  return next;
}

}  // namespace jvpn::test
