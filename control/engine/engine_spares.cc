// Spare bindings: the responder issues receiver indices ahead, each for one path and with lanes of
// its own (number × lanes), so that a jump shows nothing on the new path that was seen on the old.
// Numbers rise: a commit voids every spare below the one that it takes.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

constexpr Millis kAskAgain{5'000};  // for spares that the responder may not have
constexpr uint32_t kLanes = uint32_t{1} << 16;
constexpr size_t kMostSpares = 2 * wire::kSpareIndices;  // those given back among them

size_t alive_of(const KeyGeneration* generation) {
  if (generation == nullptr) return 0;
  const auto issued = std::ranges::count_if(
      generation->spares, [](const SpareBinding& spare) { return spare.local != ReceiverIndex{}; });
  return 1 + static_cast<size_t>(issued);
}

}  // namespace

size_t SessionEngine::Impl::indices_alive(const PeerState& peer) {
  size_t alive = peer.draining.size();
  if (peer.dial && peer.dial->local != ReceiverIndex{}) ++alive;
  for (const Session* session : {peer.session.get(), peer.pending.get()}) {
    if (session == nullptr) continue;
    alive += alive_of(session->current.get()) + alive_of(session->previous.get()) +
             alive_of(session->next.get()) + (session->rekey != nullptr);
  }
  return alive;
}

/// One for each path that policy lets a session keep in view, and one for a path that turns up.
size_t SessionEngine::Impl::spares_wanted(const Session& session) const {
  const size_t candidates = policy_of(session).transport.max_candidate_count;
  return candidates == 0 ? 0 : std::min(candidates + 1, wire::kSpareIndices);
}

/// Up to `count` more spares, not installed yet; fewer when indices run short.
std::vector<SpareBinding> SessionEngine::Impl::issue_spares(PeerId id, uint16_t lanes,
                                                            uint16_t& last_number, size_t count) {
  std::vector<SpareBinding> issued;
  const size_t in_use = indices_alive(peers[id.value]) + 1;
  const uint32_t most_lanes = std::max(lanes, config.lanes);
  while (issued.size() < count && in_use + issued.size() < kIndicesPerSession && indices.plenty() &&
         (last_number + 2U) * most_lanes <= kLanes) {
    const std::optional<ReceiverIndex> index = indices.allocate(id, random_u32());
    if (!index) break;
    issued.push_back({.number = ++last_number, .local = *index, .remote = ReceiverIndex{}});
  }
  return issued;
}

/// Responder: as many unused spares as are wanted, installed.
void SessionEngine::Impl::top_up_spares(const Session& session, KeyGeneration& generation) {
  const size_t wanted = spares_wanted(session);
  const auto usable =
      static_cast<size_t>(std::ranges::count_if(generation.spares, [&](const SpareBinding& spare) {
        return spare.number > generation.binding;
      }));
  if (usable >= wanted) return;
  const auto issued =
      issue_spares(session.peer, generation.peer_lanes, generation.last_number, wanted - usable);
  for (const SpareBinding& spare : issued) {
    install_rx(session.peer, session.suite, generation, spare.local, spare.number);
    generation.spares.push_back(spare);
  }
}

/// Those with numbers above `binding`: the others are void.
wire::SpareIndices SessionEngine::Impl::list_spares(std::span<const SpareBinding> spares,
                                                    uint16_t binding) {
  wire::SpareIndices list{};
  size_t count = 0;
  for (const SpareBinding& spare : spares) {
    if (spare.number <= binding || count == wire::kSpareIndices) continue;
    list.index[count] = spare.local.value;
    list.number[count++] = spare.number;
  }
  return list;
}

/// Initiator: adds those never heard of.
void SessionEngine::Impl::learn_spares(KeyGeneration& generation, const wire::SpareIndices& told) {
  for (size_t i = 0; i < wire::kSpareIndices; ++i) {
    if (told.index[i] == 0 || told.number[i] <= generation.last_number) continue;
    if (generation.spares.size() >= kMostSpares) return;
    generation.last_number = told.number[i];
    generation.spares.push_back({.number = told.number[i],
                                 .local = ReceiverIndex{},
                                 .remote = ReceiverIndex{told.index[i]}});
  }
}

/// Initiator: spares given back are gone once the responder lists them no more.
void SessionEngine::Impl::drop_returned(KeyGeneration& generation, const wire::SpareIndices& told) {
  std::erase_if(generation.spares, [&](const SpareBinding& spare) {
    const bool listed = std::ranges::find(told.number, spare.number) != std::end(told.number);
    if (!spare.returned || listed) return false;
    if (spare.local != ReceiverIndex{}) retire_index(spare.local);
    return true;
  });
}

void SessionEngine::Impl::retire_spares(KeyGeneration& generation) {
  for (const SpareBinding& spare : generation.spares) {
    if (spare.local != ReceiverIndex{}) retire_index(spare.local);
  }
  generation.spares.clear();
}

void SessionEngine::Impl::give_back_spare(KeyGeneration& generation, uint16_t number) {
  const auto at = std::ranges::find(generation.spares, number, &SpareBinding::number);
  if (at == generation.spares.end()) return;
  if (at->local != ReceiverIndex{}) retire_index(at->local);
  generation.spares.erase(at);
}

/// Those below the active binding's number can't be taken any more.
void SessionEngine::Impl::drop_void_spares(KeyGeneration& generation) {
  std::erase_if(generation.spares, [&](const SpareBinding& spare) {
    if (spare.number > generation.binding) return false;
    if (spare.local != ReceiverIndex{}) retire_index(spare.local);
    return true;
  });
}

