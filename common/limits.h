// Limits of this implementation (those of the protocol stand in common/wire.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace jvpn {

inline constexpr size_t kMaxBurst = 64;        ///< packets that a worker takes at once
inline constexpr uint16_t kDefaultBurst = 32;  ///< cores.burst of the profile
inline constexpr uint16_t kDefaultAhead = 5;   ///< cores.prefetch_ahead
inline constexpr uint16_t kMaxAhead = 16;
inline constexpr size_t kMaxWorkers = 32;
inline constexpr size_t kMaxPorts = 16;
/// Sending lanes of one binding, two for each of the most workers. They cost the receiver 1,088
/// bytes each: a peer that asks for all of them 1.1 MB in its kIndicesPerSession.
inline constexpr size_t kMaxLanes = 2 * kMaxWorkers;
inline constexpr size_t kReplayWindowBits = 8'192;  ///< per lane
inline constexpr uint32_t kHoldEntryBytes = 64;     ///< beside each packet that a worker holds
inline constexpr uint32_t kMaxPeers = uint32_t{1} << 20;
inline constexpr size_t kMaxGateways = 8;         ///< of one peer
inline constexpr size_t kMaxEndpoints = 16;       ///< of one peer, its gateways' all together
inline constexpr size_t kMaxSwitchesPerMin = 64;  ///< that a session remembers, for its policy
inline constexpr size_t kMaxFlapsPerMin = 31;     ///< the same
inline constexpr size_t kRebindsRemembered =
    8;  ///< more than their backoff lets through in a minute
inline constexpr uint32_t kMaxNextHops = uint32_t{1} << 16;
/// Receiver indices alive at once: of all generations, their spares, and those that drain.
inline constexpr uint32_t kIndicesPerSession = 16;

/// Hard quota of a GCM key over all lanes, in the cipher's blocks: 2^29 packets of 2 KiB, or fewer
/// that are longer (RFC 9001, B.1.1, bounds their product).
inline constexpr uint64_t kGcmKeyBlocks = uint64_t{1} << 36;
constexpr uint64_t gcm_blocks(uint64_t packets, uint64_t bytes) {
  return packets + bytes / 16;
}
inline constexpr uint32_t kKeyRefuseAfterMs = 180'000;
inline constexpr uint32_t kHandshakeTimeoutMs = 5'000;  ///< BIRTH to key confirmation
inline constexpr uint32_t kRetryMs = 1'000;             ///< handshake and rekey retransmission
/// Control messages that workers open for one index: far more than an honest peer sends, and few
/// beside what a core can do. The burst is so small that all indices of a peer don't fill a ring.
inline constexpr uint32_t kControlPerSecond = 2'000;
inline constexpr uint32_t kControlBurst = 30;
/// Answers to initiations that a worker hands over for one index.
inline constexpr uint32_t kAnswersPerSecond = 100;
inline constexpr uint32_t kAnswerBurst = 8;
/// Messages under an index that nobody has, of which a worker tells control, for each index.
inline constexpr uint32_t kUnknownPerSecond = 10;
inline constexpr uint32_t kUnknownBurst = 2;
inline constexpr uint32_t kCookieSecretMs = 120'000;
inline constexpr size_t kWaitingMessages = 16;  ///< control messages kept while a commit is pending
/// State versions that a session reserves in its store at once: it may use them without asking.
inline constexpr uint64_t kVersionBlock = 1'024;
inline constexpr size_t kTombstones = 256;  ///< ended sessions remembered

}  // namespace jvpn
