// The initiator's side of a handshake: initiations, each with fresh keys and a later timestamp,
// until a response comes; then the session is attached at once and its keys are confirmed by
// heartbeats.
#include <algorithm>

#include "control/engine/engine_impl.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::engine {
namespace {

constexpr uint32_t kLongWaitEvery = 4;  // attempts; lets an answer come over a very slow path, too
constexpr uint32_t kLongWait = 3;       // times kRetryMs
constexpr uint32_t kJitterMs = kRetryMs / 4;

}  // namespace

void SessionEngine::Impl::dial(Millis now, PeerId id, const Path& path) {
  PeerState& peer = peers[id.value];
  if (!peer.dial) {
    peer.dial = std::make_unique<Dial>();
    peer.dial->macs = ResponderMacKeys::derive(mac, configured(id).public_key);
  }
  peer.dial->path = path;
  peer.dial->cookie.reset();
  start_dial(now, peer, Millis{0});
  serve_dial(now, id);
  rearm(id);
}

void SessionEngine::Impl::start_dial(Millis now, PeerState& peer, Millis delay) {
  Dial& call = *peer.dial;
  call.active = true;
  call.attempts = 0;
  call.next_attempt = now + delay;
  call.started = call.next_attempt;
}

/// The attempt is given up, the wish for a session stays.
void SessionEngine::Impl::stop_attempt(Dial& call) {
  call.noise.reset();
  indices.release(call.local);
  call.local = ReceiverIndex{};
}

void SessionEngine::Impl::stop_dial(PeerState& peer) {
  if (!peer.dial) return;
  stop_attempt(*peer.dial);
  peer.dial->active = false;
}

/// Simultaneous dialling: the higher key waits while a call of the lower one is pending.
bool SessionEngine::Impl::dial_waits(const PeerState& peer, PeerId id) const {
  return peer.dial && peer.pending && configured(id).public_key < self.public_key;
}

Millis SessionEngine::Impl::dial_due(const PeerState& peer, PeerId id) const {
  if (!peer.dial || !peer.dial->active || denies_new || dial_waits(peer, id)) return kNever;
  return peer.dial->next_attempt;
}

void SessionEngine::Impl::serve_dial(Millis now, PeerId id) {
  if (now < dial_due(peers[id.value], id)) return;
  Dial& call = *peers[id.value].dial;
  const std::vector<Candidate>& candidates = peers[id.value].candidates;
  if (call.attempts != 0 && !candidates.empty()) {  // the path first dialled may be the dead one
    const Path& next = candidates[(call.attempts - 1) % candidates.size()].path;
    if (next != call.path) call.cookie.reset();
    call.path = next;
  }
  ++call.attempts;
  const uint32_t wait = call.attempts % kLongWaitEvery == 0 ? kLongWait * kRetryMs : kRetryMs;
  call.next_attempt = now + Millis{wait + random_u32() % kJitterMs};
  send_initiation(now, id);
}

void SessionEngine::Impl::send_initiation(Millis now, PeerId id) {
  Dial& call = *peers[id.value].dial;
  stop_attempt(call);
  const std::optional<ReceiverIndex> index = allocate_index(id);
  if (!index) return;
  call.local = *index;
  const SecretKey ephemeral = random_secret();
  wire::Initiation message;
  call.noise = write_initiation(call_to(id, config.suites.front(), *index, ephemeral), message);
  if (!call.noise) return stop_attempt(call);
  if (now >= call.cookie_until) call.cookie.reset();
  const std::span<uint8_t> bytes{reinterpret_cast<uint8_t*>(&message), sizeof message};
  write_macs(mac, call.macs.mac1, call.cookie ? &*call.cookie : nullptr, bytes);
  std::ranges::copy(message.mac1, call.mac1.begin());
  host.send(call.path, bytes);
}

