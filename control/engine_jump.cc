// The initiator's side of a jump: which candidate, when, and the requests until one is committed.
//   dead or wanted → request over one candidate, repeated → challenge answered → acknowledgement:
//   state machine, new binding, old index drains. No answer: the next candidate's turn.
// Until the acknowledgement a living binding carries everything.
#include <algorithm>

#include "control/engine_impl.h"

namespace jvpn {
namespace {

constexpr Millis kLeastRepeat{200};
constexpr Millis kMinute{60'000};
constexpr uint64_t kPatience = 4;  // repetitions for each candidate in the first round

/// A session that has no transport to live on must jump; one that wants to, may.
bool must_jump(const Session& session) {
  const State state = session.record.state;
  return state == State::kRecovering ||
         (state == State::kDegraded && !session.record.has_transport);
}

Millis repeat_after(const Session& session) {
  const uint64_t rtt_ms = (session.rtt_us.value_or(0) + 999U) / 1'000U;
  return std::max(kLeastRepeat, Millis{2 * rtt_ms});
}

}  // namespace

void SessionEngine::Impl::set_candidates(Millis now, PeerId id, std::span<const Path> paths) {
  PeerState& peer = peers[id.value];
  peer.candidates.assign(paths.begin(), paths.end());
  if (peer.session && peer.session->initiator) serve_jump(now, *peer.session);
  rearm(id);
}

void SessionEngine::Impl::path_lost(Millis now, PeerId id, const Path& path) {
  PeerState& peer = peers[id.value];
  std::erase(peer.candidates, path);
  Session* session = peer.session.get();
  if (session != nullptr && session->initiator) {
    if (session->jump && session->jump->path == path) session->jump.reset();
    if (session->wanted == path) session->wanted.reset();
    const bool bound = session->record.has_transport && session->path == path;
    if (!bound || drive(now, *session, {Trigger::kTransportDead})) serve_jump(now, *session);
  }
  rearm(id);
}

void SessionEngine::Impl::wish_jump(Millis now, PeerId id, const Path& path) {
  Session* session = peers[id.value].session.get();
  if (session == nullptr || !session->initiator) return;
  session->wanted = path;
  session->why_wanted = wire::ReattachCause::kPlanned;
  serve_jump(now, *session);
  rearm(id);
}

/// Tells the state machine whether there is anywhere to go.
void SessionEngine::Impl::note_candidates(Session& session) {
  const auto& candidates = peers[session.peer.value].candidates;
  const bool elsewhere =
      std::ranges::any_of(candidates, [&](const Path& path) { return path != session.path; });
  session.record.can_switch = session.initiator && elsewhere && !session.current->spares.empty();
}

/// The candidates in order of preference; the path bound so far comes last, it may be back.
std::vector<Path> SessionEngine::Impl::jump_targets(const Session& session) const {
  const auto& candidates = peers[session.peer.value].candidates;
  std::vector<Path> targets;
  std::ranges::copy_if(candidates, std::back_inserter(targets),
                       [&](const Path& path) { return path != session.path; });
  if (candidates.empty() || targets.size() < candidates.size()) targets.push_back(session.path);
  return targets;
}

/// From when on policy lets a wanted jump begin; kNever when none is wanted.
Millis SessionEngine::Impl::jump_may_start(const Session& session) const {
  const SessionRecord& record = session.record;
  if (!must_jump(session) && (!session.wanted || !record.has_transport)) return kNever;
  const auto& switching = policy_of(session).switching;
  Millis start = session.jump_pause;
  const auto latest = record.switches.at(0, record.born);
  if (latest && record.has_transport) start = std::max(start, *latest + switching.switch_cooldown);
  if (record.state == State::kDegraded) {
    start = std::max(start, record.entered + switching.switch_cooldown);
  }
  const size_t granted = std::min<size_t>(switching.max_switches_per_min, kMaxSwitchesPerMin);
  if (granted == 0) return kNever;
  const auto first = record.switches.at(granted - 1, record.born);
  return first ? std::max(start, *first + kMinute) : start;
}

Millis SessionEngine::Impl::jump_due(const Session& session) const {
  if (!session.initiator) return kNever;
  if (session.jump) return std::min(session.jump->next_send, session.jump->gives_up);
  return jump_may_start(session);
}

void SessionEngine::Impl::serve_jump(Millis now, Session& session) {
  note_candidates(session);
  if (!must_jump(session) && !session.wanted) return session.jump.reset();
  if (session.jump && now >= session.jump->gives_up) {
    session.jump.reset();
    if (!must_jump(session)) return session.wanted.reset();
    ++session.turn;
  }
  if (!session.jump) {
    if (now < jump_may_start(session)) return;
    start_jump(now, session);
  }
  if (session.jump && now >= session.jump->next_send) send_request(now, session);
}

/// The path that was wanted, or else the candidate whose turn it is.
void SessionEngine::Impl::start_jump(Millis now, Session& session) {
  const bool dead = !session.record.has_transport;
  const std::vector<Path> targets = jump_targets(session);
  auto jump = std::make_unique<Jump>();
  jump->path = targets[session.turn % targets.size()];
  if (session.wanted) jump->path = *session.wanted;
  jump->cause = dead ? wire::ReattachCause::kDead : wire::ReattachCause::kQuality;
  if (session.wanted && !dead) jump->cause = session.why_wanted;
  if (dead) session.wanted.reset();  // tried first, then it is a candidate like any
  const uint64_t round = std::min<uint64_t>(session.turn / targets.size(), 8);
  const Millis patience{(kPatience * repeat_after(session).value) << round};
  jump->next_send = now;
  jump->gives_up = now + std::min(patience, policy_of(session).switching.recovery_attempt);
  session.jump = std::move(jump);
}

/// The spare that belongs to `path`, or an unused one that will; nullptr when there is none.
SpareBinding* SessionEngine::Impl::spare_for(Session& session, const Path& path) {
  KeyGeneration& generation = *session.current;
  const auto find = [&](const std::optional<Path>& of) {
    const auto at = std::ranges::find(generation.spares, of, &SpareBinding::path);
    return at == generation.spares.end() ? nullptr : &*at;
  };
  if (SpareBinding* known = find(path)) return known;
  SpareBinding* unused = find(std::nullopt);
  if (unused == nullptr) return nullptr;
  const std::optional<ReceiverIndex> index = allocate_index(session.peer);
  if (!index) return nullptr;
  unused->local = *index;
  unused->path = path;
  install_rx(session.peer, session.suite, generation, *index, unused->number);
  return unused;
}

void SessionEngine::Impl::send_request(Millis now, Session& session) {
  Jump& jump = *session.jump;
  SpareBinding* spare = spare_for(session, jump.path);
  if (spare == nullptr) {
    session.jump.reset();
    ++session.turn;
    session.jump_pause = now + kLeastRepeat;
    return;
  }
  KeyGeneration& generation = *session.current;
  const bool first = jump.first_nonce == 0;
  const uint64_t nonce = ++session.nonce;
  if (first) jump.first_nonce = nonce;
  if (first && jump.cause == wire::ReattachCause::kDead) {
    wire::TransportDead dead{};
    dead.header = control_header(wire::ControlType::kTransportDead);
    dead.binding_version = session.record.binding_version.value;
    send_along(session, generation, spare->remote, jump.path, dead);
  }
  wire::ReattachRequest message{};
  message.header = control_header(wire::ControlType::kReattachRequest);
  message.session_id = session.id.bytes;
  message.nonce = nonce;
  message.clock_ms = now.value + session.clock_ahead;
  message.binding_version = std::max(session.told_version, session.record.binding_version).value;
  message.receiver = spare->local.value;
  message.lanes = config.lanes;
  message.retire_active = 1;
  message.cause = jump.cause;
  jump.next_send = now + repeat_after(session);
  send_along(session, generation, spare->remote, jump.path, message);
}

/// The spare that a message came on, of the present keys and on its own path.
SpareBinding* SessionEngine::Impl::spare_at(const Session& session, const Arrival& at) {
  if (&at.generation != session.current.get()) return nullptr;
  const auto spare = std::ranges::find(at.generation.spares, at.index, &SpareBinding::local);
  return spare == at.generation.spares.end() || !spare->path ? nullptr : &*spare;
}

void SessionEngine::Impl::on_reattach_challenge(Millis now, Session& session, const Arrival& at,
                                                const wire::ReattachChallenge& message) {
  if (!session.initiator) return violation(now, session);
  const SpareBinding* spare = spare_at(session, at);
  const bool asked = spare != nullptr && session.jump && session.jump->path == *spare->path &&
                     message.nonce <= session.nonce;
  if (!asked) {
    ++counters.control_stale;
    return;
  }
  wire::ReattachResponse answer{};
  answer.header = control_header(wire::ControlType::kReattachResponse);
  answer.nonce = message.nonce;
  std::ranges::copy(message.token, answer.token);
  send_along(session, at.generation, spare->remote, session.jump->path, answer);
}

/// The responder has committed, whichever of our requests it was: that is a fact, and followed.
void SessionEngine::Impl::on_reattach_ack(Millis now, Session& session, const Arrival& at,
                                          const wire::ReattachAck& message) {
  if (!session.initiator) return violation(now, session);
  const SpareBinding* spare = spare_at(session, at);
  const BindingVersion version{message.binding_version};
  if (spare == nullptr || message.nonce > session.nonce ||
      version <= session.record.binding_version) {
    ++counters.control_stale;  // acknowledged before
    return;
  }
  if (message.sender != spare->remote.value) return violation(now, session);
  const Path old_path = session.path;
  const Path path = *spare->path;
  const uint16_t number = spare->number;
  session.jump.reset();
  session.wanted.reset();
  session.turn = 0;
  session.told_version = std::max(session.told_version, version);
  session.clock_ahead = message.clock_ms - now.value;
  SessionEvent event{Trigger::kReattachCommitted, Detail::kNone, version};
  event.planned = true;
  if (!drive(now, session, event)) return;
  if (session.record.binding_version != version) return;  // the state machine had the last word
  rebind(now, session, number, path);
  learn_spares(*session.current, message.spares);
  note_candidates(session);
  session.rtt_us.reset();
  Event accepted = reattach_event(now, session, Reason::kReattachAccept, Detail::kNone, path);
  accepted.result = "accept";
  host.emit(accepted);
  tell_switch(now, session, old_path);
  send_heartbeat(now, session);
}

void SessionEngine::Impl::on_reattach_reject(Millis now, Session& session, const Arrival& at,
                                             const wire::ReattachReject& message) {
  if (!session.initiator) return violation(now, session);
  const SpareBinding* spare = spare_at(session, at);
  if (spare == nullptr || !session.jump || message.nonce < session.jump->first_nonce) {
    ++counters.control_stale;
    return;
  }
  const Reason reason = reason_from_number(message.reason).value_or(Reason::kNone);
  const auto detail = static_cast<Detail>(message.detail);
  const BindingVersion told{message.binding_version};
  const Path path = *spare->path;
  const uint16_t number = spare->number;
  learn_spares(at.generation, message.spares);
  const bool news = told != session.told_version || detail == Detail::kStaleTime;
  session.told_version = std::max(told, session.record.binding_version);
  session.clock_ahead = message.clock_ms - now.value;
  Event refused = reattach_event(now, session, reason, detail, path);
  refused.result = "reject";
  host.emit(refused);
  Jump& jump = *session.jump;
  if (reason == Reason::kFreshnessInvalid && news) jump.next_send = now;
  if (detail == Detail::kStaleVersion && !news) {  // then it is the spare that is void
    give_back_spare(at.generation, number);
    jump.next_send = now;
  }
  if (message.retry_after_ms != 0) {
    jump.next_send = std::max(jump.next_send, now + Millis{message.retry_after_ms});
  }
  if (reason != Reason::kPolicyDeny) return;
  if (session.wanted) {  // not now: whoever wanted it may ask again
    session.wanted.reset();
    session.jump.reset();
  }
  if (session.record.state == State::kRecovering) {
    drive(now, session, {Trigger::kRequestDenied, detail});
  }
}

/// The responder can't dial: it asks us to.
void SessionEngine::Impl::on_policy_hint(Millis now, Session& session,
                                         const wire::PolicyHint& message) {
  if (!session.initiator) return violation(now, session);
  if (message.binding_version != session.record.binding_version.value || session.wanted) {
    ++counters.control_stale;
    return;
  }
  const Path target = jump_targets(session).front();
  const bool rebind_here = message.hint == wire::Hint::kRebind;
  if (!rebind_here && target == session.path) return;  // nowhere else to go
  session.wanted = rebind_here ? session.path : target;
  session.why_wanted = wire::ReattachCause::kQuality;
  serve_jump(now, session);
}

}  // namespace jvpn
