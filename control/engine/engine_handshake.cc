// The responder's side of a handshake, cheapest check first:
//   1. size, reserved bytes, suite    2. mac1    3. rate, else a cookie for whoever has shown none
//   4. X25519 and tags    5. a configured peer    6. a timestamp never seen
// Only then is there a record, in BIRTH; the peer's session stays as it is until the new keys are
// confirmed by an authentic control message.
#include <algorithm>

#include "control/engine/engine_impl.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::engine {
namespace {

void fill_addresses(const EnginePeer& peer, wire::ResponsePayload& payload) {
  const size_t count = std::min(peer.inner_addresses.size(), wire::kMaxInnerAddresses);
  for (size_t i = 0; i < count; ++i) {
    const Prefix& prefix = peer.inner_addresses[i];
    wire::InnerAddress& out = payload.addresses[i];
    out.family = static_cast<uint8_t>(prefix.address.family);
    out.prefix_length = prefix.length;
    std::ranges::copy(prefix.address.bytes, out.address);
  }
}

}  // namespace

void SessionEngine::Impl::on_handshake(Millis now, const Path& from,
                                       std::span<const uint8_t> datagram,
                                       std::optional<MacVerdict> verdict) {
  ++counters.handshakes_received;
  const auto type = datagram.empty() ? wire::MessageType{} : wire::MessageType{datagram[0]};
  switch (type) {
    case wire::MessageType::kInitiation:
      return on_initiation(now, from, datagram, verdict);
    case wire::MessageType::kResponse:
      return on_response(now, from, datagram, verdict);
    case wire::MessageType::kCookieReply:
      return on_cookie_reply(now, from, datagram);
    default:
      return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
  }
}

void SessionEngine::Impl::refuse_handshake(Millis now, const Path& from, Reason reason,
                                           Detail detail, PeerId id) {
  ++counters.handshakes_refused;
  emit_security(now, reason, detail, id, SessionId{}, from);
}

MacVerdict SessionEngine::Impl::judge(const Path& from, std::span<const uint8_t> datagram,
                                      std::optional<MacVerdict> verdict) {
  if (verdict) return *verdict;
  return check_macs(mac, own_macs.mac1, secrets, from.remote, datagram);
}

bool SessionEngine::Impl::allowed(Suite suite) const {
  return std::ranges::find(config.suites, suite) != config.suites.end();
}

void SessionEngine::Impl::on_initiation(Millis now, const Path& from,
                                        std::span<const uint8_t> datagram,
                                        std::optional<MacVerdict> given) {
  const std::optional<wire::Initiation> message = parse_initiation(datagram);
  if (!message) return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
  const MacVerdict verdict = judge(from, datagram, given);
  if (verdict == MacVerdict::kBad) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kAuthentication);
  }
  if (!allowed(Suite{message->suite})) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kPolicyRefused);
  }
  if (handshakes.take(now)) return admit(now, from, *message);
  if (verdict != MacVerdict::kVerified) return send_cookie(now, from, *message);
  if (verified_handshakes.take(now)) return admit(now, from, *message);
  ++counters.handshakes_throttled;
}

/// Opens an initiation and answers it if all is well.
void SessionEngine::Impl::admit(Millis now, const Path& from, const wire::Initiation& message) {
  const SecretKey ephemeral = random_secret();
  std::optional<Heard> heard = read_initiation(self, ephemeral, message);
  if (!heard) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kAuthentication);
  }
  const auto known = by_key.find(heard->noise.remote_static());
  if (known == by_key.end()) {
    return refuse_handshake(now, from, Reason::kSecAbuseControlPlane, Detail::kAuthentication);
  }
  const PeerId id = known->second;
  if (!fresh(now, from, id, *heard)) return;
  if (denies_new)
    return refuse_handshake(now, from, Reason::kHandshakeFail, Detail::kPolicyRefused, id);
  if (calling_ourselves(now, id)) {
    ++counters.handshakes_refused;
    return;
  }
  answer(now, from, id, *heard);
  rearm(id);
}

bool SessionEngine::Impl::fresh(Millis now, const Path& from, PeerId id, const Heard& heard) {
  if (heard.timestamp > peers[id.value].latest_received) return true;
  refuse_handshake(now, from, Reason::kSecReplayAttempt, Detail::kNone, id);
  return false;
}

/// Simultaneous dialling: the lower key's call goes on, for as long as one may take to succeed.
bool SessionEngine::Impl::calling_ourselves(Millis now, PeerId id) const {
  const std::unique_ptr<Dial>& call = peers[id.value].dial;
  return call && call->active && self.public_key < configured(id).public_key &&
         now < call->started + kHandshakeTimeout;
}

