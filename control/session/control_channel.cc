#include "control/session/control_channel.h"

#include <algorithm>

#include "common/assert.h"

namespace jvpn::session {

void ControlChannel::send_hint(const Session& session, const Path& to, wire::Hint hint) {
  auto message = control_message<wire::PolicyHint>(wire::ControlType::kPolicyHint);
  message.binding_version = session.binding_version().value;
  message.hint = hint;
  send_along(session, *session.current, {session.current->local, session.current->remote, to},
             message);
}

/// Another may own the session: its peer gets a refusal to move, and no sign of life.
bool ControlChannel::is_silenced(std::span<const uint8_t> plaintext) const {
  if (!context_.store.ownership().silent()) return false;
  wire::ControlHeader header;
  __builtin_memcpy(&header, plaintext.data(), sizeof header);
  return header.type != wire::ControlType::kReattachReject;
}

uint64_t ControlChannel::mask_of(KnownMask& latest, const DirectionKeys& keys,
                                 ReceiverIndex index) {
  uint64_t mask;
  if (!latest.known || latest.index != index) {
    mask = counter_mask(context_.mac, keys, wire::MessageType::kControl, index);
    __builtin_memcpy(latest.mask.bytes().data(), &mask, sizeof mask);
    latest.index = index;
    latest.known = true;
  }
  __builtin_memcpy(&mask, latest.mask.bytes().data(), sizeof mask);
  return mask;
}

void ControlChannel::seal_and_send(const Session& session, KeyGeneration& generation,
                                   const Route& route, std::span<const uint8_t> plaintext) {
  if (!session.initiates() && is_silenced(plaintext)) return;
  SpareBinding* const spare = generation.spares.at_index(route.local);
  ControlLane& lane = spare == nullptr ? generation.control : spare->control;
  const LaneId number{spare == nullptr ? generation.binding : spare->number};
  std::array<uint8_t, wire::kMaxPaddedPlaintext + wire::kTransportOverhead> datagram;
  JVPN_ASSERT(plaintext.size() <= wire::kMaxPaddedPlaintext, "a control message fits its buffer");
  wire::TransportHeader header{};
  header.type = wire::MessageType::kControl;
  header.receiver = route.remote.value;
  header.counter = wire::make_counter(number, lane.next_sequence++) ^
                   mask_of(lane.sent, generation.keys.send, route.remote);
  __builtin_memcpy(datagram.data(), &header, sizeof header);
  const std::span<uint8_t> body{datagram.data() + sizeof header, plaintext.size()};
  std::ranges::copy(plaintext, body.begin());
  AeadKey key;
  context_.aead.expand(session.suite, generation.keys.send.control.bytes(), key);
  Nonce nonce = transport_nonce(key.iv, route.remote, header.counter);
  context_.aead.seal_one(
      key, nonce, {}, body,
      std::span<uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  wipe(&key, sizeof key);
  wipe(nonce.data(), nonce.size());  // with the header it would tell the IV
  context_.effects.send(route.path, {datagram.data(), plaintext.size() + wire::kTransportOverhead});
}

std::optional<OpenedControl> ControlChannel::open(std::span<uint8_t> message) {
  wire::TransportHeader header;
  if (message.size() < wire::kTransportOverhead) return std::nullopt;
  __builtin_memcpy(&header, message.data(), sizeof header);
  const bool zero = (header.reserved[0] | header.reserved[1] | header.reserved[2]) == 0;
  if (header.type != wire::MessageType::kControl || !zero) return std::nullopt;
  const Keyed at = context_.table.find(ReceiverIndex{header.receiver});
  if (at.generation == nullptr) return std::nullopt;
  const auto body = message.subspan(sizeof header, message.size() - wire::kTransportOverhead);
  AeadKey key;
  context_.aead.expand(at.session->suite, at.generation->keys.receive.control.bytes(), key);
  Nonce nonce = transport_nonce(key.iv, ReceiverIndex{header.receiver}, header.counter);
  const bool ok = context_.aead.open_one(
      key, nonce, {}, body,
      std::span<const uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  wipe(&key, sizeof key);
  wipe(nonce.data(), nonce.size());
  if (!ok) return std::nullopt;
  ControlLane& lane = at.spare == nullptr ? at.generation->control : at.spare->control;
  const uint64_t mask =
      mask_of(lane.received, at.generation->keys.receive, ReceiverIndex{header.receiver});
  return OpenedControl{body, header.counter ^ mask};
}

}  // namespace jvpn::session
