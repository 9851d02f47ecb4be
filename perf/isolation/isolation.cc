// jvpn-perf isolation: what one fault at a time does to many idle sessions on the shipping data
// plane and control loop.
//
//   machine    how often it holds up a thread that only touches memory
//   set up     every session by a handshake of its own
//   none       the same peers without a fault: what heartbeats take here
//   each fault for some seconds, then a pause in which what is late may still come
//
// The driver (the worker's lcore) does all but control's work: the peers, the fault, the worker's
// polls. While it is kept from the CPU nobody answers: a heartbeat's delay is judged without it.
#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "control/session/system_sources.h"
#include "perf/harness/command.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/harness/progress.h"
#include "perf/isolation/crowd.h"
#include "perf/isolation/driver_watch.h"
#include "perf/isolation/faults.h"
#include "perf/isolation/gateway.h"
#include "perf/isolation/isolation_options.h"
#include "perf/isolation/machine_stalls.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kDialsAtOnce = 256;
constexpr uint64_t kPauseUs = 1'000'000;    // then an answer isn't late any more, but lost
constexpr uint64_t kSetUpUs = 300'000'000;  // for all handshakes; also for a fault's first round
constexpr uint32_t kTurnPolls = 4;
constexpr double kMachinePhases = 4;  // so long is the machine watched: stalls are few

/// Numbers of `after` that differ from those of `before`, by their dotted names.
void add_differences(const Json& before, const Json& after, const std::string& name, Json& out) {
  if (after.is_object()) {
    for (const auto& [key, value] : after.items()) {
      const auto at = before.is_object() ? before.find(key) : before.end();
      const Json none = value.is_number() ? Json(0) : Json();
      add_differences(before.is_object() && at != before.end() ? *at : none, value,
                      name.empty() ? key : name + "." + key, out);
    }
    return;
  }
  if (!after.is_number() || !before.is_number() || after == before) return;
  out[name] = after.get<int64_t>() - before.get<int64_t>();
}

/// What the gateway counts and refuses.
Json counters_of(const Json& shown) {
  return {{"drops", shown.value("drops", Json::object())},
          {"control", shown.value("control", Json::object())}};
}

class Driver {
 public:
  Driver(const IsolationOptions& options, IsolatedGateway& gateway, Json machine)
      : options_(options), gateway_(gateway), machine_(std::move(machine)) {}

  void set_crowd(std::unique_ptr<Crowd> crowd) { crowd_ = std::move(crowd); }
  Crowd& crowd() { return *crowd_; }
  void carry(uint32_t peer, std::span<const uint8_t> datagram) {
    gateway_.send(peer, datagram);
    const bool control = wire::MessageType{datagram[0]} == wire::MessageType::kControl;
    if (captures_ && control && peer < options_.sessions) kept_.keep(peer, datagram);
  }

  uint64_t kept_us() {
    watch_.note(now_us());
    return watch_.kept_us();
  }

  void run() {
    set_up();
    if (failure_.empty()) measure("none", nullptr);
    for (const std::string& name : options_.faults) {
      if (!failure_.empty() || interrupted()) return;
      measure(name, make_fault(name, {options_, gateway_, *crowd_, kept_, options_.sessions}));
    }
  }
  const std::string& failure() const { return failure_; }
  Json take() {
    return {{"phases", std::move(phases_)},
            {"facts",
             {{"sessions", options_.sessions},
              {"machine", std::move(machine_)},
              {"attached", attached_},
              {"endings", Json(crowd_->endings())},
              {"setup_s", static_cast<double>(setup_us_) / 1e6},
              {"seconds", options_.seconds},
              {"heartbeat_ms", options_.heartbeat_ms},
              {"most_delay_ms", options_.most_delay_ms},
              {"most_turn_ms", options_.most_turn_ms},
              {"pages", gateway_.pages()},
              {"seed", options_.seed}}}};
  }

 private:
  static uint64_t now_us() { return session::boottime_us(); }

  void turn() {
    const uint64_t now = now_us();
    watch_.note(now);
    crowd_->advance(now);
    for (uint32_t i = 0; i < kTurnPolls; ++i)
      gateway_.poll([&](std::span<uint8_t> message) { crowd_->receive(now_us(), message); });
  }

