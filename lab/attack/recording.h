// What was recorded of a tunnel (pcap, Ethernet).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "lab/link/jvp_frame.h"

namespace jvpn::lab {

using Messages = std::vector<std::vector<uint8_t>>;

/// Messages of that kind that went to that port; an Error when the file can't be read.
Result<Messages> read_recording(const std::string& path, uint16_t port, MessageKind kind);

}  // namespace jvpn::lab
