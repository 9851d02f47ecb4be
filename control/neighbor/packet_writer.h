// UDP frames that control writes around its messages. Pure functions over bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/ip_header.h"
#include "common/path.h"

namespace jvpn::neighbor {

/// Bytes that write_udp_frame() puts before a payload.
size_t udp_frame_overhead(Family family);
/// Ethernet (destination zero), IP, UDP and `payload`, checksums finished. `out` has room.
size_t write_udp_frame(uint8_t* out, const Path& path, const EtherAddress& source,
                       std::span<const uint8_t> payload);

}  // namespace jvpn::neighbor
