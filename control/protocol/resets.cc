#include "control/protocol/resets.h"

#include <algorithm>

#include "common/secret.h"
#include "control/protocol/handshake_messages.h"

namespace jvpn::protocol {
namespace {

/// An index that the initiator sends to now: whose token it has, and by which path it goes there.
struct SendsTo {
  const Secret<16>& token;
  const Path& path;
};

/// nullopt: it sends nothing there, or a reset says too little. During a jump the active binding's
/// index may be gone for a good reason. What a standby path leads to counts once the session needs
/// that path: who lost the session says so on the bound one.
std::optional<SendsTo> sends_to(const Session& session, ReceiverIndex index) {
  const KeyGeneration& keys = *session.current;
  if (keys.remote == index) {
    if (!session.has_transport() || session.jumping()) return std::nullopt;
    return SendsTo{keys.reset_token, session.path};
  }
  if (!session.must_jump()) return std::nullopt;
  for (const SpareBinding& spare : keys.spares) {
    if (spare.remote == index && spare.status == SpareStatus::kAssigned)
      return SendsTo{spare.reset_token, *spare.path};
  }
  return std::nullopt;
}

bool holds(const Secret<16>& token, const wire::Reset& message) {
  const bool now = equal_constant_time(token.span(), message.token);
  const bool earlier = equal_constant_time(token.span(), message.earlier);
  const bool none = token == Secret<16>{};  // never told
  return (now || earlier) && !none;
}

}  // namespace

/// Of the peer that had the index last, also if another session of its took that one's place: it
/// is told so under its keys, and two holders of one key must not call each other back.
bool Resets::session_goes_on(ReceiverIndex index) {
  const IndexAllocator& indices = context_.table.indices();
  if (indices.owner(index)) return true;  // given out since the message met a worker
  const std::optional<PeerId> former = indices.former_owner(index);
  if (!former || !context_.table.knows(*former)) return false;
  const PeerState& peer = context_.table.peer(*former);
  return peer.session != nullptr || peer.owned_elsewhere;
}

void Resets::on_unknown_index(Millis now, const Path& from, ReceiverIndex index) {
  if (session_goes_on(index)) return;
  if (!shares_.admit(now, from.remote.address)) {
    ++context_.counters.resets_throttled;
    return;
  }
  const uint64_t period = reset_period(context_.environment.timestamp());
  const ResetTokens& tokens = bindings_.reset_tokens();
  wire::Reset message{};
  message.type = wire::MessageType::kReset;
  message.receiver = index.value;
  message.token = tokens.of(index, period);
  message.earlier = tokens.of(index, period - 1);
  ++context_.counters.resets_sent;
  context_.effects.send(from, {reinterpret_cast<const uint8_t*>(&message), sizeof message});
}

void Resets::refuse(Millis now, const Path& from, PeerId id) {
  ++context_.counters.resets_refused;
  reporter_.emit_security(now, Reason::kSecAbuseControlPlane, Detail::kResetRefused, id, {}, from);
}

std::optional<PeerId> Resets::on_reset(Millis now, const Path& from, PeerId id,
                                       std::span<const uint8_t> datagram) {
  const std::optional<wire::Reset> message = parse_reset(datagram);
  Session* const session =
      context_.table.knows(id) ? context_.table.peer(id).session.get() : nullptr;
  const bool sends = message && session != nullptr && session->initiates();
  const auto at =
      sends ? sends_to(*session, ReceiverIndex{message->receiver}) : std::optional<SendsTo>{};
  if (!at) {
    if (!message) refuse(now, from, id);
    context_.counters.resets_stale += message ? 1 : 0;
    return std::nullopt;
  }
  const bool from_there = from.interface == at->path.interface && from.remote == at->path.remote;
  if (!from_there || !holds(at->token, *message)) {
    refuse(now, from, id);
    return std::nullopt;
  }
  if (!dialer_.dial_beside(now, *session, Path{at->path})) {
    ++context_.counters.resets_stale;
    return std::nullopt;
  }
  ++context_.counters.resets_taken;
  reporter_.emit_keys_lost(now, *session);
  return id;
}

}  // namespace jvpn::protocol
