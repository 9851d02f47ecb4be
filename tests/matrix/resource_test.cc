// Matrix section 5: floods, flapping, replays, and nobody to write the log for.
#include <set>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tests/matrix/forger.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

using wire::ControlType;

TEST(Resource, reattach_flood) {
  Rig rig;
  rig.connect();
  const Still still(rig);
  Forger forger(rig);
  constexpr size_t kRequests = 300;
  for (size_t i = 0; i < kRequests; ++i) {
    rig.inject(forger.seal(forger.spare(), 0, bytes_of(forger.request())));
  }
  rig.run_for(Millis{5});
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(rig.count(ControlType::kReattachChallenge), 10U) << "a second's worth";
  const auto rejects = forger.answers<wire::ReattachReject>(ControlType::kReattachReject);
  const uint64_t in_worker = rig.gateway().drops(Drop::kControlRate);
  ASSERT_EQ(rejects.size() + in_worker, kRequests - 10);
  ASSERT_FALSE(rejects.empty());
  EXPECT_EQ(rejects.back().reason, static_cast<uint16_t>(Reason::kRateLimited));
  EXPECT_EQ(rejects.back().retry_after_ms, 1'000U);
  EXPECT_GE(events.count(EventKind::kReattach, Reason::kRateLimited), 1U);
  EXPECT_GE(events.count(EventKind::kSecurityEvent, Reason::kSecAbuseControlPlane), 1U);
  EXPECT_LE(events.size(), 40U) << "the flood doesn't decide how much is told";
  still.expect();
}

TEST(Resource, excessive_volatility) {
  RigOptions options;
  options.policy.volatility.volatile_to_degraded = Millis{20'000};
  Rig rig(options);
  rig.connect();
  rig.set_candidates(0, {0});
  for (int flap = 0; flap < 7; ++flap) {
    ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{6'000})) << flap;
    rig.wire(0).cut_up = true;
    rig.run_until([&] { return !rig.attached(); }, Millis{2'000});
    rig.wire(0).cut_up = false;
  }
  const EventBook& events = rig.gateway().events();
  EXPECT_EQ(events.changes().back(), "VOLATILE>DEGRADED ENTER_DEGRADED_MODE");
  EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kVolatilitySignal), 7U);
  EXPECT_EQ(events.count(EventKind::kStateChange, Reason::kHealthRecovered), 6U);
  EXPECT_EQ(rig.at_gateway().version, StateVersion{1 + 7 + 6 + 1});
  EXPECT_EQ(events.count(EventKind::kAuditEvent, Reason::kAuditPolicyLimitTriggered), 1U);
  EXPECT_TRUE(rig.serves()) << "constrained, but over the path that it has";
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{5'000}));
  EXPECT_EQ(events.changes().back(), "DEGRADED>ATTACHED EXIT_DEGRADED_MODE");
}

TEST(Resource, replay_flood) {
  Rig rig;
  rig.connect();
  rig.run_with_data(Millis{2'000}, Millis{20});
  ASSERT_TRUE(rig.jump(1));
  rig.run_with_data(Millis{2'000}, Millis{20});
  rig.run_for(Millis{500});
  const std::vector<Datagram> captured = rig.sent;
  const Still still(rig);
  const EventBook& events = rig.gateway().events();
  const size_t told = events.size();
  const uint64_t echoes = rig.client().echoes();
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    for (const Datagram& each : captured) {
      if (each.up && each.type() != wire::MessageType::kInitiation) rig.inject(each);
    }
    rig.run_for(Millis{50});
  }
  EXPECT_EQ(rig.client().echoes(), echoes) << "nothing was delivered twice";
  EXPECT_GT(rig.gateway().drops(Drop::kReplayDuplicate), 1'000U);
  EXPECT_GE(rig.gateway().engine().counters().control_replayed, 1U) << "the rest ends in workers";
  const size_t security =
      events.count(EventKind::kSecurityEvent, Reason::kSecReplayAttempt, Detail::kNone, told);
  EXPECT_GE(security, 1U);
  EXPECT_LE(security, 30U) << "sampled";
  still.expect();
}

/// While one lives, control has no buffer to send from.
class NoBuffers {
 public:
  explicit NoBuffers(rte_mempool* pool) {
    while (rte_mbuf* buffer = rte_pktmbuf_alloc(pool)) taken_.push_back(buffer);
  }
  ~NoBuffers() {
    for (rte_mbuf* buffer : taken_) rte_pktmbuf_free(buffer);
  }
  NoBuffers(const NoBuffers&) = delete;
  NoBuffers& operator=(const NoBuffers&) = delete;

 private:
  std::vector<rte_mbuf*> taken_;
};

/// Answers that the engine can't send are counted, and asked for again: handshake, jump, rekey.
TEST(BuffersOfControl, AreShortAndWhatCouldNotBeSentIsAskedForAgain) {
  RigOptions options;
  options.rekey_after = Millis{20'000};
  Rig rig(options);
  uint64_t counted = 0;
  const auto expect_counted = [&](const char* what) {
    const auto shown = nlohmann::json::parse(rig.gateway().ask(R"({"command":"show"})"));
    const uint64_t now = shown["control"]["inject"]["no_buffer"];
    EXPECT_GT(now, counted) << what;
    counted = now;
  };
  {
    const NoBuffers none(rig.gateway().control_pool());
    rig.client().dial(rig.client_now(), rig.path(0));
    rig.run_for(Millis{1'500});
    EXPECT_FALSE(rig.attached());
    expect_counted("handshake");
  }
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{5'000}));
  rig.set_candidates(0, {0, 1, 2});
  rig.run_for(Millis{1'000});
  const SessionId id = rig.at_gateway().id;
  {
    const NoBuffers none(rig.gateway().control_pool());
    rig.wish_jump(1);
    rig.run_for(Millis{300});
    EXPECT_EQ(rig.at_gateway().binding, BindingVersion{1});
    expect_counted("jump");
  }
  const std::string wished = to_string(rig.path(1));
  ASSERT_TRUE(rig.run_until([&] { return rig.at_client().path == wished; }, Millis{10'000}));
  rig.run_until([&] { return rig.count(ControlType::kRekeyInitiation) != 0; }, Millis{25'000});
  const auto rekeyed = [&] {
    return rig.gateway().events().count(EventKind::kKeyEvent, Reason::kKeysRenewed) != 0;
  };
  {
    const NoBuffers none(rig.gateway().control_pool());
    rig.run_for(Millis{1'200});
    EXPECT_FALSE(rekeyed());
    expect_counted("rekey");
  }
  EXPECT_TRUE(rig.run_until(rekeyed, Millis{5'000}));
  EXPECT_TRUE(rig.run_until([&] { return rig.attached(); }, Millis{5'000}));
  EXPECT_TRUE(rig.serves());
  EXPECT_EQ(rig.at_gateway().id, id);
}

/// What is used up is a flag of health as long as it is, and an event at either end.
TEST(BuffersOfControl, AreToldToBeUsedUpAndToBeBack) {
  Rig rig;
  rig.connect();
  rig.run_for(Millis{2'000});
  const EventBook& events = rig.gateway().events();
  const auto told = [&](Reason reason, const char* flag) {
    return std::ranges::count_if(events.lines(), [&](const ToldEvent& line) {
      return line.event == to_string(EventKind::kHealthEvent) && line.reason == to_string(reason) &&
             line.check == flag;
    });
  };
  const auto health = [&] {
    const auto shown = nlohmann::json::parse(rig.gateway().ask(R"({"command":"health"})"));
    std::set<std::string> flags;
    for (const auto& each : shown["health"]) flags.insert(each["flag"]);
    return flags;
  };
  EXPECT_EQ(health(), std::set<std::string>{});
  {
    const NoBuffers none(rig.gateway().control_pool());
    rig.run_for(Millis{4'000});
    EXPECT_EQ(health(), (std::set<std::string>{"control_packets_out", "control_pool_low"}));
  }
  EXPECT_EQ(told(Reason::kHealthRaised, "control_pool_low"), 1);
  EXPECT_EQ(told(Reason::kHealthRaised, "control_packets_out"), 1);
  EXPECT_EQ(events.count(Reason::kHealthCleared), 0U);
  rig.run_for(Millis{13'000});
  EXPECT_EQ(health(), std::set<std::string>{});
  EXPECT_EQ(told(Reason::kHealthCleared, "control_pool_low"), 1);
  EXPECT_EQ(told(Reason::kHealthCleared, "control_packets_out"), 1);
  EXPECT_TRUE(rig.attached());
}

/// What a session does while its events go nowhere, or everywhere they should.
std::vector<std::string> life_without_reader(Rig& rig) {
  const SessionId id = rig.at_gateway().id;
  const Policy policy = rig.gateway().engine().policy();
  rig.cut({0});
  for (int i = 0; i < 250; ++i) {  // far more events than any buffer holds
    for (int k = 0; k < 8; ++k) rig.gateway().engine().set_policy(rig.now(), policy);
    rig.run_for(Millis{10});
  }
  rig.expect_on(1);
  EXPECT_TRUE(rig.jump(2));
  EXPECT_EQ(rig.at_gateway().id, id);
  EXPECT_TRUE(rig.serves());
  return rig.gateway().events().changes();
}

/// A disk that is full, and a collector that has stopped reading.
TEST(Resource, log_export_failure) {
  const std::string path = testing::TempDir() + "jvpn_collector_" + std::to_string(getpid());
  unlink(path.c_str());
  Collector collector(path);
  RigOptions options;
  options.policy.observability.event_ring = 1'024;
  std::vector<std::string> healthy;
  {
    Rig rig(options);
    rig.connect();
    healthy = life_without_reader(rig);
  }
  options.sinks = {{EventSinkKind::kUnix, path}, {EventSinkKind::kFile, "/dev/full"}};
  Rig rig(options);
  rig.connect();
  collector.accept_one();
  EXPECT_EQ(life_without_reader(rig), healthy);
  GatewayNode& gateway = rig.gateway();
  EXPECT_TRUE(comes_true([&] { return !gateway.log_status().healthy; }));
  EXPECT_GT(gateway.log_status().lost, 0U);
  EXPECT_NE(gateway.ask(R"({"command":"show"})").find("\"healthy\":false"), std::string::npos);
  // Back again, the collector is told what it has missed.
  const std::string lost = to_string(Reason::kEventsLost);
  const std::string text = collector.read_until([&](const std::string& read) {
    const size_t at = read.find(lost);
    return at != std::string::npos && read.find('\n', at) != std::string::npos;
  });
  EventBook collected(Side::kGateway);
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    collected.add(text.substr(at, end - at));
  }
  EXPECT_GE(collected.count(Reason::kEventsLost), 1U);
  EXPECT_TRUE(rig.serves());
  unlink(path.c_str());
}

}  // namespace
}  // namespace jvpn::test
