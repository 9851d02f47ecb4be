// Strong types of the protocol's nouns. Plain values: copied, compared, hashed; no behaviour.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace jvpn {

/// A number that only mixes with numbers of its own kind.
template <typename Tag, typename Rep>
struct Strong {
  using rep = Rep;
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
};

/// Index that a receiver chose for one (key generation, binding); all 32 bits are compared.
using ReceiverIndex = Strong<struct ReceiverIndexTag, uint32_t>;
/// Upper 16 bits of a data counter. Belongs to one sending worker and one path under one key.
using LaneId = Strong<struct LaneIdTag, uint16_t>;
/// Counts the applied rows of one session's state machine. Wrap is forbidden.
using StateVersion = Strong<struct StateVersionTag, uint64_t>;
/// The gateway's StateVersion at its last commit of a binding.
using BindingVersion = Strong<struct BindingVersionTag, uint64_t>;
/// Number of a configured peer, dense from 0; the data plane's session tables are indexed by it.
using PeerId = Strong<struct PeerIdTag, uint32_t>;
/// One of a peer's gateways, which share its key pair and its sessions; by their order in the
/// profile.
using GatewayNumber = Strong<struct GatewayNumberTag, uint8_t>;

/// Milliseconds of CLOCK_BOOTTIME, or a span of them. Time is always a parameter.
struct Millis : Strong<struct MillisTag, uint64_t> {
  using Strong::Strong;
  constexpr auto operator<=>(const Millis&) const = default;
};
constexpr Millis operator+(Millis a, Millis b) {
  return Millis{a.value + b.value};
}
/// kNever when the sum is more.
constexpr Millis saturating_add(Millis a, Millis b) {
  return Millis{a.value > UINT64_MAX - b.value ? UINT64_MAX : a.value + b.value};
}
/// Saturates at zero, so that a late clock can't produce a huge span.
constexpr Millis operator-(Millis a, Millis b) {
  return Millis{a.value > b.value ? a.value - b.value : 0};
}

inline constexpr Millis kNever{UINT64_MAX};
inline constexpr Millis kMinute{60'000};

/// Random 128-bit identity of a session; outlives every binding.
struct SessionId {
  std::array<uint8_t, 16> bytes{};
  constexpr auto operator<=>(const SessionId&) const = default;
};

/// 32 lower-case hexadecimal digits.
std::string to_string(const SessionId& id);

/// AEAD suites of the transport (JVP/1 numbers).
enum class Suite : uint8_t { kAes128Gcm = 1, kAes256Gcm = 2, kChaCha20Poly1305 = 3 };

}  // namespace jvpn

template <typename Tag, typename Rep>
struct std::hash<jvpn::Strong<Tag, Rep>> {
  size_t operator()(const jvpn::Strong<Tag, Rep>& v) const noexcept {
    return std::hash<Rep>{}(v.value);
  }
};
template <>
struct std::hash<jvpn::SessionId> {
  size_t operator()(const jvpn::SessionId& id) const noexcept {
    uint64_t word;  // the id is random: its first word is the hash
    __builtin_memcpy(&word, id.bytes.data(), sizeof word);
    return word;
  }
};