void SessionEngine::Impl::on_response(Millis now, const Path& from,
                                      std::span<const uint8_t> datagram,
                                      std::optional<MacVerdict> verdict) {
  const std::optional<wire::Response> message = parse_response(datagram);
  if (!message || judge(from, datagram, verdict) == MacVerdict::kBad) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
  }
  const ReceiverIndex index{message->receiver};
  const std::optional<PeerId> id = indices.owner(index);
  Dial* call = id ? peers[id->value].dial.get() : nullptr;
  if (call == nullptr || !call->noise || call->local != index) {
    ++counters.handshakes_refused;  // late, or made up: nobody waits for it
    return;
  }
  const Suite offered = config.suites.front();
  const auto payload = read_response(*call->noise, psk_of(*id), offered, *message);
  if (!payload) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kAuthentication, *id);
  }
  const std::optional<NoiseKeys> keys = call->noise->split();
  if (!keys) return;
  attach_dialled(now, *id, *keys, *message, *payload);
  rearm(*id);
}

/// The responder is authentic and fresh: the new session takes over from whatever was there.
void SessionEngine::Impl::attach_dialled(Millis now, PeerId id, const NoiseKeys& keys,
                                         const wire::Response& message,
                                         const wire::ResponsePayload& payload) {
  PeerState& peer = peers[id.value];
  auto fresh_session = std::make_unique<Session>();
  Session& session = *fresh_session;
  session.id.bytes = payload.session_id;
  session.peer = id;
  session.path = peer.dial->path;
  session.suite = config.suites.front();
  session.initiator = true;
  session.peer_mtu = payload.mtu;
  session.told_policy = payload.policy;
  session.data_at = now;
  session.tightened = std::make_unique<Policy>(tightened(config.policy, payload.policy));
  session.record.born = session.record.entered = session.record.last_authentic = now;
  session.record.keys_expire = now + Millis{kKeyRefuseAfterMs};
  session.rekey_at = now + config.rekey_after;
  session.current = make_generation(now, keys, true, peer.dial->local,
                                    ReceiverIndex{message.sender}, payload.lanes);
  peer.dial->local = ReceiverIndex{};  // the session's from here on
  session.clock_ahead = payload.clock_ms - now.value;
  wire::SpareIndices spares{};
  for (uint16_t i = 0; i < wire::kSpareIndices; ++i) {
    spares.index[i] = payload.spare_indices[i];
    spares.number[i] = static_cast<uint16_t>(i + 1);
  }
  learn_spares(*session.current, spares);
  stop_dial(peer);

  if (peer.pending) drive(now, *peer.pending, {Trigger::kHandshakeFailed, Detail::kSuperseded});
  supersede(now, peer, Farewell::kSilent);
  peer.session = std::move(fresh_session);
  const BindingVersion told{payload.binding_version};
  if (!drive(now, session, {Trigger::kKeyConfirmed, Detail::kNone, told})) return;
  session.told_version = told;
  install_rx(session, *session.current);
  install_tx(session);
  host.configured(id, payload);
  send_heartbeat(now, session);
}

/// A busy responder wants proof of our address: the next initiation carries it.
void SessionEngine::Impl::on_cookie_reply(Millis now, const Path& from,
                                          std::span<const uint8_t> datagram) {
  wire::CookieReply reply;
  if (datagram.size() != sizeof reply) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
  }
  __builtin_memcpy(&reply, datagram.data(), sizeof reply);
  const ReceiverIndex index{reply.receiver};
  const std::optional<PeerId> id = indices.owner(index);
  Dial* call = id ? peers[id->value].dial.get() : nullptr;
  const bool zero = (reply.reserved[0] | reply.reserved[1] | reply.reserved[2]) == 0;
  if (call == nullptr || !call->noise || call->local != index || !zero) {
    ++counters.handshakes_refused;
    return;
  }
  const auto cookie = open_cookie_reply(aead, call->macs.cookie_label, call->mac1, reply);
  if (!cookie) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kAuthentication, *id);
  }
  call->cookie = *cookie;
  call->cookie_until = now + Millis{kCookieSecretMs};
}

}  // namespace jvpn::engine
