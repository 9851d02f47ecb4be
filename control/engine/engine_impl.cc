#include "control/engine/engine_impl.h"

#include <algorithm>

#include "common/secret.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::engine {

SessionEngine::Impl::Impl(EngineConfig configuration, SessionHost& session_host, Aead own_aead,
                          MessageMac own_mac, Millis now)
    : config(std::move(configuration)),
      host(session_host),
      aead(std::move(own_aead)),
      mac(std::move(own_mac)),
      own_key(config.private_key),
      // A peer's next session may replace one that lives.
      own_sessions(config.ownership == nullptr ? 2 * config.peer_room : 0),
      store(config, config.ownership != nullptr ? *config.ownership : own_memory),
      table(config.peers.size(), config.slot_bits, config.peer_room),
      self{config.private_key, own_key.public_key(), {&own_key, &table}},
      context{config, table, host, effects, counters, store, aead, mac},
      parts(context, self, token_secret, now),
      dispatch(parts),
      timers(std::max(static_cast<uint32_t>(config.peers.size()), config.peer_room), now) {
  config.peers.reserve(config.peer_room);
  Secret<16> secret;
  host.random(secret.span());
  mac.expand(secret.span(), token_secret);
}

SessionEngine::Impl::~Impl() {
  wipe(&token_secret, sizeof token_secret);
}

// ---- Time.

void SessionEngine::Impl::serve(Millis now, PeerId id) {
  PeerState& peer = table.peer(id);
  parts.bindings.serve_draining(now, peer);
  parts.resumer.serve(now, id);
  const bool unanswered = peer.pending && peer.pending->commit_pending() &&
                          now >= peer.pending->responder->store.answer_due;
  if (unanswered) end_commit(now, StoreCalls::unanswered(*peer.pending));
  parts.lifecycle.serve_pending(now, peer);
  if (peer.session) serve_session(now, *peer.session);
  if (peer.dial) parts.dialer.serve_dial(now, id);
}

void SessionEngine::Impl::serve_session(Millis now, Session& session) {
  parts.liveness.note_data(now, session);
  if (session.commit_pending()) {  // all but the session's end waits for the store's answer
    if (now >= session.responder->store.answer_due)
      return end_commit(now, StoreCalls::unanswered(session));
    if (now < end_deadline(session.record(), context.policy_of(session))) return;
    parts.lifecycle.transition(now, session, {Trigger::kTick});
    return;
  }
  if (!parts.lifecycle.transition(now, session, {Trigger::kTick})) return;
  if (StoreCalls::exhausted(session)) {
    parts.lifecycle.transition(now, session, {Trigger::kTerminate, Detail::kStoreUnavailable});
    return;
  }
  const PeerState& peer = table.peer(session.peer);
  for (Part* part : parts.served_of(session)) {
    const bool lives = part->serve(now, session);
    carry_out();  // what measures round trips must not wait for the parts behind it
    if (!lives || peer.session.get() != &session) return;
  }
}

Millis SessionEngine::Impl::due(PeerId id) const {
  const PeerState& peer = table.peer(id);
  Millis at = std::min(parts.dialer.dial_due(id), Bindings::draining_due(peer));
  at = std::min({at, parts.lifecycle.pending_due(peer), parts.resumer.due(id)});
  return peer.session ? std::min(at, session_due(*peer.session)) : at;
}

Millis SessionEngine::Impl::session_due(const Session& session) const {
  const Policy& policy = context.policy_of(session);
  if (session.commit_pending())
    return std::min(end_deadline(session.record(), policy), session.responder->store.answer_due);
  Millis at = session::next_deadline(session.record(), policy);
  for (const Part* part : parts.served_of(session)) at = std::min(at, part->due(session));
  return at;
}

// ---- Inputs that concern several parts.

void SessionEngine::Impl::begin_sweep(Millis now, Sweep sweep) {
  std::erase_if(sweeps, [&](const Sweep& each) {
    return each.what == sweep.what && each.interface == sweep.interface;
  });
  sweeps.push_back(sweep);
  go_on_sweeping(now);
}

void SessionEngine::Impl::go_on_sweeping(Millis now) {
  size_t looked = 0;
  size_t served = 0;
  while (!sweeps.empty()) {
    Sweep& sweep = sweeps.front();
    while (sweep.next < table.size()) {
      if (looked++ == kLookedAtAtOnce || served == kServedAtOnce) return;
      const PeerId id{sweep.next++};
      if (!sweep_peer(now, id, sweep)) continue;
      ++served;
      leave(id);
      if (host.slice_over()) return;
    }
    const bool forgotten = sweep.what == Sweep::What::kEpochOver;
    sweeps.erase(sweeps.begin());
    if (forgotten) store.ownership().begin_again();
  }
}

bool SessionEngine::Impl::sweep_peer(Millis now, PeerId id, const Sweep& sweep) {
  if (!table.knows(id)) return false;
  switch (sweep.what) {
    case Sweep::What::kInterfaceLost:
      return lose_interface(now, id, sweep.interface);
    case Sweep::What::kPolicy:
      return apply_policy(now, id);
    case Sweep::What::kTimers:
      return true;
    case Sweep::What::kShutdown:
      return leave_peer(now, id);
    case Sweep::What::kEpochOver:
      return lose_peer(now, id, sweep.epoch);
    case Sweep::What::kDrain:
      if (!table.peer(id).session) return false;
      parts.drainer.plan(now, *table.peer(id).session);
      return true;
  }
  return false;
}

