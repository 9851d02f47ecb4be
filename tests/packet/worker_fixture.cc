#include "tests/packet/worker_fixture.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

#include "common/source_signal.h"
#include "tests/support/must.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kPoolPackets = 8191;

PublicKey gateway_key() {
  PublicKey key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i * 7 + 1);
  return key;
}

MacKey mac1_of(MessageMac& mac) {
  return ResponderMacKeys::derive(mac, gateway_key()).mac1;
}

Prefix prefix(const std::string& text) {
  return Prefix::parse(text).value();
}

GatewayProfile profile_of(const LabOptions& options) {
  GatewayProfile profile = wan_and_lan(options.workers);
  profile.ports[kWan].mtu = options.wan_mtu;
  profile.ports[kWan].addresses.push_back(prefix("2001:db8::1/64"));
  profile.ports[kLan].addresses.push_back(prefix("fd00::1/64"));
  profile.limits.mbufs = kPoolPackets;
  profile.limits.hold_packets = options.hold_packets;
  profile.limits.control_mbufs = 63;
  profile.limits.control_ring = options.control_ring;
  profile.limits.handoff_ring = options.handoff_ring;
  profile.limits.handshakes_per_s = options.handshakes_per_s;
  return profile;
}

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%x", value);
  return text;
}

}  // namespace

Lab::Lab(const LabOptions& options) : Lab(options, must(MessageMac::create())) {}

Lab::Lab(const LabOptions& options, MessageMac mac)
    : RingGateway(must(RingGateway::create(
          profile_of(options), mac1_of(mac),
          must(Tables::create(options.workers, options.peers, {1024, 1024, 256, 256})),
          options.port_ring))),
      aead_(must(Aead::create())),
      mac_(std::move(mac)),
      mac_keys_(ResponderMacKeys::derive(mac_, gateway_key())) {
  add_inside_routes();
}

Lab::~Lab() {
  EXPECT_EQ(packets_out(), 0U) << "packets leaked; drops: " << drop_text();
}

void Lab::add_inside_routes() {
  lan_host_.port = kLan;
  lan_host_.mtu = 1500;
  lan_host_.set_addresses(kHostMac, {});
  sessions().store_next_hop(0, &lan_host_);
  const auto add = [&](const char* to, Target target) {
    EXPECT_TRUE(routes().add(prefix(to), target).ok());
  };
  add("10.0.0.1/32", Target::local(kLan));
  add("fd00::1/128", Target::local(kLan));
  add("10.0.0.2/32", Target::next_hop(0));
  add("fd00::2/128", Target::next_hop(0));
  add("10.0.0.0/24", Target::glean(kLan));
  add("fd00::/64", Target::glean(kLan));
}

void Lab::receive_scattered(uint16_t port, const Bytes& frame, uint16_t segment) {
  rte_mbuf* head = nullptr;
  for (size_t at = 0; at < frame.size(); at += segment) {
    const auto end = frame.begin() + static_cast<long>(std::min(frame.size(), at + segment));
    rte_mbuf* part = make_packet(pool(), Bytes(frame.begin() + static_cast<long>(at), end));
    if (head == nullptr)
      head = part;
    else
      EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
  }
  EXPECT_EQ(rte_ring_sp_enqueue(rx_ring(port, 0), head), 0);
}

void Lab::inject(const Bytes& packet, const PacketNote& note, uint16_t worker) {
  rte_mbuf* mbuf = make_packet(pool(), packet);
  note_of(mbuf) = note;
  EXPECT_EQ(rte_ring_sp_enqueue(dataplane().rings(worker).inject, mbuf), 0);
}

std::vector<Punted> Lab::punted(PuntClass punt_class) {
  std::vector<Punted> found;
  for (size_t number = 0; number < workers(); ++number) {
    rte_ring* ring = dataplane().rings(number).punt[static_cast<size_t>(punt_class)];
    for (Punted& packet : take_all(ring)) found.push_back(std::move(packet));
  }
  return found;
}

