// The gateway's own control loop under ThreadSanitizer: its turns on this thread, two workers on
// their lcores, and on a third initiators that call over IPv4 and IPv6, again and again, amid
// strangers' initiations, so that cookies are asked for. Time passes kSpeed times as fast: cookie
// secrets rotate under the workers, and sessions renew their keys.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/handshake_mac.h"
#include "common/secret.h"
#include "control/engine/engine.h"
#include "control/events/event_log.h"
#include "control/gateway/control_loop.h"
#include "tests/stress/run_anywhere.h"
#include "tests/support/must.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/ring_gateway.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"
#include "tests/support/silent_host.h"

namespace jvpn::test {
namespace {

constexpr uint16_t kLoopWorkers = 2;
constexpr uint64_t kSpeed = 20;
constexpr uint32_t kCallers = 4;  ///< those with odd numbers by IPv6
constexpr uint16_t kFirstPort = 40'000;
constexpr Millis kCallAgain{30'000};
constexpr double kStrangers = 0.1;  ///< of them for each round of the callers
constexpr uint64_t kRotations = 2;  ///< of the cookie secrets, under traffic
constexpr std::chrono::seconds kLongest{20};
constexpr Mac48 kOutsideMac{0x02, 0, 0, 0, 0x02, 1};
constexpr PeerId kTheGateway{0};

class FastClock final : public GatewayClock {
 public:
  uint64_t now_us() const override { return start_ + (boottime_us() - start_) * kSpeed; }
  Millis at_tsc(uint64_t tsc) const override {
    if (tsc == 0) return Millis{0};
    const uint64_t ago = std::max(rte_rdtsc(), tsc) - tsc;
    return now() - Millis{ago / (rte_get_tsc_hz() / 1'000) * kSpeed};
  }

 private:
  const uint64_t start_ = boottime_us();
};

SecretKey secret_of(uint32_t number) {
  SecretKey secret;
  secret.bytes().fill(static_cast<uint8_t>(number + 1));
  return secret;
}
const SecretKey kGatewaySecret = secret_of(100);

IpAddress outside_of(uint32_t caller) {
  return address(caller % 2 == 0 ? "192.0.2.9" : "2001:db8::9");
}
IpAddress inside_of(uint32_t caller) {
  return IpAddress::v4({10, 1, 0, static_cast<uint8_t>(2 + caller)});
}
IpAddress ours_for(uint32_t caller) {
  return address(caller % 2 == 0 ? "192.0.2.1" : "2001:db8::1");
}

Policy loop_policy() {
  Policy policy;
  policy.transport.candidate_validation_ttl = Millis{0};
  policy.volatility.heartbeat_interval = Millis{4'000};  // a round trip takes so much longer, too
  policy.volatility.heartbeat_volatile = Millis{20'000};
  policy.volatility.transport_dead = Millis{60'000};
  return policy;
}

GatewayProfile loop_profile() {
  GatewayProfile profile = wan_and_lan(kLoopWorkers);
  profile.node = "loop";
  profile.cores.idle = IdleMode::kAdaptive;
  profile.limits.sessions = 16;
  profile.limits.mbufs = 2'047;
  profile.limits.control_mbufs = 511;
  profile.limits.control_ring = 64;
  profile.limits.handoff_ring = 64;
  profile.policy = loop_policy();
  profile.events.sinks.clear();
  profile.ports[kWan].addresses.push_back({address("2001:db8::1"), 64});
  for (const uint32_t caller : {0U, 1U})
    profile.ports[kWan].neighbors.push_back({outside_of(caller), kOutsideMac});
  profile.ports[kLan].neighbors.push_back({address("10.0.0.2"), kOutsideMac});
  profile.admin.socket = testing::TempDir() + "jvpn_loop_" + std::to_string(getpid());
  for (uint32_t caller = 0; caller < kCallers; ++caller)
    profile.peers.push_back({"caller" + std::to_string(caller),
                             public_key_of(secret_of(caller)),
                             {},
                             {{inside_of(caller), 32}},
                             {},
                             {}});
  return profile;
}

/// An initiator. Wire thread, but for what is atomic.
class Caller final : public SilentHost {
 public:
  Caller(uint32_t number, RingGateway& gateway, const FastClock& clock)
      : SilentHost(run_seed() + number), number_(number), gateway_(gateway), clock_(clock) {
    EngineConfig config;
    config.private_key = secret_of(number);
    config.peers.push_back({"gateway", public_key_of(kGatewaySecret), std::nullopt, {}});
    config.suites = {Suite::kAes128Gcm};
    config.rekey_after = Millis{20'000};
    config.policy = loop_policy();
    engine_ = must(SessionEngine::create(std::move(config), *this, clock.now()));
  }

  void serve() {
    const Millis now = clock_.now();
    if (now >= call_at_) {
      call_at_ = now + kCallAgain;
      engine_->dial(now, kTheGateway, path());
    }
    if (engine_->next_deadline() <= now) engine_->advance(now);
    for_each_session(*engine_, [&](const SessionView& view) {
      if (view.rekeys != 0) rekeyed.store(true, std::memory_order_relaxed);
    });
    offer_data();
  }
  void receive(Bytes message) {
    if (message.empty() || wire::MessageType{message[0]} == wire::MessageType::kData) return;
    give(*engine_, clock_.now(), path(), message);
  }

  std::atomic<unsigned> attached{0};
  std::atomic<bool> rekeyed{false};

  void send(const Path&, std::span<const uint8_t> datagram) override {
    offer({datagram.begin(), datagram.end()});
  }
  void install_tx(const TxInstall& install) override {
    if (!tx_ || tx_->key_generation != install.key_generation ||
        tx_->traffic_key != install.traffic_key)
      sequence_ = 0;
    tx_ = install;
    attached.store(attached.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void withdraw_tx(PeerId) override { tx_.reset(); }
  wire::Timestamp timestamp() override { return session::tai64n_now(); }

  /// A datagram from this caller's address, for either worker.
  void offer(const Bytes& message) {
    const Bytes datagram =
        udp_datagram(static_cast<uint16_t>(kFirstPort + number_), kListenPort, message);
    const Bytes frame = ip_frame(kPortMac, kOutsideMac,
                                 ip_packet(outside_of(number_), ours_for(number_), datagram));
    rte_mbuf* packet = rte_pktmbuf_alloc(gateway_.pool());
    if (packet == nullptr) return;  // the workers are busy
    char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
    std::memcpy(data, frame.data(), frame.size());
    if (rte_ring_sp_enqueue(gateway_.rx_ring(kWan, ++offered_ % kLoopWorkers), packet) != 0)
      rte_pktmbuf_free(packet);
  }

 private:
  Path path() const {
    return {0,
            {outside_of(number_), static_cast<uint16_t>(kFirstPort + number_)},
            {ours_for(number_), kListenPort}};
  }
  void offer_data() {
    if (!tx_) return;
    const Bytes inner =
        ipv4_packet(inside_of(number_), address("10.0.0.2"), udp_datagram(7, 7, payload_of(20)));
    const uint64_t counter = wire::make_counter(tx_->first_lane, sequence_++) ^ tx_->data_mask;
    offer(openssl_message({wire::MessageType::kData, {}, tx_->peer_index.value, counter},
                          tx_->suite, tx_->traffic_key, inner));
  }

  const uint32_t number_;
  RingGateway& gateway_;
  const FastClock& clock_;
  std::unique_ptr<SessionEngine> engine_;
  std::optional<TxInstall> tx_;
  uint64_t sequence_ = 0;
  Millis call_at_;
  size_t offered_ = 0;
};

class Loop : public testing::Test {
 protected:
  Loop() {
    for (uint32_t caller = 0; caller < kCallers; ++caller)
      callers_.push_back(std::make_unique<Caller>(caller, gateway_, clock_));
    log_.start();
    loop_ = must(ControlLoop::create(gateway_.profile(), engine_config(), view(), log_, clock_));
    first_secrets_ = secrets();
    EXPECT_TRUE(gateway_.dataplane().start().ok());
    wire_ = std::thread([this] { run_wire(); });
    run_anywhere(wire_);
  }
  ~Loop() override {
    end();
    loop_.reset();
    EXPECT_EQ(gateway_.packets_out(), 0U) << "packets leaked";
  }

  EngineConfig engine_config() const {
    EngineConfig config;
    config.private_key = kGatewaySecret;
    for (const PeerProfile& peer : gateway_.profile().peers)
      config.peers.push_back({peer.name, peer.public_key, std::nullopt, peer.allowed_ips});
    config.suites = {Suite::kAes128Gcm};
    config.lanes = kLoopWorkers;
    config.slot_bits = gateway_.dataplane().sessions().slot_bits();
    config.handshakes_per_s = 1;
    config.policy = loop_policy();
    return config;
  }
  DataplaneView view() const {
    Dataplane& dataplane = gateway_.dataplane();
    DataplaneView lent{.ports = dataplane.ports(),
                       .sessions = dataplane.sessions(),
                       .routes = dataplane.routes(),
                       .rcu = dataplane.rcu(),
                       .cookie_secrets = dataplane.cookie_secrets(),
                       .control_pool = dataplane.control_pool(),
                       .data_pool = dataplane.data_pool(),
                       .rings = {},
                       .counters = {},
                       .traces = {},
                       .link_up = [](uint16_t) { return true; }};
    for (size_t worker = 0; worker < dataplane.workers(); ++worker) {
      lent.rings.push_back(&dataplane.rings(worker));
      lent.counters.push_back(&dataplane.counters(worker));
    }
    return lent;
  }

  // Wire thread.

  void run_wire() {
    auto mac = must(MessageMac::create());
    const ResponderMacKeys keys = ResponderMacKeys::derive(mac, public_key_of(kGatewaySecret));
    Random random(run_seed());
    while (!stop_.load(std::memory_order_relaxed)) {
      for (const auto& caller : callers_) caller->serve();
      if (random.chance(kStrangers))
        offer_stranger(mac, keys, *callers_[random.below(kCallers)], random);
      for (size_t worker = 0; worker < kLoopWorkers; ++worker) {
        for (const Punted& left : take_all(gateway_.tx_ring(kWan, worker))) deliver(left.bytes);
        const size_t inner = take_all(gateway_.tx_ring(kLan, worker)).size();
        delivered_.store(delivered_.load(std::memory_order_relaxed) + inner,
                         std::memory_order_relaxed);
      }
    }
  }
  /// Its mac1 is right, and nothing else.
  static void offer_stranger(MessageMac& mac, const ResponderMacKeys& keys, Caller& from,
                             Random& random) {
    Bytes message(sizeof(wire::Initiation));
    random.fill(message);
    wire::Initiation head{};
    head.type = wire::MessageType::kInitiation;
    head.suite = static_cast<uint8_t>(Suite::kAes128Gcm);
    std::memcpy(message.data(), &head, offsetof(wire::Initiation, noise));
    write_macs(mac, keys.mac1, nullptr, message);
    from.offer(message);
  }
  void deliver(const Bytes& frame) {
    const bool v4 = get16(frame, 12) == 0x0800;
    const size_t udp = kEthernetHeaderBytes + (v4 ? 20 : 40);
    if (frame.size() < udp + 8) return;
    const size_t caller = get16(frame, udp + 2) - kFirstPort;
    if (caller < kCallers)
      callers_[caller]->receive({frame.begin() + static_cast<long>(udp + 8), frame.end()});
  }

  // This thread.

  uint64_t secrets() {
    uint64_t drawn = 0;
    loop_->engine().cookie_secrets(drawn);
    return drawn;
  }
  bool has_seen_all() {
    bool all = secrets() >= first_secrets_ + kRotations && delivered_ > 100;
    for (const auto& caller : callers_) all = all && caller->attached > 1 && caller->rekeyed;
    return all && loop_->engine().counters().cookies_sent > 10;
  }
  void end() {
    if (!wire_.joinable()) return;
    stop_ = true;
    wire_.join();
    gateway_.dataplane().stop();
    log_.close();
  }

  const MacKey mac1_ = [] {
    auto mac = must(MessageMac::create());
    return ResponderMacKeys::derive(mac, public_key_of(kGatewaySecret)).mac1;
  }();
  RingGateway gateway_ = must(RingGateway::create(
      loop_profile(), mac1_, must(Tables::create(kLoopWorkers, 16, {64, 8, 64, 0})), 256));
  FastClock clock_;
  EventLog log_{event_options(gateway_.profile(), "stress", {})};
  std::vector<std::unique_ptr<Caller>> callers_;
  std::unique_ptr<ControlLoop> loop_;
  uint64_t first_secrets_ = 0;  ///< drawn before anybody called
  std::atomic<uint64_t> delivered_{0};
  std::atomic<bool> stop_{false};
  std::thread wire_;
};

TEST_F(Loop, turns_while_secrets_rotate_and_sessions_begin_over_both_families) {
  const auto limit = std::chrono::steady_clock::now() + kLongest;
  while (!has_seen_all() && std::chrono::steady_clock::now() < limit) loop_->turn(clock_.now());
  EXPECT_TRUE(has_seen_all()) << gateway_.drop_text();
  std::printf("%llu secrets, %llu cookies, %llu packets delivered;",
              static_cast<unsigned long long>(secrets()),
              static_cast<unsigned long long>(loop_->engine().counters().cookies_sent),
              static_cast<unsigned long long>(delivered_.load()));
  for (const auto& caller : callers_)
    std::printf(" attached %u%s", caller->attached.load(), caller->rekeyed ? " and rekeyed" : "");
  std::printf("\n%s\n", gateway_.drop_text().c_str());
}

}  // namespace
}  // namespace jvpn::test
