// The measurement behind `jvpn-perf handshake`: what a new session costs the core that sets it up,
// against OpenSSL's bare X25519. One thread does everything, the two sides and the raw calls in
// turn.
//
//   initiator                                     responder (the gateway)
//   dial: e, es, ss          ── initiation ──▶    MACs, es, ss, timestamp; e, ee, se, keys
//   ee, se, keys, attached   ◀── response ───
//                            ── heartbeat ───▶    opened: keys confirmed, session ATTACHED,
//                            published ◀── its answers ─
//
// Counted for the responder is all that the shipping engine does from the initiation to the last
// answer, MAC checks and key expansion of the data path's records included: what one core pays if
// it does everything. Not counted: the end of the session before the next one, event sinks, I/O.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/types.h"

namespace jvpn::perf {

/// X25519 results that one side of IKpsk2 can't do without: es, ss, ee, se. Its ephemeral public
/// key, which costs OpenSSL about as much as a derivation, comes on top.
inline constexpr double kDerivationsPerSide = 4;

/// Seconds that one of each took, over a few hundred microseconds to milliseconds.
struct HandshakeSlice {
  double responder = 0;
  double initiator = 0;
  double raw_x25519 = 0;      ///< EVP_PKEY_derive with keys at hand
  double product_x25519 = 0;  ///< x25519() of common/noise.h, keys from bytes
  double ephemeral = 0;       ///< public_key_of()
};

/// Medians over the slices of one run.
struct HandshakeRun {
  double responder_per_s = 0;
  double both_sides_per_s = 0;
  double raw_x25519_per_s = 0;
  double responder_ratio = 0;   ///< of responder_per_s to raw_x25519_per_s ÷ 4
  double both_sides_ratio = 0;  ///< of both_sides_per_s to raw_x25519_per_s ÷ 8
  double x25519_us = 0;         ///< of a responder's handshake: its four results
  double ephemeral_us = 0;      ///< its ephemeral public key
  double rest_us = 0;           ///< hashes, AEAD, records, state machine, messages
};
/// Pure. Ratios are medians of the slices' own: each compares what ran within milliseconds.
HandshakeRun figures_of(std::span<const HandshakeSlice> slices);

}  // namespace jvpn::perf
