// jvpn-perf storm: what happens to a gateway's sessions when all of them lose their path at once.
//
//   set up      every session by a handshake of its own, which takes no simulated time
//   quiet       the same sessions without a storm: what heartbeats and probes take
//   interface   the gateway's port fails: it tells all on another path
//   return      all jump back, as planned
//   path        the path dies and nobody is told
//   cold        the peers' link fails, and all come by one that was never probed
//   rekeys      the path dies while keys are renewed
//   nobody      no path leads anywhere for some seconds, then a single one
//
// A phase lasts until the last session is attached on the other path.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "perf/harness/command.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/harness/progress.h"
#include "perf/storm/storm_options.h"
#include "perf/storm/storm_world.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kCallsAtOnce = 500;
constexpr uint64_t kSetUpLimitUs = 600'000'000;
constexpr uint64_t kAftermathUs = 2'000'000;  ///< answers, drained indices, what is probed anew
constexpr uint64_t kAskedAgainMs = 500;
constexpr uint32_t kRekeysAreRolling = 20;  ///< one of so many sessions has new keys

class Storm {
 public:
  explicit Storm(const StormOptions& options) : options_(options), world_(options) {}

  Result<void> start() { return world_.start(); }
  void set_up();
  void run();
  Json take();

 private:
  struct Phase {
    const char* name;
    void (Storm::*begin)();
  };
  static const std::array<Phase, 7> kPhases;
  friend std::vector<std::string> storm_phases();