  void set_up() {
    const ProgressLine line;
    const uint64_t begun = now_us();
    uint64_t moved = begun;
    for (uint32_t next = 0; crowd_->attached() < crowd_->size() && !interrupted();) {
      for (uint32_t i = 0; i < 4 && next < crowd_->size() && crowd_->dialling() < kDialsAtOnce; ++i)
        crowd_->dial(now_us(), next++);
      const uint32_t before = crowd_->attached();
      turn();
      if (crowd_->attached() != before) moved = now_us();
      if (now_us() - moved > kPauseUs * 10 || now_us() - begun > kSetUpUs) {
        failure_ =
            fmt::format("only {} of {} sessions came up", crowd_->attached(), crowd_->size());
        break;
      }
      if (crowd_->attached() % 1'024 == 0)
        line.show(crowd_->attached(), crowd_->size(), "handshakes");
    }
    setup_us_ = now_us() - begun;
    attached_ = crowd_->attached();
    captures_ = true;
    run_for(static_cast<uint64_t>(options_.heartbeat_ms) * 1'000, nullptr);  // all are idle
  }

  /// False: the fault wants more time.
  void run_for(uint64_t us, Fault* fault) {
    const uint64_t begun = now_us();
    bool done = false;
    while ((now_us() - begun < us || !done) && now_us() - begun < kSetUpUs && !interrupted()) {
      turn();
      done = fault == nullptr || fault->turn(now_us());
    }
  }

  Json ask(const Json& request) {
    auto answer = std::async(std::launch::async, ask_gateway, gateway_.socket(), request);
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) turn();
    return answer.get();
  }

  void measure(const std::string& name, std::unique_ptr<Fault> fault) {
    const Json before = counters_of(ask({{"command", "show"}}));
    take_turns();
    const uint64_t long_before = gateway_.turns().long_turns();
    (void)watch_.take();
    const uint64_t refused_before = gateway_.refused();
    crowd_->begin(options_.sessions);
    const uint64_t begun = now_us();
    run_for(static_cast<uint64_t>(options_.seconds * 1e6), fault.get());
    const uint64_t took = now_us() - begun;
    captures_ = false;
    Json told = fault ? end(*fault) : Json::object();
    const DriverWatch::Figures rounds = watch_.take();
    Json turns = take_turns();
    turns["over_1ms"] = gateway_.turns().long_turns() - long_before;
    run_for(kPauseUs, nullptr);
    const Crowd::Account account = crowd_->end(now_us(), kPauseUs);
    Json refused = Json::object();
    add_differences(before, counters_of(ask({{"command", "show"}})), "", refused);
    phases_.push_back({{"fault", name},
                       {"seconds", static_cast<double>(took) / 1e6},
                       {"heartbeats", json_of(account)},
                       {"lost_sessions", account.terminated + account.unanswered},
                       {"turns", std::move(turns)},
                       {"generator", json_of(rounds)},
                       {"generator_refused", gateway_.refused() - refused_before},
                       {"counted", std::move(refused)},
                       {"told", std::move(told)}});
  }

  /// Joins a fault's thread while the worker goes on.
  Json end(Fault& fault) {
    auto told = std::async(std::launch::async, [&] { return fault.end(); });
    while (told.wait_for(std::chrono::seconds(0)) != std::future_status::ready) turn();
    return told.get();
  }

  static Json json_of(const Crowd::Account& account) {
    return {{"sent", account.sent},
            {"answered", account.answered},
            {"unanswered", account.unanswered},
            {"terminated", account.terminated},
            {"p50_us", account.delay.percentile(50)},
            {"p99_us", account.delay.percentile(99)},
            {"p99_99_us", account.delay.percentile(99.99)},
            {"max_us", account.delay.max()},
            {"max_own_us", account.longest_own_us}};
  }
  static Json json_of(const DriverWatch::Figures& rounds) {
    return {{"longest_us", rounds.longest_us},
            {"longest_cpu_us", rounds.longest_cpu_us},
            {"longest_kept_us", rounds.longest_kept_us},
            {"waited", rounds.waited},
            {"preempted", rounds.preempted}};
  }

  /// The longest since the last call.
  Json take_turns() {
    gateway::TurnWatch& turns = gateway_.turns();
    Json parts;
    for (size_t work = 0; work < gateway::kWorks; ++work)
      parts[gateway::kWorkNames[work]] = turns.parts[work].take();
    return {{"longest_cpu_us", turns.cpu.take()},
            {"longest_us", turns.wall.take()},
            {"parts_us", std::move(parts)}};
  }

  const IsolationOptions& options_;
  IsolatedGateway& gateway_;
  Json machine_;
  std::unique_ptr<Crowd> crowd_;
  Captures kept_;
  bool captures_ = false;
  DriverWatch watch_;
  uint64_t setup_us_ = 0;
  uint32_t attached_ = 0;
  std::string failure_;
  Json phases_ = Json::array();
};

}  // namespace

