#include "control/protocol/acceptor.h"

#include <algorithm>

#include "common/assert.h"
#include "common/limits.h"
#include "control/protocol/handshake_parties.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kUnconfirmedAnswers = 4;  // then it is no chance any more
constexpr Millis kAlive{2'000};              // heard from so lately
constexpr Millis kTakeoversApart{60'000};

/// No initiation up to that one is taken again.
void use_up(PeerState& peer, const Proof& proof) {
  peer.least_timestamp = next_timestamp({}, std::max(peer.least_timestamp, proof.timestamp));
}

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

Acceptor::Acceptor(Context& context, const Identity& self, Cookies& cookies, Reporter& reporter,
                   Bindings& bindings, Lifecycle& lifecycle, Dialer& dialer, Resumer& resumer,
                   Millis now)
    : context_(context),
      self_(self),
      cookies_(cookies),
      reporter_(reporter),
      bindings_(bindings),
      lifecycle_(lifecycle),
      dialer_(dialer),
      resumer_(resumer),
      started_(context.environment.timestamp()),
      retry_secret_(random_secret(context.environment)),
      handshakes_(context.config.handshakes_per_s, now),
      holders_(context, context.config.handshakes_per_s, now) {}

void Acceptor::refuse(Millis now, const Path& from, Reason reason, Detail detail, PeerId id) {
  refuse_handshake(context_, reporter_, now, from, reason, detail, id);
}

void Acceptor::throttle(Millis now, const Path& from, PeerId id) {
  ++context_.counters.handshakes_throttled;
  reporter_.emit_security(now, Reason::kSecAbuseControlPlane, Detail::kThrottled, id, {}, from);
}

std::optional<PeerId> Acceptor::on_initiation(Millis now, const Path& from,
                                              std::span<const uint8_t> datagram,
                                              std::optional<MacVerdict> known) {
  const std::optional<wire::Initiation> message = parse_initiation(datagram);
  if (!message) {
    refuse(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
    return std::nullopt;
  }
  const MacVerdict verdict = cookies_.check(from, datagram, known);
  const bool suite_allowed = std::ranges::find(context_.config.suites, Suite{message->suite}) !=
                             context_.config.suites.end();
  if (verdict == MacVerdict::kBad || !suite_allowed) {
    const bool bad = verdict == MacVerdict::kBad;
    refuse(now, from, Reason::kHandshakeFail,
           bad ? Detail::kAuthentication : Detail::kPolicyRefused);
    return std::nullopt;
  }
  const bool verified = verdict == MacVerdict::kVerified;
  if (verified && holders_.repeats(*message)) {
    throttle(now, from, kNoPeer);
    return std::nullopt;
  }
  if (handshakes_.take(now)) return admit(now, from, *message);
  if (!verified) {
    cookies_.send_reply(now, from, *message);
    return std::nullopt;
  }
  if (holders_.admit(now, from.remote.address)) return admit(now, from, *message);
  throttle(now, from, kNoPeer);
  return std::nullopt;
}

/// Opens an initiation and answers it if all is well.
std::optional<PeerId> Acceptor::admit(Millis now, const Path& from,
                                      const wire::Initiation& message) {
  const SecretKey ephemeral = random_secret(context_.environment);
  std::optional<InitiationState> initiation = read_initiation(self_, ephemeral, message);
  const auto id =
      initiation ? context_.table.peer_with(initiation->noise.remote_static()) : std::nullopt;
  if (!id) {
    refuse(now, from, Reason::kHandshakeFail,
           initiation ? Detail::kUnknownKey : Detail::kAuthentication);
    return std::nullopt;
  }
  if (!is_fresh(*id, initiation->proof)) {
    refuse(now, from, Reason::kSecReplayAttempt, Detail::kNone, *id);
    if (const auto key = retry_key(initiation->noise))
      cookies_.send_sealed(from, wire::MessageType::kRetry, *key, freshness_of(*id), message);
    return std::nullopt;
  }
  if (!admissible(now, from, *id, *initiation)) return std::nullopt;
  Resumer::Verdict verdict{Resumer::Verdict::What::kFresh};
  if (initiation->claim) {
    // Used up before the store answers: a copy can't take its place meanwhile.
    use_up(context_.table.peer(*id), initiation->proof);
    verdict = resumer_.examine(now, from, *id, *initiation);
  }
  proceed(now, from, *id, *initiation, std::move(verdict));
  return id;
}

void Acceptor::proceed(Millis now, const Path& from, PeerId id, InitiationState& initiation,
                       Resumer::Verdict verdict) {
  using What = Resumer::Verdict::What;
  // It may have waited for the store since before.
  const bool begins = verdict.what == What::kResume || verdict.what == What::kFresh;
  if (begins && context_.draining)
    return refuse(now, from, Reason::kHandshakeFail, Detail::kDraining, id);
  if (verdict.what == What::kResume)
    return answer(now, from, id, initiation, std::move(verdict.resumption));
  if (verdict.what == What::kRefuse) ++context_.counters.handshakes_refused;
  if (verdict.what != What::kFresh) return;
  if (context_.denies_new_sessions)
    return refuse(now, from, Reason::kHandshakeFail, Detail::kPolicyRefused, id);
  answer(now, from, id, initiation, nullptr);
}

void Acceptor::on_loaded(Millis now, const OwnershipReply& reply) {
  auto judged = resumer_.loaded(now, reply);
  if (!judged) return;
  proceed(now, judged->from, reply.peer, judged->initiation, std::move(judged->verdict));
}

/// What a retry tells the peer until its next initiation is taken. Nothing is kept for it, and
/// however often old initiations come, it stays the same: they can't void what was told before.
wire::Freshness Acceptor::freshness_of(PeerId id) const {
  const auto hash = [&] {
    Secret<kHashBytes> out;
    hmac_blake2s_into(retry_secret_.span(), context_.configured(id).public_key,
                      context_.table.peer(id).least_timestamp, out.span());
    return out;
  }();
  wire::Freshness freshness;
  std::copy_n(hash.bytes().begin(), freshness.size(), freshness.begin());
  return freshness;
}

bool Acceptor::is_fresh(PeerId id, const Proof& proof) const {
  if (equal_constant_time(proof.freshness, freshness_of(id))) return true;
  return proof.timestamp >= std::max(started_, context_.table.peer(id).least_timestamp);
}

bool Acceptor::admissible(Millis now, const Path& from, PeerId id,
                          const InitiationState& initiation) {
  if (initiation.fields != FieldsVerdict::kTaken) {
    refuse(now, from, Reason::kHandshakeFail, Detail::kUnknownField, id);
    return false;
  }
  if (context_.draining) {
    refuse(now, from, Reason::kHandshakeFail, Detail::kDraining, id);
    return false;
  }
  if (context_.denies_new_sessions && !initiation.claim) {
    refuse(now, from, Reason::kHandshakeFail, Detail::kPolicyRefused, id);
    return false;
  }
  // Whatever began now would be nobody's. A claim is refused for that reason by the store.
  if (context_.store.ownership().silent() && !initiation.claim) {
    refuse(now, from, Reason::kHandshakeFail, Detail::kStoreUnavailable, id);
    return false;
  }
  if (!dials_itself(now, id)) return true;
  ++context_.counters.handshakes_refused;
  return false;
}

/// Simultaneous dialling: the lower key's call goes on, for as long as one may take to succeed.
bool Acceptor::dials_itself(Millis now, PeerId id) const {
  const std::unique_ptr<Dial>& call = context_.table.peer(id).dial;
  return call && call->active && self_.public_key < context_.configured(id).public_key &&
         now < call->started + Millis{kHandshakeTimeoutMs};
}

/// Makes the BIRTH record, its keys and the response. An older BIRTH record of the peer gives way.
void Acceptor::answer(Millis now, const Path& from, PeerId id, InitiationState& initiation,
                      std::unique_ptr<Resumption> resumption) {
  PeerState& peer = context_.table.peer(id);
  lifecycle_.fail_pending(now, peer, Detail::kSuperseded);
  if (++peer.unconfirmed % kUnconfirmedAnswers == 0)
    reporter_.emit_security(now, Reason::kSecAbuseControlPlane, Detail::kNotConfirmed, id, {},
                            from);
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(id, initiation.lanes);
  if (!index) return refuse(now, from, Reason::kHandshakeFail, Detail::kNoRoom, id);
  if (!bindings_.reserve_tx(id)) {
    bindings_.release_index(*index);
    return refuse(now, from, Reason::kHandshakeFail, Detail::kNoRoom, id);
  }
  use_up(peer, initiation.proof);
  auto session = std::make_unique<Session>(id, from, initiation.suite,
                                           new_record(now, now + Millis{kKeyRefuseAfterMs}),
                                           context_.counters.totals);
  session->responder = std::make_unique<ResponderSide>();
  session->responder->resumption = std::move(resumption);
  if (session->resumes())
    session->id = SessionId{initiation.claim->session_id};
  else
    context_.environment.random(session->id.bytes);
  IssuedSpares issued =
      bindings_.issue_spares(id, initiation.lanes, bindings_.spares_wanted(context_.config.policy));
  const std::optional<wire::Response> message =
      write_answer(now, initiation, *session, *index, issued.spares);
  const std::optional<NoiseKeys> keys = initiation.noise.split();
  if (!message || !keys) {
    bindings_.release_spares(issued);
    return bindings_.release_index(*index);
  }
  session->current =
      make_generation(now, *keys, false, *index, initiation.sender, initiation.lanes);
  session->current->spares = std::move(issued.spares);
  session->current->last_number = issued.last_number;
  bindings_.install_rx(*session, *session->current);
  context_.effects.send(from, {reinterpret_cast<const uint8_t*>(&*message), sizeof *message});
  peer.pending = std::move(session);
  if (!peer.pending->resumes()) context_.table.begin(peer.pending->id, false);
  // The lower key calls us: our own call waits for how that ends.
  if (dialer_.waits_for_peer(id)) dialer_.stop_attempts(*peer.dial);
}

wire::ResponsePayload Acceptor::response_payload(Millis now, const Session& session,
                                                 ReceiverIndex index,
                                                 const SpareSet& spares) const {
  wire::ResponsePayload payload{};
  payload.version = wire::kVersion;
  payload.suite = static_cast<uint8_t>(session.suite);
  payload.lanes = context_.config.lanes;
  payload.mtu = context_.environment.inner_mtu(session.path);
  payload.flags = context_.config.policy.switching.holds() ? wire::kResponderHolds : uint16_t{0};
  payload.session_id = session.id.bytes;
  // What the commit at confirmation will make it.
  payload.binding_version = session.resumes() ? session.responder->resumption->told.value
                                              : session.record().version.value + 1;
  payload.clock_ms = now.value;
  fill_addresses(context_.configured(session.peer), payload);
  payload.policy = snapshot_of(context_.config.policy);
  payload.reset_token = bindings_.reset_token(index);
  for (const SpareBinding& spare : spares) {
    JVPN_ASSERT(spare.number >= 1 && spare.number <= wire::kSpareIndices,
                "a handshake's spares are numbered 1, 2, …");
    payload.spare_indices[spare.number - 1] = spare.local.value;
    payload.spare_tokens[spare.number - 1] = spare.reset_token.bytes();
  }
  return payload;
}

std::optional<wire::Response> Acceptor::write_answer(Millis now, InitiationState& initiation,
                                                     const Session& session, ReceiverIndex index,
                                                     const SpareSet& spares) {
  wire::Response message;
  const wire::ResponsePayload payload = response_payload(now, session, index, spares);
  if (!write_response(initiation, context_.psk_of(session.peer), index, payload, message)) {
    return std::nullopt;
  }
  ResponderMacKeys macs =
      ResponderMacKeys::derive(context_.mac, context_.configured(session.peer).public_key);
  write_macs(context_.mac, macs.mac1, nullptr,
             {reinterpret_cast<uint8_t*>(&message), sizeof message});
  wipe(&macs.mac1, sizeof macs.mac1);
  return message;
}

bool Acceptor::may_confirm(const Session& pending, const Path& from) const {
  return from.interface == pending.path.interface && from.remote == pending.path.remote;
}

/// A host that starts again replaces its own session. That sessions which are alive replace each
/// other again and again is two hosts with one key.
void Acceptor::note_takeover(Millis now, PeerState& peer) {
  const Session* const old = peer.session.get();
  if (old == nullptr || old->record().last_authentic + kAlive < now) return;
  const bool again = peer.replaced_at && now < *peer.replaced_at + kTakeoversApart;
  peer.replaced_at = now;
  if (!again) return;
  reporter_.emit_security(now, Reason::kSecOwnershipAnomaly, Detail::kSuperseded,
                          peer.pending->peer, peer.pending->id, peer.pending->path);
}

bool Acceptor::confirm(Millis now, PeerState& peer) {
  JVPN_ASSERT(peer.pending != nullptr, "a session in BIRTH is confirmed");
  if (!lifecycle_.transition(now, *peer.pending, {Trigger::kTick})) return false;
  if (!bindings_.reserve_tx(peer.pending->peer)) {  // the session that it replaces has taken it
    lifecycle_.transition(now, *peer.pending, {Trigger::kHandshakeFailed, Detail::kNoRoom});
    return false;
  }
  note_takeover(now, peer);
  peer.unconfirmed = 0;
  lifecycle_.supersede(now, peer, NotifyPeer::kYes);
  peer.session = std::move(peer.pending);
  dialer_.stop(peer);
  Session& session = *peer.session;
  session.confirmed = true;
  if (!lifecycle_.transition(now, session, {Trigger::kKeyConfirmed})) return false;
  context_.effects.bind_rx({session.current->local, session.path});
  context_.store.acquire(now, session);
  bindings_.install_tx(session);
  return true;
}

}  // namespace jvpn::protocol
