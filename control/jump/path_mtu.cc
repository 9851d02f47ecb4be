#include "control/jump/path_mtu.h"

#include <algorithm>
#include <array>

#include "common/ip_header.h"

namespace jvpn::jump {
namespace {

constexpr Millis kConfirmEvery{700};   // the bound path, while data flows
constexpr Millis kLookEvery{100};      // whether what flowed in has stopped
constexpr Millis kConfirmPause{300};   // between confirmations, however often it stops
constexpr Millis kRaiseEvery{60'000};  // a path that takes less than its device
constexpr Millis kLeastPatience{100};
constexpr uint16_t kLeastMtu = 576 - 80;  // a peer that tells less only wants our fragments
/// Sizes of IP packets that links and tunnels are known to take; RFC 1191 §7.1 and what is common.
constexpr std::array<uint16_t, 31> kPlateaus{9'216, 9'000, 8'000, 6'000, 4'352, 3'000, 2'002, 1'500,
                                             1'492, 1'480, 1'472, 1'460, 1'450, 1'440, 1'430, 1'420,
                                             1'400, 1'380, 1'360, 1'340, 1'320, 1'300, 1'280, 1'240,
                                             1'200, 1'100, 1'006, 900,   800,   700,   576};

uint16_t min_known(uint16_t a, uint16_t b) {
  return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

/// Twice the round trip, as requests are repeated.
Millis patience(const Session& session) {
  return std::max(kLeastPatience, Millis{2 * uint64_t{session.rtt_us()} / 1'000});
}

bool searches(const Session& session) {
  return session.initiates() && session.confirmed && session.has_transport() &&
         !session.jumping() && session.binding.tx_installed &&
         session.record().idle_interval == Millis{0};
}

/// Has the path shown life since a whole ladder was lost on it?
bool shows_life(const Session& session, const MtuSearch& search) {
  if (!search.silent_since) return true;
  return search.path == session.path && session.record().last_authentic > *search.silent_since;
}

}  // namespace

size_t probe_bytes(Environment& environment, const Session& session, const Path& path) {
  uint16_t bytes = min_known(environment.inner_mtu(session.path), session.peer_mtu);
  bytes = min_known(bytes, session.path_mtu);
  if (!session.initiates()) return bytes;
  for (const MtuSearch& search : session.initiator->mtu.searches)
    if (search.path == path) bytes = min_known(bytes, search.mtu);
  return bytes;
}

// ---- Which paths.

MtuSearch* PathMtu::of_path(Session& session, const Path& path) const {
  auto& searches = session.initiator->mtu.searches;
  const auto found = std::ranges::find(searches, path, &MtuSearch::path);
  return found == searches.end() ? nullptr : &*found;
}

uint16_t PathMtu::limit_of(const Session& session, const Path& path) const {
  const uint16_t own = min_known(context_.environment.inner_mtu(path), session.peer_mtu);
  return std::min<uint16_t>(own, wire::kMaxPaddedPlaintext);
}

MtuSearch& PathMtu::watch(Millis now, Session& session, const Path& path) {
  if (MtuSearch* const known = of_path(session, path)) return *known;
  MtuSearch& search = session.initiator->mtu.searches.emplace_back();
  search.path = path;
  search.mtu = search.limit = limit_of(session, path);
  search.due = now;
  search.raise_at = now + kRaiseEvery;
  return search;
}

/// Those that have a spare, which the prober assigns; forgets paths that are gone.
void PathMtu::watch_candidates(Millis now, Session& session) {
  std::erase_if(session.initiator->mtu.searches, [&](const MtuSearch& search) {
    return search.path != session.path && candidates_.at(session, search.path) == nullptr;
  });
  for (const Candidate& candidate : candidates_.of(session)) {
    if (!route_to(session, candidate.path)) continue;
    MtuSearch& search = watch(now, session, candidate.path);
    // A probe as long as the tunnel's packets was lost: of its size, perhaps.
    const bool doubtful = candidate.probes != 0 && (candidate.answered & 1) == 0;
    if (doubtful && search.round == MtuRound::kNone && candidate.probes != search.seen_probes)
      search.due = now;
    search.seen_probes = candidate.probes;
  }
}

std::optional<Route> PathMtu::route_to(const Session& session, const Path& path) const {
  const KeyGeneration& generation = *session.current;
  if (path == session.path) return Route{generation.local, generation.remote, path};
  for (const SpareBinding& spare : generation.spares)
    if (spare.path == path) return Route{spare.local, spare.remote, path};
  return std::nullopt;
}

void PathMtu::on_rows(Millis now, Session& session) {
  if (session.initiates() && session.has_transport()) watch(now, session, session.path);
}

void PathMtu::on_rebound(Millis now, Session& session, const Path&) {
  if (!session.initiates()) return;
  MtuSearch& search = watch(now, session, session.path);
  search.round = MtuRound::kNone;
  search.proven = false;
  search.silent_since.reset();
  search.due = now;
}

void PathMtu::limits_changed(Millis now, Session& session) {
  if (!session.initiates()) return;
  for (MtuSearch& search : session.initiator->mtu.searches) refresh_limit(now, session, search);
  settle(now, session);
}

void PathMtu::refresh_limit(Millis now, const Session& session, MtuSearch& search) const {
  const uint16_t limit = limit_of(session, search.path);
  if (limit == search.limit) return;
  if (limit > search.limit) search.raise_at = now;
  // What was never probed is what the device takes.
  search.mtu = search.proven ? std::min(search.mtu, limit) : limit;
  search.limit = limit;
  search.round = MtuRound::kNone;
  search.due = now;
}

// ---- Rounds of probes.

Millis PathMtu::due(const Session& session) const {
  if (!searches(session)) return kNever;
  Millis at = kNever;
  for (const MtuSearch& search : session.initiator->mtu.searches) at = std::min(at, search.due);
  return at;
}

bool PathMtu::serve(Millis now, Session& session) {
  if (!searches(session)) return true;
  watch_candidates(now, session);
  settle(now, session);
  for (MtuSearch& search : session.initiator->mtu.searches)
    if (now >= search.due) step(now, session, search);
  settle(now, session);
  return true;
}

void PathMtu::step(Millis now, Session& session, MtuSearch& search) {
  MtuState& mtu = session.initiator->mtu;
  switch (search.round) {
    case MtuRound::kConfirm:
      if (shows_life(session, search)) return begin(now, session, search, MtuRound::kSearch);
      return rest(now, session, search);
    case MtuRound::kSearch:
    case MtuRound::kRaise:
      return conclude(now, session, search);
    case MtuRound::kNone:
      refresh_limit(now, session, search);
  }
  const bool bound = search.path == session.path;
  const bool doubtful = bound && doubts(now, session);
  if (search.mtu < search.limit && now >= search.raise_at)
    return begin(now, session, search, MtuRound::kRaise);
  if (!search.proven || doubtful || !bound || mtu.told != session.path_mtu)
    return begin(now, session, search, MtuRound::kConfirm);
  rest(now, session, search);
}

/// Data flows out on the bound path, and its size was confirmed long ago; or nothing comes in since
/// the last look, as when large packets are lost: TCP then sends less and less often.
bool PathMtu::doubts(Millis now, Session& session) const {
  MtuState& mtu = session.initiator->mtu;
  const Activity activity = context_.environment.activity(session.peer);
  const bool came = activity.rx_packets != mtu.rx_packets;
  mtu.stopped = !came && (mtu.flows_in || mtu.stopped);
  mtu.unconfirmed |= activity.tx_packets != mtu.tx_packets;
  mtu.flows_in = came;
  mtu.tx_packets = activity.tx_packets;
  mtu.rx_packets = activity.rx_packets;
  if (!mtu.unconfirmed || now < mtu.confirmed + (mtu.stopped ? kConfirmPause : kConfirmEvery))
    return false;
  mtu.unconfirmed = mtu.stopped = false;
  mtu.confirmed = now;
  return true;
}

void PathMtu::begin(Millis now, Session& session, MtuSearch& search, MtuRound round) {
  // Without a spare to ask on, too: rest() waits for it.
  if (round == MtuRound::kRaise) search.raise_at = now + kRaiseEvery;
  const auto route = route_to(session, search.path);
  if (!route) return rest(now, session, search);
  search.round = round;
  search.best = 0;
  search.asked.clear();
  search.first_nonce = session.initiator->mtu.nonce + 1;
  search.due = now + patience(session);
  if (round == MtuRound::kRaise) return ladder(session, search, *route, search.limit, search.mtu);
  if (round == MtuRound::kSearch) return ladder(session, search, *route, search.mtu, 0);
  probe(session, search, *route, search.mtu);
  // A small one shows life where a search found none.
  const uint16_t overhead = outer_overhead(search.path.remote.address.family);
  if (search.silent_since) probe(session, search, *route, kPlateaus.back() - overhead);
}

/// The largest first, so that the first answer counts; in a search the size in use twice, because a
/// single loss says nothing.
void PathMtu::ladder(Session& session, MtuSearch& search, const Route& route, uint16_t top,
                     uint16_t above) {
  const uint16_t overhead = outer_overhead(search.path.remote.address.family);
  probe(session, search, route, top);
  for (const uint16_t plateau : kPlateaus) {
    const auto bytes = static_cast<uint16_t>(plateau > overhead ? plateau - overhead : 0);
    if (bytes < top && bytes > above) probe(session, search, route, bytes);
  }
  if (search.round == MtuRound::kSearch) probe(session, search, route, top);
}

void PathMtu::probe(Session& session, MtuSearch& search, const Route& route, uint16_t bytes) {
  auto message = control_message<wire::MtuProbe>(wire::ControlType::kMtuProbe);
  message.nonce = ++session.initiator->mtu.nonce;
  search.asked.resize(message.nonce - search.first_nonce);  // zeros: what other paths asked between
  message.receiver = route.local.value;
  message.path_mtu = session.path_mtu;
  search.telling = session.path_mtu;
  search.asked.push_back(bytes);
  channel_.send_padded(session, *session.current, route, message, bytes);
}

/// A round is over without the answer that it hoped for. A path takes less only when neither of two
/// ladders brought more: single losses are common on a bad link.
void PathMtu::conclude(Millis now, Session& session, MtuSearch& search) {
  if (search.round == MtuRound::kSearch) {
    if (search.best == 0) {
      search.silent_since = now;  // the path may be dead: others find that out
      return rest(now, session, search);
    }
    const auto route = route_to(session, search.path);
    const bool first = std::ranges::count(search.asked, search.asked.front()) <= 2;  // its two ends
    if (first && route && search.best < search.mtu) {
      search.due = now + patience(session);
      return ladder(session, search, *route, search.mtu, search.best);
    }
    search.silent_since.reset();
    if (search.mtu == search.limit) search.raise_at = now + kRaiseEvery;  // else one is pending
    search.mtu = std::min(search.mtu, search.best);
    search.proven = true;
  }
  rest(now, session, search);
}

void PathMtu::rest(Millis now, const Session& session, MtuSearch& search) {
  search.round = MtuRound::kNone;
  const bool bound = search.path == session.path;
  const MtuState& mtu = session.initiator->mtu;
  if (bound)
    search.due = now + (mtu.flows_in || mtu.stopped ? kLookEvery : kConfirmEvery);
  else
    search.due = search.mtu < search.limit ? search.raise_at : kNever;
}

/// What the session's packets may be from now on.
void PathMtu::settle(Millis now, Session& session) {
  uint16_t all = 0;
  for (const MtuSearch& search : session.initiator->mtu.searches) {
    if (search.path == session.path || search.mtu >= kIpv6LeastMtu)
      all = min_known(all, search.mtu);
  }
  MtuSearch* const bound = of_path(session, session.path);
  if (bound == nullptr || all == 0 || all == session.path_mtu) return;
  const bool known = session.path_mtu == 0 && all == bound->limit;  // to the host
  const bool installs = !known && session.binding.tx_installed;
  if (installs && !bindings_.reserve_tx(session.peer)) return;  // the next round finds the same
  session.path_mtu = all;
  if (installs) bindings_.install_tx(session);
  if (bound->round == MtuRound::kNone) bound->due = now;  // the responder has to hear of it
}

// ---- Messages.

void PathMtu::on_mtu_probe(Millis now, Session& session, const Arrival& at,
                           const wire::MtuProbe& message) {
  if (session.initiates()) return lifecycle_.end_by_violation(now, session);
  const bool known =
      at.index == at.generation.local || at.generation.spares.at_index(at.index) != nullptr;
  if (!known || message.receiver == 0) {
    ++context_.counters.control_stale;
    return;
  }
  const uint16_t told = std::max(message.path_mtu, kLeastMtu);
  const bool changes = message.path_mtu != 0 && told != session.path_mtu;
  // No answer, so the initiator doesn't take it for told, and asks again.
  if (!context_.admit(now, session, Input::kMtuProbe)) return;
  if (changes && !context_.admit(now, session, Input::kMtuChange)) return;
  const bool whole = session.path_mtu == 0 && told >= limit_of(session, session.path);
  const bool installs = changes && !whole && session.binding.tx_installed;
  if (installs && !bindings_.reserve_tx(session.peer)) return;
  if (changes) session.path_mtu = told;
  if (installs) bindings_.install_tx(session);
  auto answer = control_message<wire::MtuAck>(wire::ControlType::kMtuAck);
  answer.nonce = message.nonce;
  channel_.send_padded(session, at.generation, {at.index, ReceiverIndex{message.receiver}, at.from},
                       answer, at.bytes);
}

void PathMtu::on_mtu_ack(Millis now, Session& session, const Arrival& at,
                         const wire::MtuAck& message) {
  if (!session.initiates()) return lifecycle_.end_by_violation(now, session);
  MtuState& mtu = session.initiator->mtu;
  const auto found = std::ranges::find_if(mtu.searches, [&](const MtuSearch& search) {
    const uint64_t place = message.nonce - search.first_nonce;
    return place < search.asked.size() && search.asked[place] != 0;
  });
  const auto asked =
      found == mtu.searches.end() ? uint16_t{0} : found->asked[message.nonce - found->first_nonce];
  if (asked == 0 || asked != at.bytes) {
    ++context_.counters.control_stale;
    return;
  }
  MtuSearch& search = *found;
  mtu.told = search.telling;
  search.best = std::max(search.best, asked);
  search.silent_since.reset();
  if (asked > search.mtu) search.mtu = std::min(asked, search.limit);  // also when it comes late
  const bool hoped = asked >= search.mtu && search.round != MtuRound::kNone;
  if (hoped) {
    search.proven = true;
    rest(now, session, search);
  }
  settle(now, session);
}

}  // namespace jvpn::jump