Result<Measured> measure_isolation(const IsolationOptions& asked) {
  IsolationOptions options = asked;
  if (options.faults.empty()) options.faults.assign(std::begin(kFaultNames), std::end(kFaultNames));
  Json machine = measure_machine_stalls(kMachinePhases * options.seconds, options.sessions);
  const SecretKey key = generate_secret_key();
  Driver* driver = nullptr;
  auto crowd = Crowd::create(
      {.peers = options.sessions + 1,
       .gateway = public_key_of(key),
       .heartbeat = Millis{options.heartbeat_ms},
       .seed = options.seed},
      [&](uint32_t peer, std::span<const uint8_t> datagram) { driver->carry(peer, datagram); },
      [&] { return driver->kept_us(); });
  if (!crowd) return crowd.error();
  std::vector<PublicKey> keys;
  for (uint32_t peer = 0; peer < (*crowd)->size(); ++peer) keys.push_back((*crowd)->key_of(peer));
  auto gateway = IsolatedGateway::create(options, key, keys);
  if (!gateway) return gateway.error();
  Driver at_work(options, **gateway, std::move(machine));
  driver = &at_work;
  at_work.set_crowd(*std::move(crowd));
  (*gateway)->run([&] { at_work.run(); });
  if (!at_work.failure().empty()) return Error{at_work.failure()};
  return Measured{at_work.take()};
}

void add_isolation_options(CLI::App& parser, IsolationOptions& options) {
  add_number(parser, "--sessions", options.sessions, 1, 500'000, "idle sessions");
  add_number(parser, "--seconds", options.seconds, 0.1, 600, "of each fault");
  parser.add_option("--faults", options.faults, "some of all, by commas")
      ->delimiter(',')
      ->check(
          CLI::IsMember(std::vector<std::string>(std::begin(kFaultNames), std::end(kFaultNames))));
  add_number(parser, "--heartbeat-ms", options.heartbeat_ms, 600, 600'000,
             "between an idle session's signs of life");
  add_number(parser, "--replays-per-second", options.replays_per_s, 1, 1'000'000,
             "captured control messages");
  add_number(parser, "--rekeys-per-second", options.rekeys_per_s, 1, 1'000'000,
             "by the peer that floods");
  add_number(parser, "--flood-per-second", options.flood_per_s, 1, 10'000'000,
             "cookie replies, or ARP claims");
  add_number(parser, "--most-delay-ms", options.most_delay_ms, 0.001, 60'000,
             "that a heartbeat's answer may take longer than without a fault");
  add_number(parser, "--most-turn-ms", options.most_turn_ms, 0.001, 60'000,
             "that the control thread may run at once");
  parser.add_flag("--small-pages", options.small_pages, "not on 2 MB pages");
  add_seed(parser, options.seed);
  add_json(parser, options.json);
}

Command add_isolation(CLI::App& app) {
  return make_command(app, "isolation",
                      "What floods, a reload and a full show do to many idle sessions",
                      {.cpus = 2, .why = "two CPUs, one for the worker, one for control"},
                      add_isolation_options, measure_isolation);
}

}  // namespace jvpn::perf
