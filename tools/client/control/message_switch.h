// Hands messages that carry no data to the engine: handshake answers and resets as they are,
// control messages opened. Everything else is a counted drop.
#pragma once

#include <cstdint>
#include <span>

#include "common/path.h"
#include "control/engine/engine.h"
#include "tools/client/dataplane/data_path.h"

namespace jvpn::client::control {

class MessageSwitch {
 public:
  /// Both outlive this object.
  MessageSwitch(engine::SessionEngine& engine, dataplane::DataPathCounters& counters)
      : engine_(engine), counters_(counters) {}

  /// A datagram that isn't data; opened in place.
  void on_message(const Path& from, std::span<uint8_t> message);

 private:
  void on_control(const Path& from, std::span<uint8_t> message);

  engine::SessionEngine& engine_;
  dataplane::DataPathCounters& counters_;
};

}  // namespace jvpn::client::control
