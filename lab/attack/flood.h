// The messages of a flood: what somebody without a configured key can have a gateway look at. No
// I/O; everything random comes from one seed.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "common/handshake_mac.h"
#include "common/ip.h"
#include "common/ip_header.h"
#include "common/message_mac.h"
#include "common/types.h"

namespace jvpn::lab {

enum class FloodKind : uint8_t {
  kHarmless,    ///< as long as an initiation, to a port where nothing listens
  kInitiation,  ///< mac1 is right, all else random
  kGarbage,     ///< type and length of an initiation, all else random
  kReplay,      ///< recorded messages as they are
  kReattach,    ///< recorded control messages: right index, wrong proof
  kCookie,      ///< initiations with the cookie of the attacker's own address, again and again
};

/// `harmless`, `initiation`, `garbage`, `replay`, `reattach`, `cookie`.
std::optional<FloodKind> parse_flood(std::string_view text);

/// From addresses that the attacker hasn't got: whoever sends a cookie back must have one.
constexpr bool is_spoofed(FloodKind kind) {
  return kind != FloodKind::kCookie;
}

/// An initiation to the holder of `responder`, whose noise is random; with a cookie if there is
/// one.
std::vector<uint8_t> random_initiation(MessageMac& mac, const PublicKey& responder,
                                       const Mac* cookie, std::mt19937_64& random);
/// The cookie in `reply`, when that answers `question`.
std::optional<Mac> cookie_in(Aead& aead, MessageMac& mac, const PublicKey& responder,
                             std::span<const uint8_t> question, std::span<const uint8_t> reply);

/// Where a frame goes from and to.
struct FloodWay {
  EtherAddress from_ethernet{};
  EtherAddress to_ethernet{};
  Endpoint from;
  Endpoint to;
};
/// An IPv4 frame, without a UDP checksum.
std::vector<uint8_t> frame_of(const FloodWay& way, std::span<const uint8_t> message);
/// Makes a frame_of() come from somewhere in 198.18.0.0/15 (RFC 2544: benchmarks).
void spoof(std::span<uint8_t> frame, std::mt19937_64& random);

}  // namespace jvpn::lab
