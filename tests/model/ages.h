// The model's states: a session's record as ages, in units of time, that saturate where nothing
// depends on them any more.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/limits.h"
#include "control/session/state_machine.h"
#include "tests/support/rooms.h"

namespace jvpn::model {

inline constexpr uint64_t kUnit = 20'000;
inline constexpr int kMinuteUnits = 3;
constexpr Millis units(uint64_t n) {
  return Millis{n * kUnit};
}

inline constexpr Millis kNow = units(1'000);
inline constexpr uint64_t kOld = 500;       // age of a session in units, but for BIRTH
inline constexpr uint64_t kLifetime = 600;  // its longest
inline constexpr StateVersion kVersion{10};
inline constexpr BindingVersion kBinding{10};
inline constexpr std::array<uint64_t, 3> kBirthAges = {0, kHandshakeTimeoutMs - 1,
                                                       kHandshakeTimeoutMs};

/// Bounds in units. Each shape puts them into another order, so that each can be the first to end
/// a stay.
struct Shape {
  const char* name;
  uint64_t dead, loss_ttl, stability, to_recovering, to_degraded, cooldown, window, attempt;
  uint32_t attempts, switches, flaps;
  OnRateExceeded on_rate;
};

inline constexpr std::array kShapes = {
    Shape{"attempts before window", 2, 4, 1, 1, 3, 1, 3, 1, 2, 2, 1, OnRateExceeded::kDegrade},
    Shape{"rate terminates", 2, 4, 1, 1, 3, 1, 3, 1, 2, 2, 1, OnRateExceeded::kTerminate},
    Shape{"window before attempts", 2, 6, 2, 2, 4, 0, 2, 1, 3, 1, 2, OnRateExceeded::kDegrade},
    Shape{"loss TTL before window", 3, 4, 2, 1, 4, 2, 5, 2, 3, 3, 2, OnRateExceeded::kTerminate},
    Shape{"all is long", 3, 6, 3, 2, 5, 2, 6, 2, 2, 3, 2, OnRateExceeded::kDegrade},
};

inline Policy policy_of(const Shape& shape) {
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

inline constexpr int kNone = -1;
// Ages saturate above every bound of every shape, and above a minute.
inline constexpr int kEnteredCap = 7;
inline constexpr int kLostCap = 7;
inline constexpr int kHealthyCap = 4;
inline constexpr int kDeniedCap = 3;
inline constexpr int kSilentCap = 7;
inline constexpr int kIdleSilentCap = 13;  // idleness doubles the bounds of silence

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
inline Node normal(Node node) {
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

inline uint64_t key_of(const Node& node) {
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

inline Millis ago(int age) {
  return kNow - units(static_cast<uint64_t>(age));
}
inline int age_of(Millis time) {
  return static_cast<int>((kNow - time).value / kUnit);
}

inline SessionRecord record_of(const Node& node) {
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

inline Node node_of(const SessionRecord& record) {
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

inline Node one_unit_later(Node node) {
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

inline Node heard(Node node, bool idle) {
  node.silent = 0;
  node.idle = idle;
  return normal(node);
}

}  // namespace jvpn::model
