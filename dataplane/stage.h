// The stages that a packet passes on a worker: their names, and the one order of each way. Code,
// the harness' figures (dataplane/stage_clock.h) and docs/ARCHITECTURE.md use this list; the layout
// test compares it with what the documents say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace jvpn {

enum class Stage : uint8_t {
  kRx,        ///< rx.h: a burst of one receive queue
  kClassify,  ///< classify.h: headers, up to the JVP message or the inner packet
  kLookup,    ///< lookup.h, seal.h: receiver index or peer → record
  kReplay,    ///< lookup.h, open.h: lane, its owner and its window, before the cipher
  kOpen,      ///< open.h: AEAD, then the window again, and the inner header
  kSource,    ///< open.h: the inner source must route to the peer that sent it
  kRoute,     ///< route.h: the destination's route; hop count, next hop
  kNumber,    ///< seal.h: admission, lane and sequence, outer headers
  kSeal,      ///< seal.h: AEAD
  kTx,        ///< tx.h: the port's buffer, flushed once per poll
  kRest,      ///< no packet's: other rings, RCU, counters
  kCount
};
inline constexpr size_t kStages = static_cast<size_t>(Stage::kCount);
/// Keys of the harness' JSON, too: existing names stay.
inline constexpr std::array<const char*, kStages> kStageNames{
    "rx",    "classify", "lookup", "replay", "open", "source",
    "route", "number",   "seal",   "tx",     "rest"};

/// Data from a peer to an inside port.
inline constexpr std::array kOutsideToInside{Stage::kRx,     Stage::kClassify, Stage::kLookup,
                                             Stage::kReplay, Stage::kOpen,     Stage::kSource,
                                             Stage::kRoute,  Stage::kTx};
/// Data from an inside port to a peer. A packet of one peer to another takes the other way as far
/// as its route, and this one from there.
inline constexpr std::array kInsideToOutside{Stage::kRx,     Stage::kClassify, Stage::kRoute,
                                             Stage::kLookup, Stage::kNumber,   Stage::kSeal,
                                             Stage::kTx};

}  // namespace jvpn
