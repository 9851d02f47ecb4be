#include "tools/client/control/message_switch.h"

#include <optional>

#include "common/wire.h"
#include "control/session/system_sources.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {

void MessageSwitch::on_message(const Path& from, std::span<uint8_t> message) {
  wire::Preamble preamble;
  if (message.size() < sizeof preamble) return counters_.drop(Drop::kMessageLength);
  __builtin_memcpy(&preamble, message.data(), sizeof preamble);
  if ((preamble.reserved[0] | preamble.reserved[1] | preamble.reserved[2]) != 0)
    return counters_.drop(Drop::kReserved);
  switch (preamble.type) {
    case wire::MessageType::kResponse:
    case wire::MessageType::kCookieReply:
    case wire::MessageType::kRetry:
    case wire::MessageType::kReset:
    case wire::MessageType::kReadiness:
      return engine_.on_handshake(session::boottime_now(), from, message, std::nullopt, kGateway);
    case wire::MessageType::kControl:
      return on_control(from, message);
    default:
      return counters_.drop(Drop::kMessageType);  // nobody calls a client
  }
}

void MessageSwitch::on_control(const Path& from, std::span<uint8_t> message) {
  if (message.size() < wire::kTransportOverhead + sizeof(wire::ControlHeader) ||
      message.size() > wire::kTransportOverhead + wire::kMaxPaddedPlaintext)
    return counters_.drop(Drop::kMessageLength);
  wire::TransportHeader header;
  __builtin_memcpy(&header, message.data(), sizeof header);
  if (!engine_.receives_on(ReceiverIndex{header.receiver}))
    return counters_.drop(Drop::kUnknownIndex);
  const auto opened = engine_.open_control(message);
  if (!opened) return counters_.drop(Drop::kBadTag);
  engine_.on_control(session::boottime_now(), from, ReceiverIndex{header.receiver}, opened->counter,
                     opened->plaintext);
}

}  // namespace jvpn::client::control
