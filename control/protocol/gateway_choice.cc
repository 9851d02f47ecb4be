#include "control/protocol/gateway_choice.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kAllEvery = 4;  // rounds

StandbyRank rank_of(const Candidate& candidate) {
  return candidate.standby.rank();
}

/// The first of those with the best rank.
auto best_of(std::span<const Candidate> candidates) {
  return std::ranges::min_element(candidates, {},
                                  [](const Candidate& each) { return rank_of(each); });
}

/// Of its paths' the best; kSilent: it has none.
StandbyRank rank_of(std::span<const Candidate> candidates) {
  const auto best = best_of(candidates);
  return best == candidates.end() ? StandbyRank::kSilent : rank_of(*best);
}

/// Whoever stands below has no turn in most rounds, as long as there are others.
StandbyRank least_rank(StandbyRank best) {
  return std::max(best, StandbyRank::kUnknown);
}

/// In it those have a turn, too: what is known may be out of date.
bool is_round_of_all(const Dial& call) {
  return call.rounds % kAllEvery == kAllEvery - 1;
}

void use_path(Attempt& attempt, const Path& path) {
  if (path != attempt.path) attempt.cookie.reset();
  attempt.path = path;
}

}  // namespace

Attempt& GatewayChoice::attempt_at(PeerId id, GatewayNumber gateway) {
  const PeerState& peer = context_.table.peer(id);
  if (Attempt* const known = peer.dial->at(gateway)) return *known;
  const auto candidates = candidates_at(peer, gateway);
  JVPN_ASSERT(peer.session || !candidates.empty(), "a gateway is called by a path to it");
  Attempt& fresh = peer.dial->attempts.emplace_back(Attempt{gateway, {}});
  const auto best = best_of(candidates);
  fresh.path = best == candidates.end() ? peer.session->path : best->path;
  fresh.next = static_cast<size_t>(best - candidates.begin()) + 1;
  return fresh;
}

Attempt& GatewayChoice::first_of_round(PeerId id) {
  const PeerState& peer = context_.table.peer(id);
  Dial& call = *peer.dial;
  if (may_claim(peer)) {
    call.latest = context_.gateway_of(id, peer.session->path);
    return attempt_at(id, call.latest);
  }
  const auto busy = std::ranges::find(call.attempts, true, &Attempt::cookie_is_new);
  if (busy != call.attempts.end())
    call.latest = busy->gateway;
  else if (call.rounds != 0)
    call.latest = gateway_after(peer, call.latest).value_or(call.latest);
  return attempt_at(id, call.latest);
}

Attempt* GatewayChoice::other_of_round(Millis now, PeerId id) {
  const PeerState& peer = context_.table.peer(id);
  Dial& call = *peer.dial;
  if (!may_claim(peer) || !(peer.session->must_jump() || leaves(peer))) return nullptr;
  const GatewayNumber here = context_.gateway_of(id, peer.session->path);
  for (Attempt& each : call.attempts)
    if (each.cookie_is_new && each.gateway != here) return &each;
  if (!std::exchange(call.claimed_elsewhere, true))
    if (Attempt* const best = best_elsewhere(id)) return best;
  return next_elsewhere(now, id, call.other, Standing::kGood);
}

Attempt* GatewayChoice::doubtful_of_round(Millis now, PeerId id) {
  Dial& call = *context_.table.peer(id).dial;
  return is_round_of_all(call) ? next_elsewhere(now, id, call.doubtful, Standing::kDoubtful)
                               : nullptr;
}

/// The next in turn after that one; nullptr: there is none.
Attempt* GatewayChoice::next_elsewhere(Millis now, PeerId id, GatewayNumber& after,
                                       Standing wanted) {
  const PeerState& peer = context_.table.peer(id);
  Dial& call = *peer.dial;
  const GatewayNumber here = context_.gateway_of(id, peer.session->path);
  const bool declines = now < call.started + kTrusted;
  const auto may = [&](GatewayNumber gateway) {
    const Attempt* const attempt = call.at(gateway);
    return gateway != here && !(declines && attempt != nullptr && attempt->declined);
  };
  StandbyRank best = StandbyRank::kSilent;
  for (const Candidate& each : peer.candidates)
    if (may(each.gateway)) best = std::min(best, rank_of(each));
  for (size_t tried = 0; tried < kMaxGateways; ++tried) {
    const auto next = gateway_after(peer, after, here);
    if (!next) return nullptr;
    after = *next;
    const bool good = rank_of(candidates_at(peer, *next)) <= least_rank(best);
    if (may(*next) && good == (wanted == Standing::kGood)) return &attempt_at(id, *next);
  }
  return nullptr;
}

/// The gateway that answers soonest, by that path; nullptr: none is known to answer.
Attempt* GatewayChoice::best_elsewhere(PeerId id) {
  const PeerState& peer = context_.table.peer(id);
  const GatewayNumber here = context_.gateway_of(id, peer.session->path);
  const Candidate* best = nullptr;
  for (const Candidate& each : peer.candidates) {
    if (each.gateway == here || rank_of(each) != StandbyRank::kWarm) continue;
    if (best == nullptr || each.standby.preferred_to(best->standby)) best = &each;
  }
  if (best == nullptr) return nullptr;
  peer.dial->other = best->gateway;
  Attempt& attempt = attempt_at(id, best->gateway);
  use_path(attempt, best->path);
  attempt.again = true;
  return &attempt;
}

bool GatewayChoice::take_turn(const PeerState& peer, Attempt& attempt) {
  attempt.retried = false;
  if (std::exchange(attempt.cookie_is_new, false)) return false;
  if (std::exchange(attempt.again, false)) return true;
  const auto candidates = candidates_at(peer, attempt.gateway);
  size_t turn = attempt.next++;
  if (candidates.empty()) return true;
  const StandbyRank least =
      is_round_of_all(*peer.dial) ? StandbyRank::kSilent : least_rank(rank_of(candidates));
  const auto at = [&]() -> const Candidate& { return candidates[turn % candidates.size()]; };
  while (rank_of(at()) > least) turn = attempt.next++;
  use_path(attempt, at().path);
  return true;
}

void GatewayChoice::use_standby(Millis now, const PeerState& peer, Attempt& attempt) {
  attempt.early_cookie = false;
  const auto at = std::ranges::find(peer.candidates, attempt.path, &Candidate::path);
  if (at == peer.candidates.end()) return;
  if (attempt.freshness == wire::Freshness{}) attempt.freshness = at->standby.freshness;
  if (attempt.cookie || now >= at->standby.cookie_until) return;
  attempt.cookie = at->standby.cookie;
  attempt.cookie_until = at->standby.cookie_until;
  attempt.early_cookie = true;
}

}  // namespace jvpn::protocol