bool SessionEngine::Impl::lacks_spares(const Session& session) const {
  if (!session.initiator || !session.confirmed || session.jump || !session.record.has_transport) {
    return false;
  }
  const auto& spares = session.current->spares;
  const bool stranded = std::ranges::any_of(
      spares, [&](const SpareBinding& spare) { return is_stranded(session, spare); });
  const auto held = std::ranges::count(spares, false, &SpareBinding::returned);
  return stranded || static_cast<size_t>(held) < spares_wanted(session);
}

/// It belongs to a path that the session can't or won't take any more.
bool SessionEngine::Impl::is_stranded(const Session& session, const SpareBinding& spare) const {
  const auto& candidates = peers[session.peer.value].candidates;
  return spare.path && *spare.path != session.wanted &&
         std::ranges::find(candidates, *spare.path, &Candidate::path) == candidates.end();
}

Millis SessionEngine::Impl::spares_due(const Session& session) const {
  return lacks_spares(session) ? session.spares_asked + kAskAgain : kNever;
}

/// Initiator: asks for more spares; those of paths that are no candidates any more go back.
void SessionEngine::Impl::serve_spares(Millis now, Session& session) {
  if (now < spares_due(session)) return;
  session.spares_asked = now;
  wire::NewIndices message{};
  message.header = control_header(wire::ControlType::kNewIndices);
  size_t returned = 0;
  for (SpareBinding& spare : session.current->spares) {
    spare.returned = spare.returned || is_stranded(session, spare);
    if (!spare.returned || returned == wire::kSpareIndices) continue;
    message.spares.index[returned] = spare.remote.value;
    message.spares.number[returned++] = spare.number;
  }
  send_control(session, *session.current, message);
}

void SessionEngine::Impl::on_new_indices(Millis, Session& session, const Arrival& at,
                                         const wire::NewIndices& message) {
  if (session.initiator) {
    drop_returned(at.generation, message.spares);
    return learn_spares(at.generation, message.spares);
  }
  if (&at.generation != session.current.get() || !session.record.has_transport) {
    ++counters.control_stale;
    return;
  }
  for (size_t i = 0; i < wire::kSpareIndices; ++i) {
    if (message.spares.index[i] == 0) continue;
    const uint16_t number = message.spares.number[i];
    const bool challenged = session.reattach && session.reattach->outstanding &&
                            session.reattach->outstanding->number == number;
    if (!challenged) give_back_spare(at.generation, number);
  }
  top_up_spares(session, at.generation);
  wire::NewIndices answer{};
  answer.header = control_header(wire::ControlType::kNewIndices);
  answer.spares = list_spares(at.generation.spares, at.generation.binding);
  send_control(session, at.generation, answer);
}

/// The spare of that number takes the place of the active binding, on `path`. The old index drains.
void SessionEngine::Impl::rebind(Millis now, Session& session, uint16_t number, const Path& path) {
  KeyGeneration& generation = *session.current;
  auto& spares = generation.spares;
  const SpareBinding taken = *std::ranges::find(spares, number, &SpareBinding::number);
  const auto& switching = policy_of(session).switching;
  // The initiator sends on the old path until it knows: a responder waits for it to show up.
  session.drain_settles = !session.initiator;
  const Millis wait = session.initiator ? Millis{0} : switching.recovery_attempt;
  peer_of(session).draining.push_back({generation.local, now + wait + switching.drain});
  for (KeyGeneration* other : {session.previous.get(), session.next.get()}) {
    if (other != nullptr) other->left = true;
  }
  std::erase_if(spares, [&](const SpareBinding& spare) { return spare.number == number; });
  // An initiator that misses the acknowledgement may still ask on void spares, and must be told.
  if (!session.initiator) drop_void_spares(generation);
  generation.control = taken.control;
  generation.local = taken.local;
  generation.remote = taken.remote;
  generation.binding = number;
  if (session.initiator) drop_void_spares(generation);
  session.path = path;
  if (!session.initiator) host.bind_rx(generation.local, path.remote);
  ++session.switches;
  session.heartbeat_sent = now;
  session.quality = {};
  session.quality_at = now;
  session.reported_loss = false;
  install_tx(session);
}

/// Responder: the initiator has moved, what it sent before arrives within drain_ms.
void SessionEngine::Impl::settle_drain(Millis now, Session& session) {
  if (!session.drain_settles) return;
  session.drain_settles = false;
  const Millis until = now + policy_of(session).switching.drain;
  for (DrainingIndex& draining : peer_of(session).draining) {
    draining.until = std::min(draining.until, until);
  }
}

/// What the specification asks for beside a switch: itself, and both invariants checked.
void SessionEngine::Impl::tell_switch(Millis now, const Session& session, const Path& old_path) {
  Event event = event_of(now, EventKind::kTransportSwitch, session);
  event.reason = Reason::kTransportSwitchOk;
  event.from_path = old_path;
  event.cause = to_string(session.cause);
  host.emit(event);
  Event audit = event_of(now, EventKind::kAuditEvent, session);
  const PeerState& peer = peers[session.peer.value];
  const bool single =
      session.tx_installed && session.record.has_transport && peer.session.get() == &session;
  audit.reason = Reason::kAuditInvariantOkSingleActive;
  audit.check = "single_active";
  audit.result = single ? "ok" : "violated";
  host.emit(audit);
  audit.reason = Reason::kAuditInvariantOkNoReset;
  audit.check = "no_reset";
  audit.result = session.id != SessionId{} ? "ok" : "violated";
  host.emit(audit);
}

}  // namespace jvpn::engine
