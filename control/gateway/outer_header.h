// The path of a received JVP/1 message, read from its outer headers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/path.h"

namespace jvpn::gateway {

/// `frame` begins at Ethernet and has passed a worker's checks. nullopt when it is no UDP after
/// all.
std::optional<Path> path_of_frame(std::span<const uint8_t> frame, uint16_t port);

}  // namespace jvpn::gateway
