#include "tests/matrix/gateway_node.h"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "common/handshake_mac.h"
#include "control/admin/profile_file.h"
#include "tests/support/must.h"
#include "tests/support/unix_client.h"

namespace jvpn::test {
namespace {

GatewayProfile profile_of(const GatewaySpec& spec) {
  static std::atomic<unsigned> gateways{0};
  GatewayProfile profile;
  profile.node = "gw" + std::to_string(spec.number);
  profile.cores.workers.assign(spec.workers, 0);
  profile.listen_port = kListenPort;
  profile.limits.sessions = 16;
  profile.limits.mbufs = 1'023;
  profile.limits.control_mbufs = 1'023;
  profile.policy = spec.policy;
  profile.events.sinks = spec.sinks;
  profile.admin.socket = testing::TempDir() + "jvpn_matrix_" + std::to_string(getpid()) + "/admin" +
                         std::to_string(gateways.fetch_add(1));
  for (const EnginePeer& peer : spec.peers)
    profile.peers.push_back(
        {peer.name, peer.public_key, {}, peer.inner_addresses, spec.endpoints, {}});
  for (size_t wan = 0; wan < kWans; ++wan)
    profile.ports.push_back(
        port_of("wan", PortRole::kOutside, {{wan_address(spec.number, wan), 24}}));
  // A host's address alone: no prefix needs a table.
  profile.ports.push_back(port_of("lan", PortRole::kInside, {{address(kInsideAddress), 32}}));
  if (spec.adjust_profile) spec.adjust_profile(profile);
  return profile;
}

RingGateway gateway_of(const GatewaySpec& spec) {
  auto mac = must(MessageMac::create());
  const ResponderMacKeys keys = ResponderMacKeys::derive(mac, public_key_of(spec.private_key));
  GatewayProfile profile = profile_of(spec);
  Tables tables = must(Tables::create(spec.workers, profile.limits.sessions, {64, 8, 0, 0}));
  return must(RingGateway::create(std::move(profile), keys.mac1, std::move(tables)));
}

}  // namespace

IpAddress wan_address(size_t gateway, size_t wan) {
  const auto last = static_cast<uint8_t>(1 + gateway);
  return wan == 0 ? IpAddress::v4({192, 0, 2, last}) : IpAddress::v4({198, 51, 100, last});
}

GatewayNode::GatewayNode(VirtualClock& clock, const GatewaySpec& spec)
    : clock_(clock), gateway_(gateway_of(spec)) {
  // Five minutes pass in a third of a second; what workers grant a second must not be short of it.
  for (size_t number = 0; number < gateway_.workers(); ++number)
    gateway_.worker(number).quicken_budgets(10'000);
  log_ = std::make_unique<EventLog>(event_options(gateway_.profile(), "matrix", {}));
  log_->start();
  loop_ = must(ControlLoop::create(gateway_.profile(), engine_config(spec), view(), *log_, clock_));
  peers_to_reload = spec.peers;
  loop_->on_reload([this, key = spec.private_key] { return load(key); });
}

/// The gateway's own profile, with the policy of the file.
Result<LoadedGateway> GatewayNode::load(const SecretKey& key) const {
  if (while_reading) while_reading();
  LoadedGateway loaded{reload_from, gateway_.profile(), key, {}};
  if (!reload_from.empty()) {
    const auto text = read_text_file(reload_from);
    if (!text) return text.error();
    const auto profile = parse_gateway_profile(*text, reload_from);
    if (!profile) return profile.error();
    loaded.profile.policy = profile->policy;
  } else {
    loaded.profile.policy = loop_->engine().policy();
  }
  loaded.profile.peers.clear();
  for (const EnginePeer& peer : peers_to_reload) {
    loaded.profile.peers.push_back({peer.name, peer.public_key, {}, peer.inner_addresses, {}, {}});
    loaded.preshared.push_back(peer.preshared);
  }
  return loaded;
}

GatewayNode::~GatewayNode() {
  turn();
  loop_.reset();
  EXPECT_EQ(gateway_.packets_out(), 0U) << "packets leaked";
}

EngineConfig GatewayNode::engine_config(const GatewaySpec& spec) const {
  EngineConfig config;
  config.private_key = spec.private_key;
  config.peers = spec.peers;
  config.suites = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};
  config.lanes = spec.workers;
  config.slot_bits = gateway_.dataplane().sessions().slot_bits();
  config.policy = spec.policy;
  if (spec.adjust) spec.adjust(config);
  return config;
}

DataplaneView GatewayNode::view() {
  DataplaneView lent = gateway_.dataplane().view();
  lent.link_up = [this](uint16_t port) { return port >= kWans || links[port]; };
  return lent;
}

void GatewayNode::receive(uint16_t port, const Bytes& frame, size_t hash) {
  gateway_.receive(port, frame, worker_of_queue(port, hash, gateway_.workers()));
}

void GatewayNode::turn() {
  bool busy = true;
  while (busy) {
    busy = gateway_.poll() != 0;
    busy = (!stalled && loop_->turn(clock_.now())) || busy;
  }
  read_events();
}

void GatewayNode::turn_control(uint64_t us_per_look) {
  const Millis now = clock_.now();
  clock_.us_per_look = us_per_look;
  loop_->turn(now);
  clock_.us_per_look = 0;
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

std::string GatewayNode::ask(const std::string& request) {
  return answer_to(begin_asking(request));
}

int GatewayNode::begin_asking(const std::string& request) const {
  const int client = dial(admin_socket());
  send_text(client, request + "\n");
  return client;
}

std::string GatewayNode::answer_to(int client) {
  constexpr int kTurnsToAnswer = 20;
  std::string answer;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (int turns = 0; !answer.ends_with('\n') && std::chrono::steady_clock::now() < limit;
       ++turns) {
    // A profile is read by a thread of its own, which has no part in this clock.
    if (turns < kTurnsToAnswer)
      clock_.advance(Millis{5});
    else
      std::this_thread::yield();
    loop_->turn(clock_.now());
    std::array<char, 4'096> buffer;
    const ssize_t got = read(client, buffer.data(), buffer.size());
    if (got > 0) answer.append(buffer.data(), static_cast<size_t>(got));
  }
  close(client);
  read_events();
  return answer;
}

}  // namespace jvpn::test
