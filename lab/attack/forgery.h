// What somebody without any key makes of a recorded message. No I/O; everything random comes from
// one seed.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <vector>

namespace jvpn::lab {

enum class Forgery : uint8_t {
  kReplay,    ///< the message itself
  kForge,     ///< its type and receiver index, a counter to come, random bytes for the rest
  kTruncate,  ///< its beginning, at least one byte
  kNoise,     ///< random bytes of any length
};

/// `replay`, `forge`, `truncate`, `noise`.
std::optional<Forgery> parse_forgery(std::string_view text);

/// `message` is not empty.
std::vector<uint8_t> forged(Forgery how, std::span<const uint8_t> message, std::mt19937_64& random);

}  // namespace jvpn::lab
