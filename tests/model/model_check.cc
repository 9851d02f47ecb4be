// Walks the real transition function breadth-first, over every event, guard and clock relation, to
// a fixed point, and checks each edge. Then does it again with deliberate faults put between the
// function and the walk: each must be caught.
//
// Time goes in units of 20 s, every bound of the policy is a small multiple of it, and a record is
// kept as ages that saturate where nothing depends on them any more: so the states are finite while
// each deadline is met before, at and after its time. Versions are judged on each edge and then set
// back. Between steps the walk does what the engine does: time passes, authentic messages arrive,
// keys and lifetimes run out, candidates come and go.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/limits.h"
#include "control/session/state_machine.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

constexpr uint64_t kUnit = 20'000;
constexpr int kMinuteUnits = 3;
constexpr Millis units(uint64_t n) {
  return Millis{n * kUnit};
}

constexpr Millis kNow = units(1'000);
constexpr uint64_t kOld = 500;       // age of a session in units, but for BIRTH
constexpr uint64_t kLifetime = 600;  // its longest
constexpr StateVersion kVersion{10};
constexpr BindingVersion kBinding{10};
constexpr std::array<uint64_t, 3> kBirthAges = {0, kHandshakeTimeoutMs - 1, kHandshakeTimeoutMs};

/// Bounds in units. Each shape puts them into another order, so that each can be the first to end
/// a stay.
struct Shape {
  const char* name;
  uint64_t dead, loss_ttl, stability, to_recovering, to_degraded, cooldown, window, attempt;
  uint32_t attempts, switches, flaps;
  OnRateExceeded on_rate;
};

constexpr std::array kShapes = {
    Shape{"attempts before window", 2, 4, 1, 1, 3, 1, 3, 1, 2, 2, 1, OnRateExceeded::kDegrade},
    Shape{"rate terminates", 2, 4, 1, 1, 3, 1, 3, 1, 2, 2, 1, OnRateExceeded::kTerminate},
    Shape{"window before attempts", 2, 6, 2, 2, 4, 0, 2, 1, 3, 1, 2, OnRateExceeded::kDegrade},
    Shape{"loss TTL before window", 3, 4, 2, 1, 4, 2, 5, 2, 3, 3, 2, OnRateExceeded::kTerminate},
    Shape{"all is long", 3, 6, 3, 2, 5, 2, 6, 2, 2, 3, 2, OnRateExceeded::kDegrade},
};

Policy policy_of(const Shape& shape) {
  Policy policy;
  policy.session.max_lifetime = units(kLifetime);
  policy.session.transport_loss_ttl = units(shape.loss_ttl);
  policy.session.idle_max = units(2);
  policy.volatility.heartbeat_interval = units(1);
  policy.volatility.heartbeat_volatile = units(1);
  policy.volatility.transport_dead = units(shape.dead);
  policy.volatility.stability_window = units(shape.stability);
  policy.volatility.volatile_to_recovering = units(shape.to_recovering);
  policy.volatility.volatile_to_degraded = units(shape.to_degraded);
  policy.volatility.max_flaps_per_min = shape.flaps;
  policy.switching.max_switches_per_min = shape.switches;
  policy.switching.on_rate_exceeded = shape.on_rate;
  policy.switching.switch_cooldown = units(shape.cooldown);
  policy.switching.max_recovery_window = units(shape.window);
  policy.switching.max_recovery_attempts = shape.attempts;
  policy.switching.recovery_attempt = units(shape.attempt);
  return policy;
}

// ---- A record as ages.

constexpr int kNone = -1;
// Ages saturate above every bound of every shape, and above a minute.
constexpr int kEnteredCap = 7;
constexpr int kLostCap = 7;
constexpr int kHealthyCap = 4;
constexpr int kDeniedCap = 3;
constexpr int kSilentCap = 7;
constexpr int kIdleSilentCap = 13;  // idleness doubles the bounds of silence

struct Node {
  State state = State::kBirth;
  bool transport = false;
  bool idle = false;
  int birth = 0;  // BIRTH: index into kBirthAges
  int entered = 0;
  int silent = 0;
  int lost = 0;
  int healthy = kNone;
  int denied = 0;
  std::array<int, 3> switches = {kNone, kNone, kNone};
  std::array<int, 3> recoveries = {kNone, kNone, kNone};
  std::array<int, 3> flaps = {kNone, kNone, kNone};

  bool operator==(const Node&) const = default;
};

// Forgets what no row depends on any more, so that equal futures are equal nodes.
Node normal(Node node) {
  if (node.state == State::kTerminated) return {.state = State::kTerminated};
  if (node.state == State::kBirth) return {.birth = node.birth};
  if (node.state == State::kAttached) node.entered = 0;
  if (node.state != State::kRecovering) node.denied = 0;
  if (node.state != State::kVolatile && node.state != State::kDegraded) node.healthy = kNone;
  if (node.transport) {
    node.lost = 0;
  } else {
    node.silent = 0;
    node.idle = false;
  }
  // A flap counts for a minute before the latest, which in VOLATILE is the entry.
  const int from = node.state == State::kVolatile ? node.entered : 0;
  for (int& age : node.flaps) age = age >= from + kMinuteUnits ? kNone : age;
  for (auto* list : {&node.switches, &node.recoveries}) {
    for (int& age : *list) age = age >= kMinuteUnits ? kNone : age;
  }
  node.entered = std::min(node.entered, kEnteredCap);
  node.silent = std::min(node.silent, node.idle ? kIdleSilentCap : kSilentCap);
  node.lost = std::min(node.lost, kLostCap);
  node.healthy = std::min(node.healthy, kHealthyCap);
  node.denied = std::min(node.denied, kDeniedCap);
  return node;
}

uint64_t key_of(const Node& node) {
  uint64_t key = 0;
  const auto put = [&](int value) { key = key << 4 | static_cast<unsigned>(value + 1); };
  put(static_cast<int>(node.state) << 1 | (node.transport ? 1 : 0));
  put((node.idle ? 4 : 0) + node.birth);
  for (const int value : {node.entered, node.silent, node.lost, node.healthy, node.denied}) {
    put(value);
  }
  for (const int age : node.switches) put(age);
  for (const int age : node.recoveries) put(age);
  for (const int age : node.flaps) put(age);
  return key;
}

Millis ago(int age) {
  return kNow - units(static_cast<uint64_t>(age));
}
int age_of(Millis time) {
  return static_cast<int>((kNow - time).value / kUnit);
}

SessionRecord record_of(const Node& node) {
  SessionRecord record;
  record.state = node.state;
  record.last_authentic = record.entered = kNow;
  record.keys_expire = kNow + units(kOld);
  record.born = kNow - units(kOld);
  if (node.state == State::kBirth) {
    record.born = record.entered = kNow - Millis{kBirthAges[static_cast<size_t>(node.birth)]};
    return record;
  }
  record.version = kVersion;
  record.binding_version = kBinding;
  record.has_transport = node.transport;
  record.idle_interval = node.idle ? units(2) : Millis{0};
  record.entered = ago(node.entered);
  record.last_authentic = ago(node.silent);
  if (!node.transport) record.transport_lost = ago(node.lost);
  if (node.healthy != kNone) record.healthy_since = ago(node.healthy);
  record.denied = static_cast<uint32_t>(node.denied);
  for (size_t i = node.flaps.size(); i-- > 0;) {
    if (node.switches[i] != kNone) record.switches.add(ago(node.switches[i]), record.born);
    if (node.recoveries[i] != kNone) record.recoveries.add(ago(node.recoveries[i]), record.born);
    if (node.flaps[i] != kNone) record.flaps.add(ago(node.flaps[i]), record.born);
  }
  return record;
}

Node node_of(const SessionRecord& record) {
  Node node;
  node.state = record.state;
  node.transport = record.has_transport;
  node.idle = record.idle_interval != Millis{0};
  for (size_t i = 0; i < kBirthAges.size(); ++i) {
    if ((kNow - record.born).value >= kBirthAges[i]) node.birth = static_cast<int>(i);
  }
  if (node.state != State::kBirth) node.birth = 0;
  node.entered = age_of(record.entered);
  node.silent = age_of(record.last_authentic);
  node.lost = age_of(record.transport_lost);
  node.healthy = record.healthy_since ? age_of(*record.healthy_since) : kNone;
  node.denied = static_cast<int>(std::min<uint32_t>(record.denied, kDeniedCap));
  for (size_t i = 0; i < node.flaps.size(); ++i) {
    const auto switched = record.switches.at(i, record.born);
    const auto recovered = record.recoveries.at(i, record.born);
    const auto flap = record.flaps.at(i, record.born);
    node.switches[i] = switched ? age_of(*switched) : kNone;
    node.recoveries[i] = recovered ? age_of(*recovered) : kNone;
    node.flaps[i] = flap ? age_of(*flap) : kNone;
  }
  return normal(node);
}

Node one_unit_later(Node node) {
  if (node.state == State::kBirth) {
    node.birth = std::min<int>(node.birth + 1, kBirthAges.size() - 1);
    return node;
  }
  const bool saturated = node.state == State::kVolatile && node.entered == kEnteredCap;
  const auto older = [](int& age) { age += age == kNone ? 0 : 1; };
  for (int* age : {&node.entered, &node.silent, &node.lost, &node.healthy}) older(*age);
  for (int& age : node.switches) older(age);
  for (int& age : node.recoveries) older(age);
  // Flaps are judged against `entered`: they stop with it.
  for (int& age : node.flaps) {
    if (!saturated) older(age);
  }
  if (saturated) node.entered = kEnteredCap;
  return normal(node);
}

Node heard(Node node, bool idle) {
  node.silent = 0;
  node.idle = idle;
  return normal(node);
}

// ---- Events and guards.

struct Input {
  const char* name;
  SessionEvent event;
};

SessionEvent quality(QualityVerdict verdict) {
  return {.trigger = Trigger::kQuality, .verdict = verdict};
}
SessionEvent commit(uint64_t told, bool planned) {
  return {.trigger = Trigger::kReattachCommitted,
          .binding_version = BindingVersion{told},
          .planned = planned};
}

const std::vector<Input>& inputs() {
  static const std::vector<Input> all = {
      {"key_confirmed, own", {Trigger::kKeyConfirmed}},
      {"key_confirmed, told",
       {.trigger = Trigger::kKeyConfirmed, .binding_version = BindingVersion{11}}},
      {"handshake_failed", {Trigger::kHandshakeFailed, Detail::kAuthentication}},
      {"tick", {Trigger::kTick}},
      {"terminate", {Trigger::kTerminate, Detail::kOperator}},
      {"protocol_violation", {Trigger::kProtocolViolation, Detail::kImpossibleMessage}},
      {"quality, healthy", quality(QualityVerdict::kHealthy)},
      {"quality, volatile", quality(QualityVerdict::kVolatile)},
      {"quality, under floor", quality(QualityVerdict::kUnderFloor)},
      {"transport_dead", {Trigger::kTransportDead}},
      {"commit, own", commit(0, false)},
      {"commit, own, planned", commit(0, true)},
      {"commit, told, stale", commit(9, false)},
      {"commit, told, repeated", commit(10, true)},
      {"commit, told, new", commit(11, false)},
      {"commit, told, new, planned", commit(12, true)},
      {"request_denied", {Trigger::kRequestDenied}},
      {"switch_rate_exceeded", {Trigger::kSwitchRateExceeded}},
      {"switch_requested", {Trigger::kSwitchRequested}},
      {"not authentic: no trigger", {static_cast<Trigger>(200)}},
  };
  return all;
}

/// What the engine or time did to a record since the last step, beside the ages.
struct Guard {
  const char* name;
  void (*prepare)(SessionRecord&);
};

constexpr std::array kGuards = {
    Guard{"nothing else", [](SessionRecord&) {}},
    Guard{"a candidate", [](SessionRecord& record) { record.can_switch = true; }},
    Guard{"session TTL due",
          [](SessionRecord& record) {
            SessionRecord aged = record;
            aged.born = kNow - units(kLifetime);
            aged.switches = aged.recoveries = {};
            aged.flaps = {};
            for (size_t i = record.switches.count(); i-- > 0;) {
              aged.switches.add(*record.switches.at(i, record.born), aged.born);
            }
            for (size_t i = record.recoveries.count(); i-- > 0;) {
              aged.recoveries.add(*record.recoveries.at(i, record.born), aged.born);
            }
            for (size_t i = record.flaps.count(); i-- > 0;) {
              aged.flaps.add(*record.flaps.at(i, record.born), aged.born);
            }
            record = aged;
          }},
    Guard{"keys expired", [](SessionRecord& record) { record.keys_expire = kNow; }},
};

/// The function under test, or a faulty copy of it.
using Transition = std::function<Step(const SessionRecord&, const SessionEvent&, const Policy&)>;

Step real(const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
  return step(record, event, policy, kNow);
}

// ---- The checks of one edge. Each names its fault, or returns null. They compute every bound from
// the record and the policy themselves.

struct Edge {
  const SessionRecord& before;
  const SessionEvent& event;
  const Policy& policy;
  const Step& taken;
  const SessionRecord& after = taken.record;

  bool has_row(Reason reason) const {
    return std::ranges::any_of(taken.rows(),
                               [&](const AppliedRow& row) { return row.reason == reason; });
  }
  bool commits() const {
    return has_row(Reason::kTransportSwitchOk) || has_row(Reason::kHandshakeOk);
  }
};

bool since(Millis start, Millis span) {
  return kNow.value >= start.value + span.value;
}
bool silent_for(const SessionRecord& record, Millis span) {
  const uint64_t times = record.idle_interval == Millis{0} ? 1 : 2;
  return since(record.last_authentic, Millis{span.value * times});
}
bool attached_once(const SessionRecord& record) {
  return record.state != State::kBirth && record.state != State::kTerminated;
}
template <size_t N>
size_t in_last_minute(const SessionRecord& record, const RecentTimes<N>& times) {
  size_t count = 0;
  while (times.at(count, record.born) &&
         !since(*times.at(count, record.born), units(kMinuteUnits))) {
    ++count;
  }
  return count;
}

const char* check_rows(const Edge& edge) {
  const auto rows = edge.taken.rows();
  if (edge.taken.applied != !rows.empty()) return "applied disagrees with the rows";
  State at = edge.before.state;
  uint64_t version = edge.before.version.value;
  for (const AppliedRow& row : rows) {
    if (row.from != at) return "rows don't join";
    if (row.version.value != ++version) return "a row isn't version + 1";
    if (row.reason == Reason::kNone) return "a row without a reason";
    if (kind_of(row.reason) != ReasonKind::kStateTransition) return "not a transition's reason";
    if (!legal_row(row.from, row.to, row.reason)) return "a row that the table doesn't list";
    at = row.to;
  }
  if (edge.after.version.value != version) return "version isn't the number of rows";
  if (edge.after.state != at) return "state isn't where the rows lead";
  if (rows.size() == 2 && !edge.has_row(Reason::kTransportSwitchOk)) return "two rows, no commit";
  if (!rows.empty() && edge.taken.reason != rows.back().reason) return "reason isn't the row's";
  return nullptr;
}

const char* check_unchanged(const Edge& edge) {
  if (edge.before.state == State::kTerminated && !(edge.after == edge.before)) {
    return "TERMINATED isn't absorbing";
  }
  if (edge.event.trigger > Trigger::kSwitchRequested && !edge.taken.applied &&
      !(edge.taken.refused && edge.after == edge.before)) {
    return "input that is no trigger had an effect";
  }
  if (edge.taken.refused && (edge.taken.applied || !(edge.after == edge.before))) {
    return "refused and mutated";
  }
  if (edge.taken.applied) return nullptr;
  SessionRecord noted = edge.before;
  noted.healthy_since = edge.after.healthy_since;
  noted.denied = edge.after.denied;
  if (edge.before.state == State::kRecovering && edge.event.trigger == Trigger::kTransportDead) {
    noted.has_transport = false;
    noted.transport_lost = edge.after.transport_lost;  // check_death judges it
  }
  return noted == edge.after ? nullptr : "mutated without a row";
}

const char* check_binding(const Edge& edge) {
  const bool bound = edge.after.has_transport;
  switch (edge.after.state) {
    case State::kBirth:
    case State::kTerminated:
      if (bound) return "a binding before birth or after the end";
      break;
    case State::kAttached:
    case State::kVolatile:
      if (!bound) return "ATTACHED or VOLATILE without exactly one binding";
      break;
    default:
      break;
  }
  if (bound && !edge.before.has_transport && !edge.commits()) return "a binding without a commit";
  if (edge.commits() != (edge.after.binding_version != edge.before.binding_version)) {
    return "binding_version changes with a commit alone";
  }
  if (!edge.commits()) return nullptr;
  const uint64_t told = edge.event.binding_version.value;
  if (edge.after.binding_version.value != (told != 0 ? told : edge.after.version.value)) {
    return "binding_version isn't the committer's version";
  }
  return edge.after.binding_version > edge.before.binding_version ? nullptr
                                                                  : "binding_version falls";
}

const char* check_commit(const Edge& edge) {
  if (!edge.has_row(Reason::kTransportSwitchOk)) return nullptr;
  if (edge.event.trigger != Trigger::kReattachCommitted) return "a switch without a commit";
  if (edge.event.binding_version != BindingVersion{0}) return nullptr;
  const bool living =
      edge.before.has_transport && !silent_for(edge.before, edge.policy.volatility.transport_dead);
  const size_t lately =
      in_last_minute(edge.before, living ? edge.before.switches : edge.before.recoveries);
  if (lately >= edge.policy.switching.max_switches_per_min) {
    return "more switches of a kind a minute than the policy grants";
  }
  return living && !edge.event.planned ? "a second binding beside a living one" : nullptr;
}

const char* check_death(const Edge& edge) {
  const bool carried = edge.before.has_transport && (edge.before.state != State::kRecovering ||
                                                     edge.event.trigger == Trigger::kTransportDead);
  const bool dead = edge.event.trigger == Trigger::kTransportDead ||
                    silent_for(edge.before, edge.policy.volatility.transport_dead);
  if (carried && dead && edge.after.has_transport && !edge.commits()) {
    return "a dead binding stays active";
  }
  const bool lost = edge.before.has_transport && !edge.after.has_transport;
  if (lost && edge.after.state != State::kTerminated &&
      !silent_for(edge.before, edge.policy.volatility.transport_dead) &&
      edge.event.trigger != Trigger::kTransportDead) {
    return "a living binding is given up";
  }
  if (!attached_once(edge.after) || edge.after.has_transport) return nullptr;
  if (!edge.before.has_transport) {
    return edge.after.transport_lost == edge.before.transport_lost
               ? nullptr
               : "the transport-loss TTL starts anew without a commit";
  }
  const Millis latest =
      std::max(edge.before.last_authentic, kNow - edge.policy.volatility.transport_dead);
  return edge.after.transport_lost > latest ? "the transport-loss TTL starts late" : nullptr;
}

// What must end a session ends it, whatever else happens at the same time.
const char* check_end(const Edge& edge) {
  const SessionRecord& at = edge.before;
  const Policy& policy = edge.policy;
  if (at.state == State::kTerminated || edge.after.state == State::kTerminated) return nullptr;
  if (since(at.born, policy.session.max_lifetime)) return "session time without bound";
  if (at.state == State::kBirth) {
    return since(at.born, Millis{kHandshakeTimeoutMs}) ? "handshake time without bound" : nullptr;
  }
  if (since(at.keys_expire, Millis{0})) return "expired keys in use";
  const Millis ttl = policy.session.transport_loss_ttl;
  if (!at.has_transport && since(at.transport_lost, ttl)) return "transportless without bound";
  if (at.has_transport && silent_for(at, ttl)) return "silence without bound";
  if (at.state == State::kRecovering && since(at.entered, policy.switching.max_recovery_window)) {
    return "recovery time without bound";
  }
  return nullptr;
}

// What else was due and led nowhere.
const char* check_bounds(const Edge& edge) {
  if (edge.taken.applied || edge.before.state == State::kTerminated) return nullptr;
  const SessionRecord& at = edge.after;
  const Policy& policy = edge.policy;
  const auto stay = [&](State state, Millis span) {
    return at.state == state && since(at.entered, span);
  };
  const uint64_t attempts =
      at.denied + (kNow - at.entered).value / policy.switching.recovery_attempt.value;
  if (at.state == State::kRecovering && attempts >= policy.switching.max_recovery_attempts) {
    return "recovery attempts without bound";
  }
  if (stay(State::kVolatile, policy.volatility.volatile_to_degraded)) {
    return "volatile time without bound";
  }
  size_t flaps = 0;
  while (at.flaps.at(flaps, at.born) &&
         *at.flaps.at(flaps, at.born) + units(kMinuteUnits) > at.entered) {
    ++flaps;
  }
  if (at.state == State::kVolatile && flaps > policy.volatility.max_flaps_per_min) {
    return "flaps without bound";
  }
  if (at.state == State::kAttached && silent_for(at, policy.volatility.heartbeat_volatile)) {
    return "silence without VOLATILITY_SIGNAL";
  }
  return nullptr;
}

const char* check_stability(const Edge& edge) {
  if (!edge.has_row(Reason::kHealthRecovered) && !edge.has_row(Reason::kExitDegradedMode)) {
    return nullptr;
  }
  const auto healthy = edge.before.healthy_since;
  if (!healthy || !since(*healthy, edge.policy.volatility.stability_window)) {
    return "stable before the stability window was met";
  }
  return silent_for(edge.before, edge.policy.volatility.heartbeat_volatile) ? "stable in silence"
                                                                            : nullptr;
}

const char* check_deadline(const Edge& edge) {
  if (edge.taken.applied || edge.event.trigger != Trigger::kTick) return nullptr;
  return next_deadline(edge.after, edge.policy) <= kNow ? "a deadline that no tick meets" : nullptr;
}

const char* check_identity(const Edge& edge) {
  if (edge.after.born != edge.before.born || edge.after.keys_expire != edge.before.keys_expire ||
      edge.after.can_switch != edge.before.can_switch) {
    return "a step changed what isn't its own";
  }
  if (!edge.commits() && (edge.after.last_authentic != edge.before.last_authentic ||
                          edge.after.idle_interval != edge.before.idle_interval)) {
    return "a step without a commit changed the clocks of liveness";
  }
  return nullptr;
}

constexpr std::array kChecks = {check_rows,     check_unchanged, check_binding, check_commit,
                                check_death,    check_end,       check_bounds,  check_stability,
                                check_deadline, check_identity};

// ---- The walk.

bool same(const Step& a, const Step& b) {
  return a.applied == b.applied && a.refused == b.refused && a.record == b.record &&
         a.reason == b.reason && a.detail == b.detail && a.row_count == b.row_count &&
         a.all_rows == b.all_rows;
}

class Walk {
 public:
  explicit Walk(Transition transition) : transition_(std::move(transition)) {}

  /// Empty, or the first fault found.
  std::string run() {
    for (const Shape& shape : kShapes) {
      policy_ = policy_of(shape);
      nodes_.clear();
      seen_.clear();
      visit(Node{});
      for (size_t i = 0; i < nodes_.size() && fault_.empty(); ++i) expand(Node{nodes_[i]});
      states_ += nodes_.size();
      if (!fault_.empty()) return fault_;
    }
    for (const TableRow& row : table_rows()) {
      if (!reached_.contains(row)) {
        return std::string("row never reached: ") + to_string(row.from) + " to " +
               to_string(row.to) + " " + to_string(row.reason);
      }
    }
    return "";
  }

  size_t states() const { return states_; }
  uint64_t edges() const { return edges_; }
  size_t rows() const { return reached_.size(); }

 private:
  void visit(const Node& node) {
    if (seen_.insert(key_of(node)).second) nodes_.push_back(node);
  }

  void expand(const Node& node) {
    visit(one_unit_later(node));
    if (node.transport) {
      visit(heard(node, false));
      visit(heard(node, true));
    }
    const SessionRecord plain = record_of(node);
    if (!(node_of(plain) == node)) return blame("the model's own: a node isn't its record's");
    for (const Guard& guard : kGuards) {
      SessionRecord record = plain;
      guard.prepare(record);
      for (const Input& input : inputs()) {
        take(record, input, guard);
        if (!fault_.empty()) return;
      }
    }
    near_the_last_version(plain);
    corrupted(plain);
  }

  void take(const SessionRecord& record, const Input& input, const Guard& guard) {
    const Step taken = transition_(record, input.event, policy_);
    ++edges_;
    const Edge edge{record, input.event, policy_, taken};
    const char* fault = nullptr;
    if (!same(taken, transition_(record, input.event, policy_))) fault = "not deterministic";
    for (const auto check : kChecks) {
      if (fault == nullptr) fault = check(edge);
    }
    if (fault != nullptr) {
      return blame(std::string(fault) + ": " + to_string(record.state) + ", " + input.name + ", " +
                   guard.name + " -> " + to_string(taken.record.state));
    }
    for (const AppliedRow& row : taken.rows()) reached_.insert({row.from, row.to, row.reason});
    visit(node_of(taken.record));
  }

  void near_the_last_version(const SessionRecord& plain) {
    if (plain.state == State::kBirth) return;
    for (const uint64_t left : {uint64_t{0}, uint64_t{1}, uint64_t{2}}) {
      SessionRecord record = plain;
      record.version = StateVersion{UINT64_MAX - left};
      for (const Input& input : inputs()) {
        const Step taken = transition_(record, input.event, policy_);
        ++edges_;
        if (taken.record.version.value - record.version.value != taken.row_count ||
            taken.record.version < record.version) {
          return blame(std::string("the version wraps: ") + input.name);
        }
      }
    }
  }

  void corrupted(const SessionRecord& plain) {
    if (plain.state == State::kTerminated) return;
    for (const bool version : {true, false}) {
      SessionRecord record = plain;
      if (version) {
        record.version = StateVersion{plain.state == State::kBirth ? 1U : 0U};
      } else if (plain.state == State::kRecovering || plain.state == State::kDegraded) {
        record.binding_version = BindingVersion{0};
      } else {
        record.has_transport = !plain.has_transport;
      }
      const Step taken = transition_(record, {Trigger::kTick}, policy_);
      ++edges_;
      if (taken.reason != Reason::kFatalProtocolError) return blame("a corrupt record lives on");
    }
  }

  void blame(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }

  Transition transition_;
  Policy policy_;
  std::vector<Node> nodes_;
  std::unordered_set<uint64_t> seen_;
  std::set<TableRow> reached_;
  size_t states_ = 0;
  uint64_t edges_ = 0;
  std::string fault_;
};

// ---- Deliberate faults.

/// The real function under another policy than the one that is checked.
template <typename Change>
Transition under(Change change) {
  return [change](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
    Policy other = policy;
    change(other);
    return step(record, event, other, kNow);
  };
}

/// The real function, its result altered.
template <typename Change>
Transition altered(Change change) {
  return [change](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
    Step taken = step(record, event, policy, kNow);
    change(taken, record, event);
    return taken;
  };
}

struct Fault {
  const char* name;
  Transition transition;
};

void end_quietly(Step& taken, const SessionRecord& before) {
  taken = Step(before);
}

std::vector<Fault> faulty_rows() {
  using Before = const SessionRecord&;
  using Event = const SessionEvent&;
  return {
      {"a row skips a version", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kRecoveryRetry) --taken.record.version.value;
       })},
      {"a planned commit counts once", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) --taken.record.version.value;
       })},
      {"a planned commit tells one row", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) taken.row_count = 1;
       })},
      {"death keeps the binding", altered([](Step& taken, Before before, Event) {
         if (taken.record.state == State::kRecovering) {
           taken.record.has_transport = before.has_transport;
         }
       })},
      {"a commit binds nothing", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kTransportSwitchOk) taken.record.has_transport = false;
       })},
      {"the end keeps the binding", altered([](Step& taken, Before before, Event) {
         if (taken.reason == Reason::kKeyLifetimeExceeded) {
           taken.record.has_transport = before.has_transport;
         }
       })},
      {"TERMINATED is revived", altered([](Step& taken, Before before, Event event) {
         if (before.state != State::kTerminated || event.trigger != Trigger::kKeyConfirmed) return;
         taken.record.state = State::kAttached;
       })},
      {"a row without a reason", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kExitDegradedMode) return;
         taken.reason = taken.all_rows[0].reason = Reason::kNone;
       })},
      {"a row with another's reason", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kHealthRecovered) return;
         taken.reason = taken.all_rows[0].reason = Reason::kTransportSwitchOk;
       })},
      {"a row goes elsewhere", altered([](Step& taken, Before, Event) {
         if (taken.reason != Reason::kRecoveryRetry || taken.row_count != 1) return;
         taken.record.state = taken.all_rows[0].to = State::kVolatile;
       })},
      {"a row is missing", altered([](Step& taken, Before before, Event) {
         if (taken.reason == Reason::kQualityFloorViolation) end_quietly(taken, before);
       })},
      {"what isn't authentic counts", altered([](Step& taken, Before, Event event) {
         if (event.trigger > Trigger::kSwitchRequested) ++taken.record.denied;
       })},
      {"a refusal moves a clock", altered([](Step& taken, Before, Event) {
         if (taken.refused) taken.record.last_authentic = kNow + units(1);
       })},
      {"the loss TTL starts anew", altered([](Step& taken, Before, Event) {
         if (taken.reason == Reason::kRecoveryRetry && !taken.record.has_transport) {
           taken.record.transport_lost = kNow;
         }
       })},
      {"binding_version lags", altered([](Step& taken, Before, Event) {
         if (taken.row_count == 2) --taken.record.binding_version.value;
       })},
      {"an older binding is taken",
       [](Before record, Event event, const Policy& policy) {
         SessionRecord before = record;
         if (event.binding_version == BindingVersion{9}) before.binding_version.value = 1;
         Step taken = step(before, event, policy, kNow);
         if (taken.reason != Reason::kTransportSwitchOk && taken.reason != Reason::kHandshakeOk) {
           taken.record.binding_version = record.binding_version;
         }
         return taken;
       }},
      {"a commit beside a living binding",
       [](Before record, Event event, const Policy& policy) {
         SessionEvent planned = event;
         planned.planned = true;
         return step(record, planned, policy, kNow);
       }},
      {"a coin decides",
       [coin = false](Before record, Event event, const Policy& policy) mutable {
         coin = !coin;
         Step taken = step(record, event, policy, kNow);
         if (coin && taken.reason == Reason::kEnterDegradedMode) end_quietly(taken, record);
         return taken;
       }},
  };
}

