#include "tests/simulation/faults.h"

#include <algorithm>
#include <array>

namespace jvpn::sim {
namespace {

constexpr size_t kNoGateway = SIZE_MAX;
constexpr double kMostlyLate = 0.8;
constexpr TrueTime kAway = 6 * kSecond;
constexpr TrueTime kFirst = 3 * kSecond;
constexpr size_t kNetworks = 2;
constexpr std::array kNames = {
    "crash",       "reboot",    "new machine", "stop",        "pause",      "stall control",
    "stall store", "cut store", "flaky store", "slow store",  "no quorum",  "cut pair",
    "hop",         "path down", "storm",       "set wall",    "terminate",  "restart client",
    "jump",        "isolate",   "end unheard", "end at once", "late write", "stumble",
    "come and go"};
/// What may end no session, when it is short.
constexpr std::array kCalm = {
    FaultKind::kCrash,     FaultKind::kStop,       FaultKind::kPause,
    FaultKind::kCutStore,  FaultKind::kFlakyStore, FaultKind::kNoQuorum,
    FaultKind::kSlowStore, FaultKind::kStallStore, FaultKind::kStallControl};
constexpr TrueTime kCalmLongest = 3 * kSecond;
constexpr TrueTime kCalmGap = 20 * kSecond;
constexpr TrueTime kAnswersLate = 700 * kMs;

}  // namespace

std::string to_text(const Fault& fault) {
  const auto ms = [](TrueTime at) { return std::to_string(at / kMs); };
  std::string text = ms(fault.from) + "-" + ms(fault.to) + " ms  " +
                     kNames.at(static_cast<size_t>(fault.kind)) + " g" +
                     std::to_string(fault.gateway) + " c" + std::to_string(fault.client) +
                     " network " + std::to_string(fault.network);
  if (fault.amount != 0) text += " by " + std::to_string(fault.amount) + " ms";
  return text;
}

// ---- What is drawn.

Script::Script(World& world) : world_(world) {
  world_.calm = random().below(4) == 0;
  if (world_.calm)
    draw_calm();
  else
    draw_wild();
  for (const Fault& fault : faults_) {
    end_ = std::max(end_, fault.to);
    world_.at(fault.from, [this, fault] {
      world_.note("begins: " + to_text(fault));
      begin(fault);
    });
    world_.at(fault.to, [this, fault] {
      world_.note("ends: " + to_text(fault));
      end(fault);
    });
  }
}

Fault Script::draw(TrueTime from, TrueTime longest) {
  Fault fault;
  fault.from = from;
  fault.to = from + 20 * kMs + random().below(random().below(longest) + 1);
  fault.gateway = random().below(world_.gateways());
  fault.client = random().below(world_.clients());
  fault.network = random().below(kNetworks);
  fault.share = static_cast<double>(random().below(70)) / 100;
  return fault;
}

void Script::draw_calm() {
  TrueTime from = kFirst;
  for (size_t count = 1 + random().below(3); count != 0; --count) {
    Fault fault = draw(from + random().below(2 * kSecond), kCalmLongest);
    fault.kind = kCalm.at(random().below(kCalm.size()));
    from = fault.to + kCalmGap;
    faults_.push_back(fault);
    if (random().below(2) == 0) continue;
    Fault beside = draw(fault.from, kCalmLongest);
    beside.kind = kCalm.at(random().below(kCalm.size()));
    from = std::max(from, beside.to + kCalmGap);
    faults_.push_back(beside);
  }
}

void Script::draw_wild() {
  const TrueTime span = (5 + random().below(40)) * kSecond;
  for (size_t count = 1 + random().below(12); count != 0; --count) {
    Fault fault = draw(kFirst + random().below(span), 12 * kSecond);
    fault.kind = static_cast<FaultKind>(random().below(kNames.size()));
    if (fault.kind == FaultKind::kSetWall)
      fault.amount = static_cast<int64_t>(random().below(240'000)) - 120'000;
    faults_.push_back(fault);
  }
}

// ---- What happens.

void Script::begin(const Fault& fault) {
  if (fault.kind >= FaultKind::kIsolate) return begin_together(fault);
  if (fault.kind >= FaultKind::kCutPair) return begin_at_client(fault);
  begin_at_gateway(fault);
}

void Script::begin_at_gateway(const Fault& fault) {
  StoreWeather& weather = world_.gateway(fault.gateway).weather;
  switch (fault.kind) {
    case FaultKind::kCrash:
    case FaultKind::kReboot:
    case FaultKind::kNewMachine:
      return world_.kill(fault.gateway);
    case FaultKind::kStop:
      return world_.stop(fault.gateway);
    case FaultKind::kPause:
      return world_.pause(fault.gateway);
    case FaultKind::kStallControl:
      return world_.stall_control(fault.gateway, true);
    case FaultKind::kStallStore:
      return world_.stall_store(fault.gateway, true);
    case FaultKind::kCutStore:
      weather.cut = true;
      return;
    case FaultKind::kFlakyStore:
      weather.lost_before = random().chance(0.5) ? fault.share / 2 : 0;
      weather.lost_after = random().chance(0.5) ? fault.share : 0;
      weather.late = random().chance(0.5) ? fault.share / 2 : 0;
      return;
    case FaultKind::kSlowStore:
      weather.answer_delay = kAnswersLate;
      return;
    default:
      world_.store().set_quorum(false);
  }
}

void Script::begin_at_client(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kCutPair:
      ++world_.cuts[{fault.client, fault.gateway}];
      return;
    case FaultKind::kHop:
    case FaultKind::kPathDown:
      return set_paths(fault, false);
    case FaultKind::kStorm:
      world_.weather.loss = fault.share / 2;
      world_.weather.duplicate = fault.share / 2;
      world_.weather.jitter = random().below(300) * kMs;
      return;
    case FaultKind::kSetWall: {
      const bool at_client = fault.network == 0;
      Clocks& clocks =
          at_client ? world_.client(fault.client).clocks : world_.gateway(fault.gateway).clocks;
      return clocks.set_wall_error(fault.amount);
    }
    case FaultKind::kTerminate:
      return world_.terminate(fault.gateway, fault.client);
    case FaultKind::kRestartClient:
      return world_.restart_client(fault.client);
    default:
      world_.jump(fault.client, fault.network);
  }
}

/// Paths of a client to a gateway go for a while, from some time on.
void Script::leave(size_t client, size_t gateway, TrueTime after, TrueTime until) {
  Fault hop;
  hop.kind = FaultKind::kHop;
  hop.client = client;
  hop.gateway = gateway;
  world_.at(world_.now() + after, [this, hop] { set_paths(hop, false); });
  world_.at(std::max(until, world_.now() + after), [this, hop] { set_paths(hop, true); });
}

void Script::begin_together(const Fault& fault) {
  const size_t served = world_.gateway_of(fault.client);
  const size_t gateway = served < world_.gateways() ? served : fault.gateway;
  const TrueTime span = fault.to - fault.from;
  const auto some = [&](TrueTime most) { return std::min(span, random().below(most)); };
  switch (fault.kind) {
    case FaultKind::kIsolate:
      // What was carried out is still heard of, late; then nothing gets there any more.
      world_.gateway(fault.gateway).weather.answer_delay = kAnswersLate;
      world_.at(world_.now() + some(kSecond),
                [this, fault] { world_.gateway(fault.gateway).weather.lost_before = 1; });
      for (size_t client = 0; client < world_.clients(); ++client)
        if (world_.gateway_of(client) == fault.gateway)
          leave(client, fault.gateway, some(4 * kSecond), fault.to);
      return;
    case FaultKind::kEndUnheard:
      leave(fault.client, gateway, some(kSecond), fault.to);
      world_.at(world_.now() + some(2 * kSecond),
                [this, fault, gateway] { world_.terminate(gateway, fault.client); });
      return;
    case FaultKind::kEndAtOnce:
      for (size_t i = 0; i < world_.gateways(); ++i) world_.gateway(i).weather.late = kMostlyLate;
      world_.restart_client(fault.client);
      world_.at(world_.now() + 100 * kMs + some(2 * kSecond), [this, fault] {
        for (size_t i = 0; i < world_.gateways(); ++i) world_.gateway(i).weather = {};
        const size_t at = world_.gateway_of(fault.client);
        if (at == world_.gateways()) return;
        leave(fault.client, at, 0, world_.now() + kAway);
        world_.terminate(at, fault.client);
      });
      return;
    case FaultKind::kLateWrite:
      world_.gateway(gateway).weather.late = kMostlyLate;
      world_.at(world_.now() + some(500 * kMs),
                [this, fault] { world_.jump(fault.client, fault.network); });
      world_.at(world_.now() + kAway, [this, gateway] { world_.gateway(gateway).weather = {}; });
      return;
    case FaultKind::kStumble:
      world_.kill(gateway);
      world_.start(gateway);
      world_.at(world_.now() + some(500 * kMs), [this, gateway] { world_.kill(gateway); });
      return;
    default:
      come_and_go(fault, gateway);
  }
}

/// Perhaps before the others have heard of the new run.
void Script::come_and_go(const Fault& fault, size_t gateway) {
  const TrueTime starts = world_.now() + random().below(300 * kMs);
  const TrueTime leaves = starts + 200 * kMs + random().below(1'500 * kMs);
  world_.kill(gateway);
  world_.at(starts, [this, gateway] { world_.start(gateway); });
  leave(fault.client, gateway, leaves - world_.now(), std::max(fault.to, leaves + kSecond));
  if (random().below(2) == 0) return;
  for (size_t i = 0; i < world_.gateways(); ++i) {
    if (i == gateway) continue;
    world_.stall_store(i, true);
    world_.gateway(i).weather.answer_delay = kAnswersLate;
    world_.at(leaves + random().below(500 * kMs), [this, i] { world_.stall_store(i, false); });
    world_.at(leaves + 2 * kSecond, [this, i] { world_.gateway(i).weather = {}; });
  }
}

void Script::set_paths(const Fault& fault, bool there) {
  for (size_t network = 0; network < kNetworks; ++network)
    if (fault.kind == FaultKind::kHop || network == fault.network)
      world_.set_path(fault.client, fault.gateway, network, there);
}

// ---- What is over.

void Script::end(const Fault& fault) {
  Gateway& gateway = world_.gateway(fault.gateway);
  switch (fault.kind) {
    case FaultKind::kReboot:
    case FaultKind::kNewMachine:
      move_machine(fault);
      return world_.start(fault.gateway);
    case FaultKind::kCrash:
    case FaultKind::kStop:
    case FaultKind::kComeAndGo:
      return world_.start(fault.gateway);
    case FaultKind::kPause:
      return world_.resume(fault.gateway);
    case FaultKind::kStallControl:
      return world_.stall_control(fault.gateway, false);
    case FaultKind::kStallStore:
      return world_.stall_store(fault.gateway, false);
    case FaultKind::kCutStore:
    case FaultKind::kFlakyStore:
    case FaultKind::kSlowStore:
    case FaultKind::kIsolate:
      gateway.weather = {};
      return;
    case FaultKind::kNoQuorum:
      return world_.store().set_quorum(true);
    case FaultKind::kCutPair:
      --world_.cuts[{fault.client, fault.gateway}];
      return;
    case FaultKind::kHop:
    case FaultKind::kPathDown:
      return set_paths(fault, true);
    case FaultKind::kStorm:
      world_.weather = {};
      return;
    default:
      return;
  }
}

/// Only while no program runs there.
void Script::move_machine(const Fault& fault) {
  Gateway& gateway = world_.gateway(fault.gateway);
  if (gateway.run) return;
  random().fill(gateway.boot);
  gateway.clocks.reboot(world_.now());
  if (fault.kind == FaultKind::kNewMachine) random().fill(gateway.instance);
}

void Script::mend() {
  const size_t gone = random().below(4) == 0 ? random().below(world_.gateways()) : kNoGateway;
  if (gone != kNoGateway) world_.kill(gone);
  for (size_t i = 0; i < world_.gateways(); ++i) {
    Gateway& gateway = world_.gateway(i);
    gateway.weather = {};
    while (gateway.paused != 0) world_.resume(i);
    while (gateway.control_stalled != 0) world_.stall_control(i, false);
    while (gateway.store_stalled != 0) world_.stall_store(i, false);
    if (i != gone) world_.start(i);
    for (size_t client = 0; client < world_.clients(); ++client)
      for (size_t network = 0; network < kNetworks; ++network)
        world_.set_path(client, i, network, true);
  }
  world_.cuts.clear();
  world_.weather = {};
  world_.store().set_quorum(true);
}

}  // namespace jvpn::sim