bool SessionEngine::Impl::apply_policy(Millis now, PeerId id) {
  const PeerState& peer = table.peer(id);
  Session* const session = peer.session.get();
  if (session == nullptr) return peer.pending != nullptr || peer.dial != nullptr;
  session->budgets = {};
  if (session->initiates()) {
    session->initiator->policy =
        protocol::tightened(config.policy, session->initiator->told_policy);
  } else if (session->responder->reattach) {
    jump::set_rates(now, config.policy, *session->responder->reattach);
  }
  parts.bindings.extend(*session);
  return true;
}

bool SessionEngine::Impl::lose_interface(Millis now, PeerId id, uint16_t interface) {
  Session* const session = table.peer(id).session.get();
  const bool bound =
      session != nullptr && session->has_transport() && session->path.interface == interface;
  if (!bound) return false;
  if (session->initiates()) {
    const Path path = session->path;
    parts.jumper.path_lost(now, id, path);
    return true;
  }
  parts.responder.send_transport_dead(now, *session);
  parts.lifecycle.transition(now, *session, {Trigger::kTransportDead});
  return true;
}

/// Ends all sessions and attempts with a peer. It isn't dialled again. False: there were none.
bool SessionEngine::Impl::end_peer(Millis now, PeerId id, Detail detail) {
  PeerState& peer = table.peer(id);
  if (!peer.dial && !peer.session && !peer.pending) return false;
  parts.dialer.forget(peer);
  parts.lifecycle.end_all(now, peer, detail);
  return true;
}

/// Sessions that the store keeps wait there; all others end.
bool SessionEngine::Impl::leave_peer(Millis now, PeerId id) {
  PeerState& peer = table.peer(id);
  const bool kept = store.ownership().durable() && peer.session && !peer.session->initiates() &&
                    peer.session->responder->store.owned;
  if (!kept) return end_peer(now, id, Detail::kShutdown);
  parts.dialer.forget(peer);
  parts.lifecycle.park(now, peer, Detail::kShutdown);
  return true;
}

/// Whatever the store had owned for us is another's to take. False: nothing was.
bool SessionEngine::Impl::lose_peer(Millis now, PeerId id, uint64_t epoch) {
  PeerState& peer = table.peer(id);
  if (peer.pending && !peer.pending->initiates())
    parts.lifecycle.fail_pending(now, peer, Detail::kOwnershipLost);
  if (!peer.session || peer.session->initiates()) return false;
  parts.lifecycle.forget(now, *peer.session, 0, epoch);
  return true;
}

// ---- The configured peers.

Result<void> SessionEngine::Impl::add_peer(PeerId id, EnginePeer peer) {
  if (peer.public_key == self.public_key) {
    return Error{"peer " + peer.name + ": expected another's public key, got our own"};
  }
  if (const auto other = table.peer_with(peer.public_key)) {
    return Error{"peer " + peer.name + ": expected a public key of its own, got that of peer " +
                 context.configured(*other).name};
  }
  if (id.value >= config.peers.size()) config.peers.resize(size_t{id.value} + 1);
  timers.grow(static_cast<uint32_t>(config.peers.size()));
  table.add(id, peer.public_key);
  // It may have been a peer before, and its initiations recorded.
  table.peer(id).least_timestamp = context.environment.timestamp();
  config.peers[id.value] = std::move(peer);
  return {};
}

/// The session ends first, then whatever could still be opened or come back.
void SessionEngine::Impl::remove_peer(Millis now, PeerId id) {
  end_peer(now, id, Detail::kPolicyHardStop);
  leave(id);
  parts.bindings.retire_draining(table.peer(id));
  parts.resumer.forget(id);
  table.remove(id, context.configured(id).public_key);
  config.peers[id.value] = EnginePeer{};
  leave(id);
}

// ---- What is shown.

SessionView SessionEngine::Impl::view_of(const Session& session) const {
  const SessionRecord& record = session.record();
  const PathQuality& quality = session.quality.path;
  SessionView view{};
  view.id = session.id;
  view.peer = session.peer;
  view.state = record.state;
  view.version = record.version;
  view.binding_version = record.binding_version;
  view.last_reason = session.last_reason;
  view.suite = session.suite;
  view.path = session.path;
  view.rekeys = session.rekeys;
  view.born = record.born;
  view.keyed = session.current ? session.current->created : record.born;
  view.lived = record.lived;
  view.last_authentic = record.last_authentic;
  view.rtt_us = quality.rtt.rtt_us();
  view.jitter_us = quality.rtt.jitter_us();
  view.loss_in = quality.loss_in(context.policy_of(session));
  view.loss_out = quality.reported;
  view.loss_out_until = quality.reported_until;
  view.recent_switches = record.switches;
  view.idle = record.idle_interval != Millis{0};
  view.switches = session.binding.switches;
  return view;
}

std::vector<StandbyView> SessionEngine::Impl::standbys(PeerId id) const {
  const PeerState& peer = table.peer(id);
  std::optional<GatewayNumber> here;
  if (peer.session) here = context.gateway_of(id, peer.session->path);
  std::vector<StandbyView> views;
  for (const Candidate& each : peer.candidates)
    if (each.gateway != here) views.push_back({each.path, each.gateway, each.standby});
  return views;
}

size_t SessionEngine::Impl::visit_peer(PeerId id,
                                       const std::function<void(const SessionView&)>& visit) const {
  const PeerState& peer = table.peer(id);
  const bool begins = peer.pending && !is_resumption(*peer.pending);
  if (begins) visit(view_of(*peer.pending));
  if (!peer.session) return begins ? 1 : 0;
  SessionView view = view_of(*peer.session);
  view.last_authentic = std::max(view.last_authentic, host.activity(id).last_rx);
  visit(view);
  return begins ? 2 : 1;
}

}  // namespace jvpn::engine