std::vector<Fault> faulty_bounds() {
  constexpr Millis kForever{UINT64_MAX};
  return {
      {"no session TTL", under([=](Policy& p) { p.session.max_lifetime = kForever; })},
      {"no transport-loss TTL", under([=](Policy& p) { p.session.transport_loss_ttl = kForever; })},
      {"no recovery window", under([=](Policy& p) { p.switching.max_recovery_window = kForever; })},
      {"no end of attempts", under([=](Policy& p) { p.switching.recovery_attempt = kForever; })},
      {"one attempt too many", under([](Policy& p) { ++p.switching.max_recovery_attempts; })},
      {"one switch too many", under([](Policy& p) { ++p.switching.max_switches_per_min; })},
      {"flaps not counted", under([](Policy& p) { p.volatility.max_flaps_per_min = 9; })},
      {"no volatile_to_degraded",
       under([=](Policy& p) { p.volatility.volatile_to_degraded = kForever; })},
      {"silence isn't death", under([=](Policy& p) { p.volatility.transport_dead = kForever; })},
      {"silence isn't volatile",
       under([=](Policy& p) { p.volatility.heartbeat_volatile = kForever; })},
      {"stable too early", under([](Policy& p) { p.volatility.stability_window = Millis{0}; })},
      {"idleness without bound",
       [](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
         Policy other = policy;
         other.session.idle_max = units(3);
         SessionRecord before = record;
         if (record.idle_interval != Millis{0}) before.idle_interval = units(3);
         Step taken = step(before, event, other, kNow);
         if (taken.record.idle_interval != Millis{0}) taken.record.idle_interval = units(2);
         return taken;
       }},
      {"keys without end",
       [](const SessionRecord& record, const SessionEvent& event, const Policy& policy) {
         SessionRecord before = record;
         before.keys_expire = Millis{0};
         Step taken = step(before, event, policy, kNow);
         taken.record.keys_expire = record.keys_expire;
         return taken;
       }},
  };
}

size_t uncaught(const std::vector<Fault>& faults) {
  size_t missed = 0;
  for (const Fault& fault : faults) {
    const std::string found = Walk(fault.transition).run();
    std::printf("  %-34s %s\n", fault.name, found.empty() ? "NOT CAUGHT" : found.c_str());
    missed += found.empty() ? 1 : 0;
  }
  return missed;
}

int check_all() {
  const auto started = std::chrono::steady_clock::now();
  Walk walk(real);
  const std::string fault = walk.run();
  std::printf("model_check: %zu states, %llu edges, %zu of %zu rows reached, %zu policies\n",
              walk.states(), static_cast<unsigned long long>(walk.edges()), walk.rows(),
              table_rows().size(), kShapes.size());
  if (!fault.empty()) {
    std::printf("FAULT: %s\n", fault.c_str());
    return 1;
  }
  std::printf("deliberate faults:\n");
  const auto rows = faulty_rows();
  const auto bounds = faulty_bounds();
  const size_t missed = uncaught(rows) + uncaught(bounds);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  std::printf("%zu of %zu faults caught, %.1f s\n", rows.size() + bounds.size() - missed,
              rows.size() + bounds.size(), took.count());
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace jvpn

int main() {
  return jvpn::check_all();
}
