// The calls that gateways and clients make. Packets come in by packet_dispatch.cc.
#include "control/engine/engine.h"

#include <algorithm>

#include "common/assert.h"
#include "common/limits.h"
#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr uint32_t kMinSlotBits = 3;
constexpr uint32_t kMaxSlotBits = 30;

std::optional<Error> complaint(const EngineConfig& config) {
  if (config.suites.empty()) return Error{"suites: expected at least one, got none"};
  if (config.lanes < 1 || config.lanes > kMaxLanes) {
    return Error{"lanes: expected 1 to " + std::to_string(kMaxLanes) + ", got " +
                 std::to_string(config.lanes)};
  }
  if (config.slot_bits < kMinSlotBits || config.slot_bits > kMaxSlotBits) {
    return Error{"slot_bits: expected " + std::to_string(kMinSlotBits) + " to " +
                 std::to_string(kMaxSlotBits) + ", got " + std::to_string(config.slot_bits)};
  }
  if (config.peers.size() > kMaxPeers) {
    return Error{"peers: expected at most " + std::to_string(kMaxPeers) + ", got " +
                 std::to_string(config.peers.size())};
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<SessionEngine>> SessionEngine::create(EngineConfig config, SessionHost& host,
                                                             Millis now, const IpsecMb& library) {
  if (auto error = complaint(config)) return *error;
  auto aead = Aead::create(library);
  if (!aead) return aead.error();
  auto mac = MessageMac::create(library);
  if (!mac) return mac.error();
  auto impl =
      std::make_unique<Impl>(std::move(config), host, std::move(*aead), std::move(*mac), now);
  if (auto added = impl->table.add_keys(impl->config.peers, impl->self.public_key); !added) {
    return added.error();
  }
  return std::unique_ptr<SessionEngine>(new SessionEngine(std::move(impl)));
}

SessionEngine::SessionEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SessionEngine::~SessionEngine() = default;

// ---- Time.

void SessionEngine::advance(Millis now) {
  impl_->take_replies(now);
  impl_->store.serve_endings(now);
  impl_->parts.cookies.serve(now);
  impl_->parts.drainer.report_news(now);
  impl_->carry_out();
  impl_->go_on_sweeping(now);
  for (size_t moved = 0; moved < kTimersAtOnce; moved += kTimersMoved) {
    if (impl_->timers.expire(now, kTimersMoved) || impl_->host.slice_over()) break;
  }
  for (size_t served = 0; served < kServedAtOnce; ++served) {
    const auto timer = impl_->timers.pop();
    if (!timer) return;
    impl_->serve(now, PeerId{*timer});
    impl_->leave(PeerId{*timer});
    if (impl_->host.slice_over()) return;
  }
}

Millis SessionEngine::next_deadline() const {
  const bool at_once =
      !impl_->sweeps.empty() || impl_->store.has_replies() || impl_->parts.drainer.has_news();
  if (at_once) return Millis{0};
  return std::min({impl_->timers.next(), impl_->parts.cookies.due(), impl_->store.endings_due()});
}

// ---- Requests of the host.

void SessionEngine::dial(Millis now, PeerId peer, const Path& path) {
  if (!impl_->table.knows(peer)) return;
  impl_->parts.dialer.dial(now, peer, path);
  impl_->leave(peer);
}

std::optional<DialView> SessionEngine::dialling(PeerId peer) const {
  if (!impl_->table.knows(peer) || !impl_->table.peer(peer).dial) return std::nullopt;
  const Dial& call = *impl_->table.peer(peer).dial;
  const Attempt* const latest = call.at(call.latest);
  JVPN_ASSERT(latest != nullptr, "a peer that is dialled was called, or is called first");
  return DialView{latest->path, call.unanswered, call.unopened,
                  call.cookies, call.retries,    impl_->standbys(peer)};
}

void SessionEngine::set_candidates(Millis now, PeerId peer, std::span<const Path> paths) {
  if (!impl_->table.knows(peer)) return;
  impl_->parts.jumper.set_candidates(now, peer, paths);
  impl_->leave(peer);
}

void SessionEngine::path_lost(Millis now, PeerId peer, const Path& path) {
  if (!impl_->table.knows(peer)) return;
  impl_->parts.jumper.path_lost(now, peer, path);
  impl_->leave(peer);
}

void SessionEngine::mtu_changed(Millis now, PeerId peer) {
  if (!impl_->table.knows(peer)) return;
  Session* const session = impl_->table.peer(peer).session.get();
  if (session == nullptr) return;
  impl_->parts.path_mtu.limits_changed(now, *session);
  impl_->leave(peer);
}

void SessionEngine::jump(Millis now, PeerId peer, const Path& path) {
  if (!impl_->table.knows(peer)) return;
  Session* const session = impl_->table.peer(peer).session.get();
  if (session == nullptr || !session->initiates()) return;
  const Context& context = impl_->context;
  if (context.gateway_of(peer, path) != context.gateway_of(peer, session->path)) return;
  impl_->parts.jumper.wish(now, *session, {path, wire::ReattachCause::kPlanned});
  impl_->leave(peer);
}

void SessionEngine::deny_jump(Millis now, PeerId peer, const Path& path) {
  if (!impl_->table.knows(peer)) return;
  const Session* const session = impl_->table.peer(peer).session.get();
  if (session == nullptr || !session->initiates()) return;
  impl_->parts.jumper.deny(now, *session, path);
  impl_->carry_out();
}

Millis SessionEngine::jump_begins(PeerId peer) const {
  const Session* const session =
      impl_->table.knows(peer) ? impl_->table.peer(peer).session.get() : nullptr;
  const bool may = session != nullptr && session->initiates();
  return may ? impl_->parts.jumper.policy_allows(*session) : kNever;
}

bool SessionEngine::jumps(PeerId peer) const {
  const Session* const session =
      impl_->table.knows(peer) ? impl_->table.peer(peer).session.get() : nullptr;
  return session != nullptr && (session->wants_jump() || session->jumping());
}

void SessionEngine::ask_jump(Millis, PeerId peer, wire::Hint hint) {
  if (!impl_->table.knows(peer)) return;
  Session* const session = impl_->table.peer(peer).session.get();
  const bool may = session != nullptr && !session->initiates() && session->has_transport();
  if (!may) return;
  impl_->parts.channel.send_hint(*session, session->path, hint);
  impl_->carry_out();
}

void SessionEngine::interface_lost(Millis now, uint16_t interface) {
  impl_->begin_sweep(now, {Sweep::What::kInterfaceLost, interface});
}

void lanes_closed(SessionEngine& engine, Millis now, PeerId peer, const LaneReport& report) {
  SessionEngine::Impl& impl = *engine.impl_;
  if (!impl.table.knows(peer)) return;
  Session* const session = impl.table.peer(peer).session.get();
  if (session == nullptr) return;
  impl.parts.responder.on_lanes_closed(now, *session, report);
  impl.leave(peer);
}

void SessionEngine::wake(Millis now, PeerId peer, std::optional<Millis> stood_still_since) {
  if (!impl_->table.knows(peer)) return;
  Session* const session = impl_->table.peer(peer).session.get();
  if (session == nullptr) return;
  const Millis span = now - stood_still_since.value_or(now);
  const bool idles = session->record().idle_interval != Millis{0};
  if (!idles && span == Millis{0}) return;
  if (idles) impl_->parts.idleness.wake(now, *session);
  if (span <= impl_->context.policy_of(*session).volatility.transport_dead) {
    const Millis heard = std::min(now, session->record().last_authentic + span);
    impl_->parts.lifecycle.note(now, *session, {.trigger = Trigger::kHeard, .time = heard});
  }
  impl_->leave(peer);
}

Result<void> SessionEngine::add_peer(PeerId id, EnginePeer peer) {
  JVPN_ASSERT(id.value < kMaxPeers && !impl_->table.knows(id),
              "a new peer gets an id that is free");
  return impl_->add_peer(id, std::move(peer));
}

void SessionEngine::install_refused(Millis now, PeerId id) {
  if (!impl_->table.knows(id)) return;
  impl_->parts.lifecycle.end_corrupt(now, impl_->table.peer(id));
  impl_->leave(id);
}

void SessionEngine::remove_peer(Millis now, PeerId id) {
  if (impl_->table.knows(id)) impl_->remove_peer(now, id);
}

void SessionEngine::update_peer(PeerId id, EnginePeer peer) {
  JVPN_ASSERT(impl_->table.peer_with(peer.public_key) == id, "a peer's key makes the peer");
  const bool regrouped = impl_->config.peers[id.value].gateways != peer.gateways;
  impl_->config.peers[id.value] = std::move(peer);
  if (regrouped) impl_->parts.dialer.gateways_changed(id);
}

void SessionEngine::dial_when_ended(Millis now, PeerId peer, const Path& path) {
  if (!impl_->table.knows(peer)) return;
  if (!impl_->table.peer(peer).session) return dial(now, peer, path);
  impl_->parts.dialer.dial_when_ended(peer, path);
  impl_->leave(peer);
}

void SessionEngine::follow_candidates(Millis now, PeerId peer) {
  if (!impl_->table.knows(peer)) return;
  Session* const session = impl_->table.peer(peer).session.get();
  const bool may = session != nullptr && session->initiates() && session->has_transport();
  if (!may) return;
  const std::span<Candidate> there = impl_->parts.candidates.of(*session);
  const bool moves =
      !there.empty() && impl_->parts.candidates.at(*session, session->path) == nullptr;
  if (moves) jump(now, peer, there.front().path);
}

void SessionEngine::stop_dialling(PeerId peer) {
  if (!impl_->table.knows(peer)) return;
  impl_->parts.dialer.forget(impl_->table.peer(peer));
  impl_->leave(peer);
}

void SessionEngine::set_policy(Millis now, const Policy& policy) {
  impl_->config.policy = policy;
  impl_->context.denies_new_sessions = false;
  impl_->parts.reporter.policy_changed(now);
  impl_->parts.reporter.emit_config(now, Reason::kConfigLoaded);
  impl_->carry_out();
  impl_->begin_sweep(now, {Sweep::What::kPolicy});
}

void SessionEngine::deny_new_sessions(Millis now) {
  impl_->context.denies_new_sessions = true;
  impl_->parts.reporter.emit_config(now, Reason::kConfigRefused);
  impl_->carry_out();
  impl_->begin_sweep(now, {Sweep::What::kTimers});
}

Admission SessionEngine::admission(Millis now, DrainOrder order) {
  const Context& context = impl_->context;
  const bool may_drain = impl_->store.ownership().may_ask_owner();
  if (order == DrainOrder::kBegin && may_drain && !context.draining) {
    impl_->parts.drainer.begin(now);
    impl_->parts.drainer.report_news(now);
    impl_->carry_out();
    impl_->begin_sweep(now, {Sweep::What::kDrain});
  }
  if (order == DrainOrder::kEnd && context.draining) {
    impl_->parts.drainer.end(now);
    impl_->carry_out();
  }
  return {context.denies_new_sessions, context.draining, may_drain, impl_->table.answered()};
}

void SessionEngine::terminate(Millis now, PeerId peer, Detail detail) {
  if (!impl_->table.knows(peer)) return;
  impl_->end_peer(now, peer, detail);
  impl_->leave(peer);
}

void SessionEngine::shutdown(Millis now) {
  impl_->begin_sweep(now, {Sweep::What::kShutdown});
}

// ---- What is shown.

std::optional<PeerId> SessionEngine::visit_sessions(
    PeerId from, const std::function<void(const SessionView&)>& visit) const {
  size_t seen = 0;
  for (uint32_t i = from.value; i < impl_->table.size(); ++i) {
    const bool over = seen >= kShownAtOnce || (seen != 0 && impl_->host.slice_over());
    if (over || i - from.value >= kLookedAtAtOnce) return PeerId{i};
    seen += impl_->visit_peer(PeerId{i}, visit);
  }
  return std::nullopt;
}

void SessionEngine::for_each_tombstone(const std::function<void(const Tombstone&)>& visit) const {
  for (const Tombstone& tombstone : impl_->table.tombstones()) visit(tombstone);
}

const EngineCounters& SessionEngine::counters() const {
  return impl_->counters;
}
const Policy& SessionEngine::policy() const {
  return impl_->config.policy;
}
const CookieSecrets& SessionEngine::cookie_secrets(uint64_t& generation, Millis now,
                                                   const session::CookieUse& used) {
  impl_->parts.cookies.note_use(now, used);
  generation = impl_->parts.cookies.generation();
  return impl_->parts.cookies.secrets();
}

}  // namespace jvpn::engine
