#include "control/jump/candidates.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/assert.h"

namespace jvpn::jump {
namespace {

constexpr uint32_t kCountedProbes = 16;  // of a candidate, for its loss
constexpr uint32_t kRecentProbes = 4;    // of which none may be lost
constexpr Ppm kUnlikely = kWhole / 20;
constexpr uint32_t kMostTrusted = 100;
constexpr uint32_t kHeldUpUs = 20'000;   // later than usual: its peer stood still
constexpr Millis kLongestAnswer{1'000};  // of a probe, or four of its round trips

uint32_t lowest_bits(uint32_t count) {
  return (uint32_t{1} << count) - 1;
}

}  // namespace

bool Candidates::replace(PeerId id, std::span<const Path> paths) {
  PeerState& peer = context_.table.peer(id);
  std::vector<Candidate>& candidates = peer.candidates;
  std::vector<Candidate> told;
  bool news = false;
  for (const Path& path : paths) {
    const auto known = std::ranges::find(candidates, path, &Candidate::path);
    Candidate& candidate = told.emplace_back(known == candidates.end() ? Candidate{path} : *known);
    candidate.gateway = context_.gateway_of(id, path);
    const bool ours = !peer.session || candidate.gateway == here(*peer.session);
    news = news || (ours && known == candidates.end());
  }
  std::ranges::stable_sort(told, {}, &Candidate::gateway);
  candidates = std::move(told);
  return news;
}

std::span<Candidate> Candidates::of(const Session& session) {
  return candidates_at(context_.table.peer_of(session), here(session));
}

std::span<const Candidate> Candidates::of(const Session& session) const {
  return candidates_at(context_.table.peer_of(session), here(session));
}

void Candidates::remove(PeerId id, const Path& path) {
  std::erase_if(context_.table.peer(id).candidates,
                [&](const Candidate& each) { return each.path == path; });
}

Candidate* Candidates::at(const Session& session, const Path& path) {
  const auto candidates = of(session);
  const auto found = std::ranges::find(candidates, path, &Candidate::path);
  return found == candidates.end() ? nullptr : &*found;
}

PathMerits Candidates::merits(Millis now, const Session& session,
                              const Candidate& candidate) const {
  const Policy& policy = context_.policy_of(session);
  PathMerits merits;
  merits.id = static_cast<uint32_t>(&candidate - of(session).data());
  JVPN_ASSERT(merits.id < of(session).size(), "a candidate of this session's peer");
  merits.stable_since = candidate.stable_since;
  const uint64_t rtt_us = candidate.rtt.rtt_us().value_or(0);
  if (candidate.rtt.rtt_us()) {
    merits.latency_us = *candidate.rtt.rtt_us() + candidate.rtt.jitter_us().value_or(0);
  }
  const uint32_t counted = std::min(candidate.probes, kCountedProbes);
  if (counted != 0) {
    const auto answered =
        static_cast<uint32_t>(std::popcount(candidate.answered & lowest_bits(counted)));
    merits.loss = (counted - answered) * kWhole / counted;
  }
  PathQuality as_bound;
  as_bound.rtt = candidate.rtt;
  const Millis cooldown = policy.switching.switch_cooldown;
  const bool cooling = candidate.left_at && now < *candidate.left_at + cooldown;
  const Millis patience = std::max(kLongestAnswer, Millis{4 * rtt_us / 1'000});
  const bool silent = candidate.nonce != 0 && now > candidate.probed_at + patience;
  const uint32_t recent = lowest_bits(std::min(counted, kRecentProbes));
  const bool missed = (candidate.answered & recent) != recent;
  const bool unfit = assess(as_bound, policy, now).verdict != QualityVerdict::kHealthy;
  if (cooling || silent || missed || unfit) {
    merits.standing = Standing::kDoubtful;
  } else if (candidate.probes != 0) {
    merits.standing = Standing::kWarm;
  }
  return merits;
}

std::optional<Path> Candidates::better_than(Millis now, const Session& session,
                                            const PathMerits& bound) const {
  std::optional<PathMerits> best;
  for (const Candidate& candidate : of(session)) {
    if (candidate.path == session.path) continue;
    const PathMerits merits = this->merits(now, session, candidate);
    if (!best || ranks_before(merits, *best)) best = merits;
  }
  const double factor = context_.policy_of(session).switching.switch_improvement_factor;
  if (!best || !beats(*best, bound, factor)) return std::nullopt;
  return of(session)[best->id].path;
}

Path Candidates::next_target(Millis now, const Session& session) const {
  const auto candidates = of(session);
  if (candidates.empty()) return session.path;
  std::vector<PathMerits> merits;
  merits.reserve(candidates.size());
  for (const Candidate& each : candidates) merits.push_back(this->merits(now, session, each));
  const std::vector<size_t> places = rank(merits);
  const auto round = [&](size_t place) {
    return 2 * candidates[place].tried + (candidates[place].path == session.path ? 1U : 0U);
  };
  return candidates[*std::ranges::min_element(places, {}, round)].path;
}

const Candidate* Candidates::preferred(const Session& session) const {
  for (const Candidate& candidate : of(session)) {
    if (candidate.path == session.path) return nullptr;
    if (candidate.stable_since) return &candidate;
  }
  return nullptr;
}

Candidate* Candidates::preferred(const Session& session) {
  return const_cast<Candidate*>(std::as_const(*this).preferred(session));
}

uint32_t Candidates::answers_to_trust(const Policy& policy) {
  const uint64_t kept = kWhole - session::ppm(policy.volatility.loss_volatile_threshold);
  uint64_t chance = kWhole;
  uint32_t answers = 0;
  for (; answers < kMostTrusted && (answers < kRecentProbes || chance > kUnlikely); ++answers)
    chance = chance * kept / kWhole;
  return answers;
}

void Candidates::note_loss(Candidate& candidate) {
  candidate.answered <<= 1;
  ++candidate.probes;
  candidate.stable_since.reset();
  candidate.stable_answers = 0;
}

void Candidates::note_answer(Millis now, Candidate& candidate, std::optional<uint32_t> rtt_us) {
  const uint64_t usual_us = candidate.rtt.patience_us().value_or(rtt_us.value_or(0));
  if (rtt_us && *rtt_us <= usual_us + kHeldUpUs) candidate.answered_at = now;
  candidate.nonce = 0;
  candidate.answered = candidate.answered << 1 | 1;
  ++candidate.probes;
  if (!candidate.stable_since) candidate.stable_since = now;
  ++candidate.stable_answers;
  if (rtt_us) candidate.rtt.add(*rtt_us);
}

void Candidates::on_rows(Millis, Session& session) {
  if (session.state() != State::kRecovering) return;
  for (Candidate& candidate : of(session)) candidate.tried = 0;
}

void Candidates::on_rebound(Millis now, Session& session, const Path& old_path) {
  if (!session.initiates()) return;
  for (Candidate& candidate : context_.table.peer_of(session).candidates) {
    candidate.tried = 0;
    const bool elsewhere = candidate.gateway != here(session);
    if (elsewhere) {
      const Standby standby = candidate.standby;  // of no session's keys
      candidate = Candidate{candidate.path, candidate.gateway};
      candidate.standby = standby;
    }
    if (elsewhere || candidate.path != old_path || old_path == session.path) continue;
    candidate = Candidate{old_path, candidate.gateway};
    candidate.left_at = now;
  }
}

}  // namespace jvpn::jump