TestSession::TestSession(Lab& lab, const SessionSpec& spec)
    : lab_(lab),
      spec_(spec),
      rx_lanes_(spec.rx_lanes + sizeof(RxControl) / sizeof(RxLane)),
      rx_words_(spec.rx_lanes),
      tx_lanes_(lab.workers() * spec.lanes_per_worker),
      rx_(std::make_unique<RxRecord>()),
      tx_(std::make_unique<TxRecord>()) {
  rx_->lanes = rx_lanes_.data();
  rx_->lane_count = spec.rx_lanes;
  for (size_t i = 0; i < spec.rx_lanes; ++i) rx_lanes_[i].keep_window_in(rx_words_[i]);
  make_keys();
  rx_->index = ReceiverIndex{0xABC00000U | spec.peer.value};
  rx_->peer = spec.peer;
  rx_->first_lane = LaneId{spec.rx_first_lane};
  rx_->mask = spec_.mask;
  for (TxLane& lane : tx_lanes_) lane.quota = spec.quota;
  tx_->lanes = tx_lanes_.data();
  tx_->peer_index = ReceiverIndex{0x12340000U | spec.peer.value};
  tx_->first_lane = LaneId{spec.tx_first_lane};
  tx_->lanes_per_worker = spec.lanes_per_worker;
  tx_->inner_mtu = spec.inner_mtu;
  tx_->port = kWan;
  hop_.set(kPeerMac, kPortMac);
  tx_->next_hop = &hop_;
  write_tunnel_header({kPortMac, {outer(false), kListenPort}, {outer(true), kPeerPort}}, spec_.mask,
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
  rx_->iv = HeaderIv(rx_->traffic_key);
  tx_->iv = HeaderIv(tx_->traffic_key);
  auto* control = new (&rx_->control()) RxControl;
  control->key = control_;
  control->mask = spec_.mask;
}

void TestSession::set_confirmed(bool confirmed) {
  rx_->source = source_tag({outer(true), kPeerPort});
  rx_->control().port = confirmed ? RxControl::kAnyPort : uint16_t{kWan};
}

void TestSession::publish() {
  lab_.sessions().store_rx(rx_->index, rx_.get());
  lab_.sessions().store_tx(spec_.peer, tx_.get());
  const std::string number = std::to_string(spec_.peer.value);
  const Target target = Target::peer(spec_.peer);
  EXPECT_TRUE(lab_.routes().add(prefix("10.1." + number + ".0/24"), target).ok());
  EXPECT_TRUE(lab_.routes().add(prefix("fd01:" + hex(spec_.peer.value) + "::/32"), target).ok());
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
  const wire::TransportHeader header{wire::MessageType::kData,
                                     {},
                                     rx_->index.value,
                                     wire::make_counter(LaneId{lane}, sequence) ^ spec_.mask};
  return frame_at_peer(openssl_message(header, spec_.suite, inbound_, inner));
}

Bytes TestSession::control_at_peer(const Bytes& plaintext, uint64_t counter) const {
  const wire::TransportHeader header{
      wire::MessageType::kControl, {}, rx_->index.value, counter ^ spec_.mask};
  return frame_at_peer(openssl_message(header, spec_.suite, control_, plaintext));
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
  const Nonce nonce = transport_nonce(iv_of(outbound_), tx_->peer_index, header.counter);
  auto inner = openssl_open(spec_.suite, outbound_, nonce, sealed);
  if (!inner) return std::nullopt;
  EXPECT_EQ(openssl_seal(spec_.suite, outbound_, nonce, *inner), sealed);
  const uint64_t counter = header.counter ^ spec_.mask;
  return Opened{*std::move(inner), wire::lane_of(counter).value, wire::sequence_of(counter)};
}

Bytes TestSession::state() const {
  Bytes all;
  const auto add = [&](const void* from, size_t bytes) {
    const auto* const first = static_cast<const uint8_t*>(from);
    all.insert(all.end(), first, first + bytes);
  };
  add(rx_.get(), sizeof *rx_);
  add(rx_lanes_.data(), rx_lanes_.size() * sizeof(RxLane));
  add(rx_words_.data(), rx_words_.size() * sizeof(LaneWords));
  add(tx_.get(), sizeof *tx_);
  add(tx_lanes_.data(), tx_lanes_.size() * sizeof(TxLane));
  return all;
}

void TestSession::jump(const HoldTerms* terms) {
  std::unique_ptr<TxRecord> next = next_revision();
  left_.push_back(std::move(tx_));
  left_lanes_.push_back(std::move(tx_lanes_));
  tx_ = std::move(next);
  tx_lanes_ = std::vector<TxLane>(left_lanes_.back().size());
  for (TxLane& lane : tx_lanes_) lane.quota = spec_.quota;
  tx_->lanes = tx_lanes_.data();
  tx_->first_lane = LaneId{static_cast<uint16_t>(tx_->first_lane.value + tx_lanes_.size())};
  tx_->peer_index = ReceiverIndex{tx_->peer_index.value + 0x10000U};
  ++tx_->hold_serial;
  tx_->hold_terms = terms;
  write_tunnel_header({kPortMac, {outer(false), kListenPort}, {outer(true), kPeerPort}}, spec_.mask,
                      *tx_);
  lab_.sessions().store_tx(spec_.peer, tx_.get());
}

std::unique_ptr<TxRecord> TestSession::next_revision() const {
  auto next = std::make_unique<TxRecord>();
  std::memcpy(static_cast<void*>(next.get()), tx_.get(), sizeof(TxRecord));
  ++next->revision;
  return next;
}

}  // namespace jvpn::test