/// Makes the BIRTH record, its keys and the response. An older BIRTH record of the peer gives way.
void SessionEngine::Impl::answer(Millis now, const Path& from, PeerId id, Heard& heard) {
  PeerState& peer = peers[id.value];
  if (peer.pending) {
    drive(now, *peer.pending, {Trigger::kHandshakeFailed, Detail::kSuperseded});
  }
  const std::optional<ReceiverIndex> index = allocate_index(id);
  if (!index) {
    ++counters.handshakes_throttled;
    return;
  }
  peer.latest_received = heard.timestamp;
  auto session = std::make_unique<Session>();
  session->peer = id;
  session->path = from;
  session->suite = heard.suite;
  session->record.born = session->record.entered = session->record.last_authentic = now;
  host.random(session->id.bytes);
  uint16_t last_number = 0;
  std::vector<SpareBinding> spares =
      issue_spares(id, heard.lanes, last_number, spares_wanted(*session));
  const std::optional<wire::Response> message = response_to(now, heard, *session, *index, spares);
  const std::optional<NoiseKeys> keys = heard.noise.split();
  if (!message || !keys) {
    for (const SpareBinding& spare : spares) indices.release(spare.local);
    return indices.release(*index);
  }
  session->current = make_generation(now, *keys, false, *index, heard.sender, heard.lanes);
  session->current->spares = std::move(spares);
  session->current->last_number = last_number;
  session->record.keys_expire = now + Millis{kKeyRefuseAfterMs};
  install_rx(*session, *session->current);
  host.send(from, {reinterpret_cast<const uint8_t*>(&*message), sizeof *message});
  peer.pending = std::move(session);
  // The lower key calls us: our own call waits for how that ends.
  if (dial_waits(peer, id)) stop_attempt(*peer.dial);
}

wire::ResponsePayload SessionEngine::Impl::response_payload(
    Millis now, const Session& session, std::span<const SpareBinding> spares) const {
  wire::ResponsePayload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(session.suite);
  payload.lanes = config.lanes;
  payload.mtu = host.inner_mtu(session.path);
  payload.session_id = session.id.bytes;
  // What the commit at confirmation will make it.
  payload.binding_version = session.record.version.value + 1;
  payload.clock_ms = now.value;
  fill_addresses(configured(session.peer), payload);
  payload.policy = snapshot_of(config.policy);
  for (const SpareBinding& spare : spares) {
    payload.spare_indices[spare.number - 1] = spare.local.value;  // numbers 1, 2, …
  }
  return payload;
}

std::optional<wire::Response> SessionEngine::Impl::response_to(
    Millis now, Heard& heard, const Session& session, ReceiverIndex index,
    std::span<const SpareBinding> spares) {
  wire::Response message;
  const wire::ResponsePayload payload = response_payload(now, session, spares);
  if (!write_response(heard, psk_of(session.peer), index, payload, message)) return std::nullopt;
  ResponderMacKeys macs = ResponderMacKeys::derive(mac, configured(session.peer).public_key);
  write_macs(mac, macs.mac1, nullptr, {reinterpret_cast<uint8_t*>(&message), sizeof message});
  wipe(&macs.mac1, sizeof macs.mac1);
  return message;
}

/// The initiator has shown that it has the keys: its session replaces the old one. False: too late.
bool SessionEngine::Impl::confirm_pending(Millis now, PeerState& peer) {
  if (!drive(now, *peer.pending, {Trigger::kTick})) return false;
  supersede(now, peer, Farewell::kSend);
  peer.session = std::move(peer.pending);
  stop_dial(peer);
  Session& session = *peer.session;
  session.confirmed = true;
  if (!drive(now, session, {Trigger::kKeyConfirmed})) return false;
  ownership().claim(session.id, session.record.binding_version);
  install_tx(session);
  return true;
}

/// Answers an initiation without any public-key work; shorter than what it answers.
void SessionEngine::Impl::send_cookie(Millis now, const Path& to, const wire::Initiation& message) {
  ++counters.handshakes_throttled;
  ++counters.cookies_sent;
  std::array<uint8_t, sizeof wire::CookieReply::nonce> nonce{};
  host.random(nonce);
  Mac mac1;
  std::ranges::copy(message.mac1, mac1.begin());
  Mac cookie = cookie_for(mac, secrets.current, to.remote);
  wire::CookieReply reply;
  seal_cookie_reply(aead, own_macs.cookie_label, cookie, mac1, message.sender, nonce, reply);
  wipe(&cookie, sizeof cookie);
  rotations_due = 2;
  if (rotate_at == kNever) rotate_at = now + Millis{kCookieSecretMs};
  host.send(to, {reinterpret_cast<const uint8_t*>(&reply), sizeof reply});
}

/// A new secret; the old one stays valid for one more period. Goes on only while cookies may be
/// out.
void SessionEngine::Impl::rotate_cookies(Millis now) {
  Secret<16> fresh_secret;
  host.random(fresh_secret.span());
  secrets.previous = secrets.current;
  mac.expand(fresh_secret.span(), secrets.current);
  ++secrets_generation;
  if (rotations_due != 0) --rotations_due;
  rotate_at = rotations_due == 0 ? kNever : now + Millis{kCookieSecretMs};
}

}  // namespace jvpn::engine