  void quiet() { world_.run_for(uint64_t{options_.rest_ms} * 1'000); }
  void interface();
  void go_back();
  void path();
  void cold();
  void rekeys();
  void nobody();

  void measure(const Phase& phase);
  /// From now on everybody has to be there.
  void move_to(uint16_t network) { left_ = std::exchange(at_, network); }
  uint16_t other() const { return at_ == networks_[0] ? networks_[1] : networks_[0]; }
  void set_networks(std::array<uint16_t, 2> networks);
  bool all_back();
  /// The storm begins: what was until now is told apart.
  void mark() {
    before_.push_back(new_figures());
    begun_us_ = world_.now_us();
  }
  Json storm_figures(bool back);
  Json new_figures();

  const StormOptions& options_;
  StormWorld world_;
  const ProgressLine line_;
  std::array<uint16_t, 2> networks_{0, 1};  ///< that the peers have
  uint16_t at_ = 0;                         ///< network that all sessions are on, or have to be
  uint16_t left_ = 0;                       ///< the one before
  uint64_t begun_us_ = 0;
  Json before_;  ///< figures of what was before that
  uint64_t setup_us_ = 0;
  uint64_t attached_ = 0;
  Json phases_ = Json::array();
};

const std::array<Storm::Phase, 7> Storm::kPhases{{{"quiet", &Storm::quiet},
                                                  {"interface", &Storm::interface},
                                                  {"return", &Storm::go_back},
                                                  {"path", &Storm::path},
                                                  {"cold", &Storm::cold},
                                                  {"rekeys", &Storm::rekeys},
                                                  {"nobody", &Storm::nobody}}};

std::vector<std::string> storm_phases() {
  std::vector<std::string> names;
  for (const Storm::Phase& each : Storm::kPhases) names.emplace_back(each.name);
  return names;
}

void Storm::set_up() {
  const uint64_t begun = world_.now_us();
  uint32_t called = 0;
  world_.gateway().charge(false);
  world_.run_until(begun + kSetUpLimitUs, [&] {
    const uint64_t attached = world_.gateway().attached();
    while (called < options_.sessions && called < attached + kCallsAtOnce)
      world_.peers().dial(world_.now_us(), called++, networks_);
    if (attached % 1'024 == 0) line_.show(attached, options_.sessions, "handshakes");
    return attached == options_.sessions;
  });
  world_.gateway().charge(true);
  setup_us_ = world_.now_us() - begun;
  attached_ = world_.gateway().attached();
}

void Storm::run() {
  for (const Phase& phase : kPhases) {
    const auto& asked = options_.phases;
    if (!asked.empty() && std::ranges::find(asked, phase.name) == asked.end()) continue;
    if (interrupted()) return;
    world_.run_for(uint64_t{options_.rest_ms} * 1'000);
    measure(phase);
  }
}

void Storm::measure(const Phase& phase) {
  line_.show(phases_.size(), kPhases.size(), phase.name);
  before_ = Json::array();
  mark();
  (this->*phase.begin)();
  const bool back =
      world_.run_until(begun_us_ + uint64_t{options_.limit_ms} * 1'000, [&] { return all_back(); });
  Json figures = storm_figures(back);
  for (uint16_t network = 0; network < kStormNetworks; ++network) world_.mend(network);
  world_.run_for(kAftermathUs);
  figures["before"] = std::move(before_);
  figures["after"] = new_figures();
  figures["peers_attached"] = world_.peers().attached();
  phases_.push_back({{"phase", phase.name}});
  phases_.back().update(figures);
}

bool Storm::all_back() {
  ControlCore& gateway = world_.gateway();
  return gateway.attached() == options_.sessions && gateway.bound_to(at_) == options_.sessions;
}

// ---- How each phase begins.

void Storm::interface() {
  world_.cut(at_);
  world_.gateway().lose_interface(at_);
  move_to(other());
}

/// Whoever wants a planned jump asks again when it was given up.
void Storm::go_back() {
  move_to(other());
  for (uint64_t asked = 0; !all_back() && asked < options_.limit_ms; asked += kAskedAgainMs) {
    world_.peers().jump(world_.now_us(), at_);
    world_.run_until(world_.now_us() + kAskedAgainMs * 1'000, [&] { return all_back(); });
  }
}

void Storm::path() {
  world_.cut(at_);
  move_to(other());
}

void Storm::cold() {
  world_.cut(at_);
  set_networks({other(), uint16_t{2}});
  world_.cut(other());
  move_to(2);
  for (uint32_t peer = 0; peer < options_.sessions; ++peer)
    world_.peers().lose(world_.now_us(), peer, left_);
}

void Storm::set_networks(std::array<uint16_t, 2> networks) {
  networks_ = networks;
  for (uint32_t peer = 0; peer < options_.sessions; ++peer)
    world_.peers().set_networks(world_.now_us(), peer, networks_);
}

void Storm::rekeys() {
  const uint64_t rolling = world_.gateway().rekeys() + options_.sessions / kRekeysAreRolling;
  world_.run_until(world_.now_us() + uint64_t{options_.rekey_ms} * 2'000,
                   [&] { return world_.gateway().rekeys() >= rolling; });
  mark();
  path();
}

void Storm::nobody() {
  for (uint16_t network = 0; network < kStormNetworks; ++network) world_.cut(network);
  world_.run_for(uint64_t{options_.absence_ms} * 1'000);
  move_to(other());
  mark();
  world_.mend(at_);
}

// ---- What came of it.

Json storm_json_of(const ControlCore::Figures& of) {
  return {{"cpu_s", static_cast<double>(of.cpu_ns) / 1e9},
          {"turns", of.turns},
          {"messages", of.messages},
          {"longest_turn_us", static_cast<double>(of.longest_ns) / 1e3},
          {"turns_over_1ms", of.over_1ms},
          {"ring_full", of.ring_full},
          {"ring_most", of.ring_most},
          {"rekeys", of.rekeys},
          {"requests", of.requests},
          {"refused", of.refused},
          {"commits", of.commits},
          {"resumes", of.resumes},
          {"over_budget", of.over_budget},
          {"resets", of.resets},
          {"endings", of.endings}};
}

Json Storm::storm_figures(bool back) {
  const uint64_t took = world_.now_us() - begun_us_;
  Json figures = {{"back", back},
                  {"seconds", static_cast<double>(took) / 1e6},
                  {"attached", world_.gateway().attached()},
                  {"bound", world_.gateway().bound_to(at_)}};
  figures.update(new_figures());
  return figures;
}

/// Since it was last asked.
Json Storm::new_figures() {
  Json figures = storm_json_of(world_.gateway().take());
  const EventAccount::Figures events = world_.gateway().events().take();
  figures["events"] = {
      {"emitted", events.emitted}, {"written", events.written}, {"announced", events.announced}};
  figures["denied"] = world_.peers().take_denied();
  figures["peers_endings"] = world_.peers().take_endings();
  return figures;
}

Json Storm::take() {
  return {{"phases", std::move(phases_)},
          {"facts",
           {{"sessions", options_.sessions},
            {"attached", attached_},
            {"setup_s", static_cast<double>(setup_us_) / 1e6},
            {"delay_ms", options_.delay_ms},
            {"absence_ms", options_.absence_ms},
            {"limit_ms", options_.limit_ms},
            {"heartbeat_ms", options_.policy.volatility.heartbeat_interval.value},
            {"idle_max_ms", options_.policy.session.idle_max.value},
            {"ring", options_.ring},
            {"event_ring", options_.policy.observability.event_ring},
            {"handshakes_per_s", options_.handshakes_per_s},
            {"most_s", options_.most_s},
            {"seed", options_.seed}}}};
}

}  // namespace

Result<Measured> measure_storm(const StormOptions& asked) {
  StormOptions options = asked;
  auto& volatility = options.policy.volatility;
  for (Millis* each :
       {&volatility.heartbeat_interval, &volatility.heartbeat_volatile, &volatility.transport_dead})
    each->value *= options.heartbeat_factor;
  Storm storm(options);
  if (auto started = storm.start(); !started) return started.error();
  storm.set_up();
  storm.run();
  return Measured{storm.take()};
}

void add_storm_options(CLI::App& parser, StormOptions& options) {
  add_number(parser, "--sessions", options.sessions, 1, 500'000, "that lose their path at once");
  parser.add_option("--phases", options.phases, "some of all, by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(storm_phases()));
  add_number(parser, "--delay-ms", options.delay_ms, 1, 1'000, "of each path, one way");
  add_number(parser, "--rest-ms", options.rest_ms, 0, 600'000, "before each phase");
  add_number(parser, "--absence-ms", options.absence_ms, 0, 600'000,
             "for which no path leads anywhere");
  add_number(parser, "--limit-ms", options.limit_ms, 1'000, 600'000,
             "after which a phase is given up");
  add_number(parser, "--rekey-ms", options.rekey_ms, 1'000, 120'000, "crypto.rekey_after_ms");
  add_number(
      parser, "--heartbeat-factor", options.heartbeat_factor, 1, 16,
      "the policy's heartbeat_interval_ms, heartbeat_volatile_ms, transport_dead_ms, times this");
  add_number(parser, "--idle-max-ms", options.policy.session.idle_max.value, 0, 600'000,
             "policy.session.idle_max_ms");
  add_number(parser, "--handshakes-per-second", options.handshakes_per_s, 1, 1'000'000,
             "limits.handshakes_per_s; with 1000000 the core alone decides");
  add_number(parser, "--ring", options.ring, 2, 65'536, "limits.control_ring");
  add_number(parser, "--event-ring", options.policy.observability.event_ring, 2, 1'048'576,
             "policy.observability.event_ring");
  add_number(parser, "--most-seconds", options.most_s, 0.001, 600,
             "until the last session is attached again");
  add_seed(parser, options.seed);
  add_json(parser, options.json);
}

Command add_storm(CLI::App& app) {
  return make_command(app, "storm",
                      "What a gateway's sessions go through that lose their path all at once",
                      {.cpus = 2, .why = "two CPUs, one for control, one for the event log"},
                      add_storm_options, measure_storm);
}

}  // namespace jvpn::perf
