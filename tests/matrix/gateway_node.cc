#include "tests/matrix/gateway_node.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/handshake_mac.h"
#include "control/admin/profile_file.h"
#include "dataplane/port.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kRingPackets = 1'024;

std::string unique(const std::string& what) {
  static std::atomic<unsigned> count{0};
  return what + std::to_string(count.fetch_add(1));
}

rte_ring* make_ring() {
  return rte_ring_create(unique("matrix").c_str(), kRingPackets, SOCKET_ID_ANY,
                         RING_F_SP_ENQ | RING_F_SC_DEQ);
}

std::vector<Bytes> take_all(rte_ring* ring) {
  std::vector<Bytes> taken;
  void* entry = nullptr;
  while (rte_ring_sc_dequeue(ring, &entry) == 0) {
    auto* packet = static_cast<rte_mbuf*>(entry);
    const auto* data = rte_pktmbuf_mtod(packet, const uint8_t*);
    taken.emplace_back(data, data + rte_pktmbuf_data_len(packet));
    rte_pktmbuf_free(packet);
  }
  return taken;
}

}  // namespace

IpAddress wan_address(size_t gateway, size_t wan) {
  const auto last = static_cast<uint8_t>(1 + gateway);
  return wan == 0 ? IpAddress::v4({192, 0, 2, last}) : IpAddress::v4({198, 51, 100, last});
}

GatewayNode::GatewayNode(VirtualClock& clock, const GatewaySpec& spec) : clock_(clock) {
  describe(spec);
  wire_pool_.reset(*make_pool(unique("wire"), 1'023, 1'500));
  for (size_t wan = 0; wan < kWans; ++wan) {
    open_port(unique("wan"), PortRole::kOutside, wan_address(spec.number, wan));
  }
  open_port(unique("lan"), PortRole::kInside, address(kInsideAddress));
  auto mac = MessageMac::create();
  const ResponderMacKeys keys = ResponderMacKeys::derive(*mac, public_key_of(spec.private_key));
  auto dataplane = Dataplane::create(profile_, {.mac1 = keys.mac1, .routes = {64, 8, 0, 0}});
  EXPECT_TRUE(dataplane.ok()) << (dataplane.ok() ? "" : dataplane.error().message);
  dataplane_ = std::move(*dataplane);
  log_ = std::make_unique<EventLog>(event_options(profile_, "matrix", {}));
  log_->start();
  auto loop = ControlLoop::create(profile_, engine_config(spec), view(), *log_, clock_);
  EXPECT_TRUE(loop.ok()) << (loop.ok() ? "" : loop.error().message);
  loop_ = std::move(*loop);
  loop_->on_reload([this] { return load_gateway_policy(reload_from); });
}

GatewayNode::~GatewayNode() {
  turn();
  loop_.reset();
  for (PortRings& port : rings_) {
    for (auto* rings : {&port.rx, &port.tx})
      for (Ring& ring : *rings) take_all(ring.get());
  }
  EXPECT_EQ(rte_mempool_in_use_count(wire_pool_.get()), 0U) << "frames leaked";
  EXPECT_EQ(rte_mempool_in_use_count(dataplane_->control_pool()), 0U) << "control's frames leaked";
}

void GatewayNode::describe(const GatewaySpec& spec) {
  profile_.node = "gw" + std::to_string(spec.number);
  profile_.cores.workers.assign(spec.workers, 0);
  profile_.listen_port = kListenPort;
  profile_.limits.sessions = 16;
  profile_.limits.mbufs = 511;
  profile_.limits.control_mbufs = 1'023;
  profile_.policy = spec.policy;
  profile_.events.sinks = spec.sinks;
  profile_.admin.socket =
      testing::TempDir() + "jvpn_matrix_" + std::to_string(getpid()) + "/" + unique("admin");
  for (const EnginePeer& peer : spec.peers) {
    profile_.peers.push_back({peer.name, peer.public_key, {}, peer.inner_addresses, {}});
  }
}

