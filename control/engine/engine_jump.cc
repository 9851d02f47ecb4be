// The initiator's side of a jump: which candidate, when, and the requests until one is committed.
//   dead or wanted → request over one candidate, repeated → challenge answered → acknowledgement:
//   state machine, new binding, old index drains. No answer: the next candidate's turn.
// Until the acknowledgement a living binding carries everything.
#include <algorithm>
#include <bit>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr Millis kLeastRepeat{100};
constexpr uint64_t kPatience = 4;        // repetitions for each candidate in the first round
constexpr uint32_t kCountedProbes = 16;  // of a candidate, for its loss
constexpr uint32_t kRecentProbes = 4;    // of which none may be lost
constexpr Millis kLongestAnswer{1'000};  // of a probe, or four of its round trips
constexpr unsigned kMostDoublings = 4;   // of the wait before a failback

/// A session that has no transport to live on must jump; one that wants to, may.
bool must_jump(const Session& session) {
  const State state = session.record.state;
  return state == State::kRecovering ||
         (state == State::kDegraded && !session.record.has_transport);
}

/// Two round trips: the longest exchange takes so many.
Millis repeat_after(const Candidate* candidate) {
  const uint64_t rtt_us = candidate == nullptr ? 0 : candidate->rtt.rtt_us().value_or(0);
  return std::max(kLeastRepeat, Millis{(2 * rtt_us + 999) / 1'000});
}

}  // namespace

void SessionEngine::Impl::set_candidates(Millis now, PeerId id, std::span<const Path> paths) {
  PeerState& peer = peers[id.value];
  std::vector<Candidate> told;
  bool news = false;
  for (const Path& path : paths) {
    const auto known = std::ranges::find(peer.candidates, path, &Candidate::path);
    news = news || known == peer.candidates.end();
    told.push_back(known == peer.candidates.end() ? Candidate{path} : *known);
  }
  peer.candidates = std::move(told);
  Session* session = peer.session.get();
  if (session != nullptr && session->initiator) {
    const bool gone = session->jump && candidate_at(*session, session->jump->path) == nullptr;
    if (must_jump(*session) && (news || gone)) session->jump.reset();
    if (news) session->probe_at = session->jump_pause = now;
    serve_jump(now, *session);
    serve_probes(now, *session);
  }
  rearm(id);
}

Candidate* SessionEngine::Impl::candidate_at(const Session& session, const Path& path) {
  auto& candidates = peer_of(session).candidates;
  const auto found = std::ranges::find(candidates, path, &Candidate::path);
  return found == candidates.end() ? nullptr : &*found;
}

PathMerits SessionEngine::Impl::merits_of(Millis now, const Session& session, size_t place) const {
  const Candidate& candidate = peers[session.peer.value].candidates[place];
  const Policy& policy = policy_of(session);
  PathMerits merits;
  merits.id = static_cast<uint32_t>(place);
  merits.stable_since = candidate.stable_since;
  const uint64_t rtt_us = candidate.rtt.rtt_us().value_or(0);
  if (candidate.rtt.rtt_us()) {
    merits.latency_us = *candidate.rtt.rtt_us() + candidate.rtt.jitter_us().value_or(0);
  }
  const uint32_t counted = std::min(candidate.probes, kCountedProbes);
  if (counted != 0) {
    const uint32_t mask = (uint32_t{1} << counted) - 1;
    const auto lost = counted - static_cast<uint32_t>(std::popcount(candidate.answered & mask));
    merits.loss = lost * kWhole / counted;
  }
  PathQuality as_bound;
  as_bound.rtt = candidate.rtt;
  const Millis cooldown = policy.switching.switch_cooldown;
  const bool cooling = candidate.left_at && now < *candidate.left_at + cooldown;
  const Millis patience = std::max(kLongestAnswer, Millis{4 * rtt_us / 1'000});
  const bool silent = candidate.nonce != 0 && now > candidate.probed_at + patience;
  const uint32_t recent = (uint32_t{1} << std::min(counted, kRecentProbes)) - 1;
  const bool missed = (candidate.answered & recent) != recent;
  const bool unfit = session::judge(as_bound, policy, now).verdict != QualityVerdict::kHealthy;
  if (cooling || silent || missed || unfit) {
    merits.standing = Standing::kDoubtful;
  } else if (candidate.probes != 0) {
    merits.standing = Standing::kWarm;
  }
  return merits;
}

/// The best candidate, if it is worth to leave the living path for it.
std::optional<Path> SessionEngine::Impl::better_path(Millis now, const Session& session) const {
  const auto& candidates = peers[session.peer.value].candidates;
  const PathMerits bound = merits_of_bound(now, session);
  std::optional<PathMerits> best;
  for (size_t place = 0; place < candidates.size(); ++place) {
    if (candidates[place].path == session.path) continue;
    const PathMerits merits = merits_of(now, session, place);
    if (!best || ranks_before(merits, *best)) best = merits;
  }
  const double factor = policy_of(session).switching.switch_improvement_factor;
  if (!best || !beats(*best, bound, factor)) return std::nullopt;
  return candidates[best->id].path;
}

void SessionEngine::Impl::path_lost(Millis now, PeerId id, const Path& path) {
  PeerState& peer = peers[id.value];
  std::erase_if(peer.candidates, [&](const Candidate& each) { return each.path == path; });
  Session* session = peer.session.get();
  if (session != nullptr && session->initiator) {
    if (session->jump && session->jump->path == path) {
      session->jump.reset();
      if (session->ahead) withdraw_tx(*session);
    }
    if (session->wanted == path) session->wanted.reset();
    const bool bound = session->record.has_transport && session->path == path;
    if (!bound || lose_bound(now, *session)) serve_jump(now, *session);
  }
  rearm(id);
}

/// The bound path is gone. While the session recovers by its own wish no row says so: nothing is
/// sent there any more, and the jump under way becomes one from a dead path. False: it ended.
bool SessionEngine::Impl::lose_bound(Millis now, Session& session) {
  if (session.record.state != State::kRecovering) {
    return drive(now, session, {Trigger::kTransportDead});
  }
  withdraw_tx(session);
  session.jump.reset();
  return true;
}

void SessionEngine::Impl::wish_jump(Millis now, PeerId id, const Path& path) {
  Session* session = peers[id.value].session.get();
  if (session == nullptr || !session->initiator) return;
  session->wanted = path;
  session->why_wanted = wire::ReattachCause::kPlanned;
  serve_jump(now, *session);
  rearm(id);
}

/// Tells the state machine whether there is anywhere better to go.
void SessionEngine::Impl::note_candidates(Millis now, Session& session) {
  const bool asked = session.initiator && session.record.state == State::kVolatile;
  session.record.can_switch =
      asked && !session.current->spares.empty() && better_path(now, session).has_value();
}

/// All candidates by rank, those tried less often first. The path bound so far may be back: it
/// comes at the end of each round.
std::vector<Path> SessionEngine::Impl::jump_targets(Millis now, const Session& session) const {
  const auto& candidates = peers[session.peer.value].candidates;
  std::vector<PathMerits> merits;
  for (size_t place = 0; place < candidates.size(); ++place) {
    merits.push_back(merits_of(now, session, place));
  }
  std::vector<size_t> places = rank(merits);
  std::ranges::stable_sort(places, {}, [&](size_t place) {
    return 2 * candidates[place].tried + (candidates[place].path == session.path ? 1U : 0U);
  });
  std::vector<Path> targets;
  targets.reserve(candidates.size() + 1);
  for (const size_t place : places) targets.push_back(candidates[place].path);
  if (targets.empty()) targets.push_back(session.path);
  return targets;
}

// ---- Failback: back to a preferred path, once it has been stable for long enough.

/// The most preferred path that has been stable for a while, if that isn't the bound one.
const Candidate* SessionEngine::Impl::failback_target(const Session& session) const {
  const bool may = session.initiator && session.record.state == State::kAttached &&
                   policy_of(session).switching.failback_when_stable && !session.jump &&
                   !session.wanted;
  if (!may) return nullptr;
  for (const Candidate& candidate : peers[session.peer.value].candidates) {
    if (candidate.path == session.path) return nullptr;
    if (candidate.stable_since) return &candidate;
  }
  return nullptr;
}

/// Each failback that was soon undone doubles the wait before the next.
Millis SessionEngine::Impl::failback_due(const Session& session) const {
  const Candidate* target = failback_target(session);
  if (target == nullptr) return kNever;
  const Millis wait = *policy_of(session).switching.failback_when_stable;
  return *target->stable_since + Millis{wait.value << session.failbacks_undone};
}

void SessionEngine::Impl::serve_failback(Millis now, Session& session) {
  if (now < failback_due(session)) return;
  Candidate& target = *candidate_at(session, failback_target(session)->path);
  const auto place = static_cast<size_t>(&target - peer_of(session).candidates.data());
  if (merits_of(now, session, place).standing != Standing::kWarm) {
    target.stable_since = now;
    return;
  }
  session.wanted = target.path;
  session.why_wanted = wire::ReattachCause::kFailback;
  serve_jump(now, session);
}

/// What a committed jump means for the paths: nothing is known of the one that was left.
void SessionEngine::Impl::note_jump(Millis now, Session& session, const Path& old_path) {
  session.idle_granted = Millis{0};  // the commit has woken both ends
  session.data_at = now;
  for (Candidate& candidate : peer_of(session).candidates) {
    candidate.tried = 0;
    if (candidate.path == session.path) session.quality.rtt = candidate.rtt;
    if (candidate.path != old_path || old_path == session.path) continue;
    candidate = Candidate{old_path};
    candidate.left_at = now;
  }
  session.probe_at = now;  // the spares are new, nothing is validated under them
  if (session.cause == wire::ReattachCause::kFailback) {
    session.failed_back = now;
  } else if (session.failed_back) {
    const bool soon = now < *session.failed_back + kMinute;
    session.failbacks_undone = soon ? std::min(session.failbacks_undone + 1, kMostDoublings) : 0;
    session.failed_back.reset();
  }
}

// ---- The jump.

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
  note_candidates(now, session);
  const bool silent = session.record.state == State::kRecovering && session.tx_installed &&
                      !has_living_transport(session.record, policy_of(session), now);
  if (silent) lose_bound(now, session);
  const bool missed = session.told_version > session.record.binding_version &&
                      session.tx_installed && !session.wanted;
  if (missed) {  // a commit of ours whose acknowledgement never came: ask where the session is
    session.wanted = session.path;
    session.why_wanted = wire::ReattachCause::kRebind;
  }
  if (!must_jump(session) && !session.wanted) return session.jump.reset();
  if (session.jump && now >= session.jump->gives_up) {
    const Path path = session.jump->path;
    session.jump.reset();
    if (session.ahead) withdraw_tx(session);
    if (!must_jump(session)) return session.wanted.reset();
    if (Candidate* candidate = candidate_at(session, path)) {
      candidate->answered <<= 1;
      ++candidate->probes;
      candidate->stable_since.reset();
    }
  }
  if (!session.jump) {
    if (now < jump_may_start(session)) return;
    start_jump(now, session);
  }
  if (session.jump && now >= session.jump->next_send) send_request(now, session);
}

/// The path that was wanted, or else the best.
void SessionEngine::Impl::start_jump(Millis now, Session& session) {
  const bool dead = !session.tx_installed;
  auto jump = std::make_unique<Jump>();
  jump->path = jump_targets(now, session).front();
  if (!dead) jump->path = better_path(now, session).value_or(jump->path);
  if (session.wanted) jump->path = *session.wanted;
  jump->cause = dead ? wire::ReattachCause::kDead : wire::ReattachCause::kQuality;
  if (session.wanted && !dead) jump->cause = session.why_wanted;
  if (dead) session.wanted.reset();  // tried first, then it is a candidate like any
  Candidate* candidate = candidate_at(session, jump->path);
  const bool counts = candidate != nullptr && must_jump(session);
  const unsigned round = counts ? std::min(candidate->tried++, 1U) : 0;
  const Millis patience{(kPatience * repeat_after(candidate).value) << round};
  jump->next_send = now;
  jump->gives_up = now + std::min(patience, policy_of(session).switching.recovery_attempt);
  session.jump = std::move(jump);
}

/// The spare that belongs to `path`, or an unused one that will; nullptr when there is none, or
/// when no more than `kept` would be left.
SpareBinding* SessionEngine::Impl::spare_for(Session& session, const Path& path, size_t kept) {
  KeyGeneration& generation = *session.current;
  SpareBinding* unused = nullptr;
  size_t left = 0;
  for (SpareBinding& spare : generation.spares) {
    if (spare.returned) continue;
    if (spare.path == path) return &spare;
    if (spare.path) continue;
    if (unused == nullptr) unused = &spare;
    ++left;
  }
  if (left <= kept) return nullptr;
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
    session.jump_pause = now + kLeastRepeat;
    return;
  }
  if (session.record.state == State::kDegraded && !session.record.has_transport &&
      !drive(now, session, {Trigger::kSwitchRequested})) {
    return;
  }
  KeyGeneration& generation = *session.current;
  const bool first = jump.first_nonce == 0;
  const uint64_t nonce = ++session.nonce;
  if (first) jump.first_nonce = nonce;
  const BindingVersion version = std::max(session.told_version, session.record.binding_version);
  const Along along{spare->local, spare->remote, jump.path};
  if (jump.cause == wire::ReattachCause::kDead) {
    wire::TransportDead dead{};
    dead.header = control_header(wire::ControlType::kTransportDead);
    dead.binding_version = version.value;
    send_along(session, generation, along, dead);
  }
  wire::ReattachRequest message{};
  message.header = control_header(wire::ControlType::kReattachRequest);
  message.session_id = session.id.bytes;
  message.nonce = nonce;
  message.clock_ms = now.value + session.clock_ahead;
  message.binding_version = version.value;
  message.receiver = spare->local.value;
  message.lanes = config.lanes;
  message.retire_active = 1;
  message.cause = jump.cause;
  jump.next_send = now + repeat_after(candidate_at(session, jump.path));
  send_along(session, generation, along, message);
  if (first) send_ahead(now, session, *spare);
}

/// With no transport left, data follows the request to a warm path at once: the responder takes it
/// on the spare's index as it is, and the request will be committed unchallenged.
void SessionEngine::Impl::send_ahead(Millis now, Session& session, const SpareBinding& spare) {
  if (session.tx_installed) return;
  withdraw_tx(session);
  const Candidate* candidate = candidate_at(session, *spare.path);
  if (candidate == nullptr) return;
  const auto place = static_cast<size_t>(candidate - peer_of(session).candidates.data());
  if (merits_of(now, session, place).standing != Standing::kWarm) return;
  send_on(session, spare.remote, spare.number, *spare.path);
  session.ahead = spare.number;
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
  // Any path that was asked will do: the answer may be slower than our patience.
  const bool asked = spare != nullptr && session.jump && message.nonce <= session.nonce;
  if (!asked) {
    ++counters.control_stale;
    return;
  }
  wire::ReattachResponse answer{};
  answer.header = control_header(wire::ControlType::kReattachResponse);
  answer.nonce = message.nonce;
  std::ranges::copy(message.token, answer.token);
  send_along(session, at.generation, {spare->local, spare->remote, *spare->path}, answer);
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
  session.cause = session.jump ? session.jump->cause : session.cause;
  session.jump.reset();
  session.wanted.reset();
  session.told_version = std::max(session.told_version, version);
  session.clock_ahead = message.clock_ms - now.value;
  SessionEvent event{Trigger::kReattachCommitted, Detail::kNone, version};
  event.planned = true;
  if (!drive(now, session, event)) return;
  if (session.record.binding_version != version) return;  // the state machine had the last word
  rebind(now, session, number, path);
  learn_spares(*session.current, message.spares);
  note_jump(now, session, old_path);
  Event accepted = reattach_event(now, session, Reason::kReattachAccept, Detail::kNone, path);
  accepted.result = "accept";
  host.emit(accepted);
  tell_switch(now, session, old_path);
  send_heartbeat(now, session);
}

void SessionEngine::Impl::on_reattach_reject(Millis now, Session& session, const Arrival& at,
                                             const wire::ReattachReject& message) {
  if (!session.initiator) return violation(now, session);
  SpareBinding* spare = spare_at(session, at);
  const bool asked = spare != nullptr && session.jump &&
                     message.nonce >= session.jump->first_nonce &&
                     message.nonce >= session.jump->news_nonce && message.nonce <= session.nonce;
  if (!asked) {  // or asked before we knew better
    ++counters.control_stale;
    return;
  }
  const Reason reason = reason_from_number(message.reason).value_or(Reason::kNone);
  const auto detail = static_cast<Detail>(message.detail);
  const BindingVersion told{message.binding_version};
  const Path path = *spare->path;
  const bool news = told != session.told_version || detail == Detail::kStaleTime;
  session.told_version = std::max(told, session.record.binding_version);
  session.clock_ahead = message.clock_ms - now.value;
  Event refused = reattach_event(now, session, reason, detail, path);
  refused.result = "reject";
  host.emit(refused);
  if (session.ahead) withdraw_tx(session);
  Jump& jump = *session.jump;
  if (reason == Reason::kFreshnessInvalid && news) {
    jump.next_send = now;
    jump.news_nonce = session.nonce + 1;
  }
  if (detail == Detail::kStaleVersion && !news) {  // then it is the spare that is void
    spare->returned = true;
    jump.next_send = now;
  }
  learn_spares(at.generation, message.spares);
  if (message.retry_after_ms != 0) {
    jump.next_send = std::max(jump.next_send, now + Millis{message.retry_after_ms});
    jump.gives_up = std::max(jump.gives_up, jump.next_send + kLeastRepeat);
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
  switch (message.hint) {
    case wire::Hint::kRebind:
      session.wanted = session.path;
      session.why_wanted = wire::ReattachCause::kRebind;
      break;
    case wire::Hint::kQuality:
      session.wanted = better_path(now, session);
      session.why_wanted = wire::ReattachCause::kQuality;
      break;
    case wire::Hint::kDrain:
      session.wanted = jump_targets(now, session).front();
      session.why_wanted = wire::ReattachCause::kPlanned;
      if (session.wanted == session.path) session.wanted.reset();  // nowhere else to go
      break;
  }
  serve_jump(now, session);
}

}  // namespace jvpn::engine