void GatewayNode::open_port(const std::string& name, PortRole role, const IpAddress& own) {
  const auto queues = static_cast<unsigned>(profile_.cores.workers.size());
  PortRings& port = rings_.emplace_back();
  std::vector<rte_ring*> rx;
  std::vector<rte_ring*> tx;
  for (unsigned queue = 0; queue < queues; ++queue) {
    rx.push_back(port.rx.emplace_back(make_ring()).get());
    tx.push_back(port.tx.emplace_back(make_ring()).get());
  }
  rte_eth_from_rings(name.c_str(), rx.data(), queues, tx.data(), queues, 0);
  PortProfile described;
  described.name = name;
  described.vdev = "net_ring_" + name;
  described.role = role;
  // Inside a host's address alone: no prefix needs a table.
  const uint8_t length = role == PortRole::kInside ? 32 : 24;
  described.addresses = {Prefix{own, length}};
  profile_.ports.push_back(described);
}

EngineConfig GatewayNode::engine_config(const GatewaySpec& spec) const {
  EngineConfig config;
  config.private_key = spec.private_key;
  config.peers = spec.peers;
  config.suites = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};
  config.lanes = spec.workers;
  config.slot_bits = dataplane_->sessions().slot_bits();
  config.policy = spec.policy;
  if (spec.adjust) spec.adjust(config);
  return config;
}

DataplaneView GatewayNode::view() {
  DataplaneView lent{.ports = dataplane_->ports(),
                     .sessions = dataplane_->sessions(),
                     .routes = dataplane_->routes(),
                     .rcu = dataplane_->rcu(),
                     .cookie_secrets = dataplane_->cookie_secrets(),
                     .control_pool = dataplane_->control_pool(),
                     .rings = {},
                     .counters = {},
                     .link_up = [this](uint16_t port) { return port >= kWans || links[port]; }};
  for (size_t worker = 0; worker < dataplane_->workers(); ++worker) {
    lent.rings.push_back(&dataplane_->rings(worker));
    lent.counters.push_back(&dataplane_->counters(worker));
  }
  return lent;
}

void GatewayNode::receive(uint16_t port, const Bytes& frame, uint16_t queue) {
  rte_mbuf* packet = rte_pktmbuf_alloc(wire_pool_.get());
  ASSERT_NE(packet, nullptr);
  char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
  ASSERT_NE(data, nullptr);
  std::ranges::copy(frame, reinterpret_cast<uint8_t*>(data));
  ASSERT_EQ(rte_ring_sp_enqueue(rings_[port].rx[queue].get(), packet), 0);
}

void GatewayNode::turn() {
  bool busy = true;
  while (busy) {
    busy = false;
    for (size_t worker = 0; worker < dataplane_->workers(); ++worker) {
      busy = dataplane_->poll(worker) != 0 || busy;
    }
    busy = loop_->turn(clock_.now()) || busy;
  }
  read_events();
}

/// Every event that was added so far, as soon as it is a line.
void GatewayNode::read_events() {
  std::vector<TakenLine> taken;
  while (read_.sequence < log_->added()) {
    log_->lines().read(read_, EventLog::kKeptLines, taken);
    if (taken.empty()) std::this_thread::yield();
    for (const TakenLine& each : taken) book_.add(each.line->text);
    taken.clear();
  }
}

std::vector<Bytes> GatewayNode::sent(uint16_t port) {
  std::vector<Bytes> all;
  for (Ring& ring : rings_[port].tx) {
    for (Bytes& frame : take_all(ring.get())) all.push_back(std::move(frame));
  }
  return all;
}

std::string GatewayNode::ask(const std::string& request) {
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  profile_.admin.socket.copy(to.sun_path, sizeof to.sun_path - 1);
  EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const std::string line = request + "\n";
  EXPECT_EQ(write(client, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  std::string answer;
  for (int turns = 0; turns < 100 && !answer.ends_with('\n'); ++turns) {
    clock_.advance(Millis{5});
    loop_->turn(clock_.now());
    std::array<char, 4'096> buffer;
    const ssize_t got = read(client, buffer.data(), buffer.size());
    if (got > 0) answer.append(buffer.data(), static_cast<size_t>(got));
  }
  close(client);
  read_events();
  return answer;
}

uint64_t GatewayNode::drops(Drop reason) const {
  uint64_t count = 0;
  for (size_t worker = 0; worker < dataplane_->workers(); ++worker) {
    count += dataplane_->counters(worker).drops[static_cast<size_t>(reason)].load();
  }
  return count;
}

}  // namespace jvpn::test
