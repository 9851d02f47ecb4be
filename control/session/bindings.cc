#include "control/session/bindings.h"

#include <algorithm>

#include "common/assert.h"
#include "common/limits.h"
#include "common/secret.h"

namespace jvpn::session {
namespace {

constexpr uint32_t kLanes = uint32_t{1} << 16;

LaneId first_lane(uint16_t number, uint16_t lanes) {
  return LaneId{static_cast<uint16_t>(number * lanes)};
}

Millis keys_end(const KeyGeneration& generation) {
  return generation.created + Millis{kKeyRefuseAfterMs};
}

}  // namespace

std::optional<ReceiverIndex> Bindings::allocate_index(PeerId id) {
  PeerState& peer = context_.table.peer(id);
  if (PeerTable::indices_alive(peer) >= kIndicesPerSession && !peer.draining.empty()) {
    retire_index(peer.draining.front().index);
    peer.draining.erase(peer.draining.begin());
  }
  return context_.table.indices().allocate(id, random_u32(context_.environment));
}

std::optional<ReceiverIndex> Bindings::allocate_index(PeerId id, uint16_t lanes) {
  const std::optional<ReceiverIndex> index = allocate_index(id);
  if (!index) {
    ++context_.counters.no_room;
    return std::nullopt;
  }
  if (reserve_rx(id, *index, lanes)) return index;
  release_index(*index);
  return std::nullopt;
}

void Bindings::release_index(ReceiverIndex index) {
  context_.environment.release_rx(index);
  context_.table.indices().release(index);
}

bool Bindings::reserve_rx(PeerId id, ReceiverIndex index, uint16_t lanes) {
  if (context_.environment.reserve_rx(id, index, lanes)) return true;
  ++context_.counters.no_room;
  return false;
}

bool Bindings::reserve_tx(PeerId id) {
  if (context_.environment.reserve_tx(id, context_.config.lanes)) return true;
  ++context_.counters.no_room;
  return false;
}

void Bindings::retire_index(ReceiverIndex index) {
  JVPN_ASSERT(context_.table.indices().owner(index), "an index is retired once");
  context_.effects.retire_rx(index);
  context_.table.indices().release(index);
}

bool Bindings::close_index(Session& session, ReceiverIndex index) {
  PeerState& peer = context_.table.peer_of(session);
  const size_t drained = std::erase_if(
      peer.draining, [&](const DrainingIndex& draining) { return draining.index == index; });
  const bool replaced = session.previous && session.previous->local == index;
  if (drained == 0 && !replaced) return false;
  if (replaced) {
    retire_spares(*session.previous);
    session.previous.reset();
  }
  context_.effects.close_rx(session.peer, index);
  context_.table.indices().release(index);
  return true;
}

void Bindings::serve_draining(Millis now, PeerState& peer) {
  std::erase_if(peer.draining, [&](const DrainingIndex& draining) {
    if (now < draining.until) return false;
    retire_index(draining.index);
    return true;
  });
}

void Bindings::retire_draining(PeerState& peer) {
  for (const DrainingIndex& draining : peer.draining) retire_index(draining.index);
  peer.draining.clear();
}

Millis Bindings::draining_due(const PeerState& peer) {
  Millis due = kNever;
  for (const DrainingIndex& draining : peer.draining) due = std::min(due, draining.until);
  return due;
}

void Bindings::shorten_draining(Millis now, Millis after, PeerState& peer) {
  for (DrainingIndex& draining : peer.draining) {
    draining.until = std::min(draining.until, now + after);
  }
}

wire::ResetToken Bindings::reset_token(ReceiverIndex index) const {
  return reset_tokens_.of(index, reset_period(context_.environment.timestamp()));
}

// ---- Spare bindings.

size_t Bindings::spares_wanted(const Policy& policy) const {
  const size_t candidates = policy.transport.max_candidate_count;
  return candidates == 0 ? 0 : std::min(candidates + 1, wire::kSpareIndices);
}

void Bindings::issue(PeerId id, uint16_t lanes, size_t count, SpareSet& spares,
                     uint16_t& last_number) {
  IndexAllocator& indices = context_.table.indices();
  const size_t in_use = PeerTable::indices_alive(context_.table.peer(id)) + 1;
  const uint32_t most_lanes = std::max(lanes, context_.config.lanes);
  for (size_t issued = 0; issued < count; ++issued) {
    const bool room = in_use + issued < kIndicesPerSession && indices.plenty() &&
                      (last_number + 2U) * most_lanes <= kLanes;
    if (!room) return;
    const auto index = indices.allocate(id, random_u32(context_.environment));
    if (!index) return;
    if (!reserve_rx(id, *index, lanes)) return release_index(*index);
    spares.add({.number = ++last_number,
                .status = SpareStatus::kOffered,
                .local = *index,
                .remote = ReceiverIndex{},
                .reset_token = Secret<16>(reset_token(*index))});
  }
}

IssuedSpares Bindings::issue_spares(PeerId id, uint16_t lanes, size_t wanted) {
  IssuedSpares issued;
  issue(id, lanes, wanted, issued.spares, issued.last_number);
  return issued;
}

void Bindings::release_spares(const IssuedSpares& issued) {
  for (const SpareBinding& spare : issued.spares) release_index(spare.local);
}

void Bindings::top_up_spares(const Session& session, KeyGeneration& generation) {
  const size_t wanted = spares_wanted(context_.policy_of(session));
  const size_t offered = generation.spares.count(SpareStatus::kOffered);
  if (offered >= wanted) return;
  SpareSet fresh;
  issue(session.peer, generation.peer_lanes, wanted - offered, fresh, generation.last_number);
  for (const SpareBinding& spare : fresh) {
    install_index(session, generation, spare.local, spare.number);
    generation.spares.add(spare);
  }
}

SpareBinding* Bindings::assign_spare(const Session& session, const Path& path, size_t kept) {
  KeyGeneration& generation = *session.current;
  SpareBinding* unused = nullptr;
  for (SpareBinding& spare : generation.spares) {
    if (spare.status == SpareStatus::kAssigned && spare.path == path) return &spare;
    if (spare.status == SpareStatus::kUnused && unused == nullptr) unused = &spare;
  }
  if (generation.spares.count(SpareStatus::kUnused) <= kept) return nullptr;
  const std::optional<ReceiverIndex> index = allocate_index(session.peer, generation.peer_lanes);
  if (!index) return nullptr;
  unused->local = *index;
  unused->path = path;
  unused->status = SpareStatus::kAssigned;
  install_index(session, generation, *index, unused->number);
  context_.effects.await_reset(session.peer, unused->remote);
  return unused;
}

void Bindings::drop_void_spares(KeyGeneration& generation) {
  generation.spares.erase_if([&](const SpareBinding& spare) {
    if (spare.number > generation.binding) return false;
    if (spare.installed()) retire_index(spare.local);
    return true;
  });
}

void Bindings::drop_returned_spares(KeyGeneration& generation, const wire::SpareIndices& told) {
  generation.spares.erase_if([&](const SpareBinding& spare) {
    const bool listed = std::ranges::find(told.number, spare.number) != std::end(told.number);
    if (spare.status != SpareStatus::kReturned || listed) return false;
    if (spare.installed()) retire_index(spare.local);
    return true;
  });
}

void Bindings::take_back_spare(KeyGeneration& generation, uint16_t number) {
  SpareBinding* const spare = generation.spares.numbered(number);
  if (spare == nullptr) return;
  if (spare->installed()) retire_index(spare->local);
  generation.spares.erase_if([&](const SpareBinding& each) { return each.number == number; });
}

void Bindings::retire_spares(KeyGeneration& generation) {
  for (const SpareBinding& spare : generation.spares) {
    if (spare.installed()) retire_index(spare.local);
  }
  generation.spares.clear();
}

// ---- What the data path has.

void Bindings::install_rx(const Session& session, const KeyGeneration& generation) {
  install_index(session, generation, generation.local, generation.binding);
  if (!session.initiates())
    context_.effects.bind_rx({generation.local, session.path, session.confirmed});
  for (const SpareBinding& spare : generation.spares) {
    if (spare.installed()) install_index(session, generation, spare.local, spare.number);
  }
}

void Bindings::install_index(const Session& session, const KeyGeneration& generation,
                             ReceiverIndex index, uint16_t number) {
  RxInstall install;
  install.index = index;
  install.serial = context_.table.indices().serial(index);
  install.peer = session.peer;
  install.suite = session.suite;
  install.traffic_key = generation.keys.receive.traffic.bytes();
  install.control_key = generation.keys.receive.control.bytes();
  const CounterMasks masks = counter_masks(context_.mac, generation.keys.receive, index);
  install.data_mask = masks.data;
  install.control_mask = masks.control;
  install.first_lane = first_lane(number, generation.peer_lanes);
  install.lanes = generation.peer_lanes;
  install.until = end_of(session, generation);
  context_.effects.install_rx(install);
  wipe(install.traffic_key.data(), install.traffic_key.size());
  wipe(install.control_key.data(), install.control_key.size());
}

void Bindings::install_tx(Session& session) {
  const KeyGeneration& generation = *session.current;
  send_by(session, generation.remote, generation.binding, session.path);
  session.binding.tx_installed = true;
  session.binding.packets_wait = false;
  session.binding.ahead.reset();
}

void Bindings::install_tx_ahead(Session& session, const SpareBinding& spare) {
  JVPN_ASSERT(!session.binding.tx_installed, "data goes ahead only without an active binding");
  send_by(session, spare.remote, spare.number, *spare.path);
  session.binding.ahead = spare.number;
}

/// The lanes are the binding's own: unless data went ahead of its commit, they start afresh, within
/// what is left of the key's quota.
void Bindings::send_by(Session& session, ReceiverIndex remote, uint16_t number, const Path& path) {
  const KeyGeneration& generation = *session.current;
  const uint16_t lanes = context_.config.lanes;
  TxInstall install;
  install.peer = session.peer;
  install.binding_version = session.binding_version();
  install.key_generation = generation.number;
  install.peer_index = remote;
  install.suite = session.suite;
  install.owned = !session.initiates();
  install.traffic_key = generation.keys.send.traffic.bytes();
  install.data_mask =
      counter_mask(context_.mac, generation.keys.send, wire::MessageType::kData, remote);
  install.first_lane = first_lane(number, lanes);
  install.lanes = lanes;
  BindingState& binding = session.binding;
  if (const std::pair of{generation.number, number}; binding.quota == 0 || binding.quota_of != of) {
    const Activity sent = context_.environment.activity(session.peer);
    const uint64_t used =
        number == 0 ? 0 : gcm_blocks(sent.tx_generation_packets, sent.tx_generation_bytes);
    binding.quota = session.suite == Suite::kChaCha20Poly1305
                        ? wire::kSequenceMask
                        : (kGcmKeyBlocks - std::min(used, kGcmKeyBlocks)) / lanes;
    binding.quota_of = of;
  }
  install.blocks_per_lane = binding.quota;
  const uint16_t told = session.peer_mtu;
  const uint16_t probed = session.path_mtu;
  install.inner_mtu = told == 0 || probed == 0 ? std::max(told, probed) : std::min(told, probed);
  install.path = path;
  install.until = end_of(session, generation);
  if (session.initiates()) context_.effects.await_reset(session.peer, remote);
  context_.effects.install_tx(install);
  wipe(install.traffic_key.data(), install.traffic_key.size());
}

/// Of its keys or of the session, whichever comes first.
Millis Bindings::end_of(const Session& session, const KeyGeneration& generation) const {
  return std::min(keys_end(generation),
                  session_ends(session.record(), context_.policy_of(session)));
}

void Bindings::extend(const Session& session) {
  for (const auto* each : {&session.next, &session.current, &session.previous}) {
    if (*each == nullptr) continue;
    const KeyGeneration& generation = **each;
    const Millis until = end_of(session, generation);
    context_.effects.extend(session.peer, generation.local, until);
    for (const SpareBinding& spare : generation.spares)
      if (spare.installed()) context_.effects.extend(session.peer, spare.local, until);
    const bool sends = session.binding.tx_installed || session.binding.ahead;
    if (each == &session.current && sends)
      context_.effects.extend(session.peer, ReceiverIndex{}, until);
  }
}

void Bindings::withdraw_tx(Session& session, Waiting waiting) {
  BindingState& binding = session.binding;
  const bool ends_waiting = binding.packets_wait && waiting == Waiting::kLetGo;
  if (!binding.tx_installed && !binding.ahead && !ends_waiting) return;
  binding.tx_installed = false;
  binding.ahead.reset();
  binding.packets_wait = waiting == Waiting::kKept;
  context_.effects.withdraw_tx(session.peer, waiting);
}

void Bindings::rebind(Millis now, Session& session, uint16_t number, const Path& path) {
  KeyGeneration& generation = *session.current;
  const SpareBinding* const spare = generation.spares.numbered(number);
  JVPN_ASSERT(spare != nullptr && number > generation.binding,
              "a commit takes a spare above the active binding");
  const SpareBinding taken = *spare;
  const auto& switching = context_.policy_of(session).switching;
  const bool initiates = session.initiates();
  // The initiator sends on the old path until it knows: a responder waits for it to show up.
  session.binding.drain_settles = !initiates;
  const Millis wait = initiates ? Millis{0} : switching.recovery_attempt;
  context_.table.peer_of(session).draining.push_back(
      {generation.local, now + wait + switching.drain});
  for (KeyGeneration* other : {session.previous.get(), session.next.get()}) {
    if (other != nullptr) other->left = true;
  }
  generation.spares.erase_if([&](const SpareBinding& each) { return each.number == number; });
  // An initiator that misses the acknowledgement may still ask on void spares, and must be told.
  if (!initiates) drop_void_spares(generation);
  generation.control = taken.control;
  generation.local = taken.local;
  generation.remote = taken.remote;
  generation.reset_token = taken.reset_token;
  generation.binding = number;
  for (SpareBinding& each : generation.spares) {
    if (each.number < number && !initiates) each.status = SpareStatus::kVoid;
  }
  if (initiates) drop_void_spares(generation);
  session.path = path;
  if (!initiates) context_.effects.bind_rx({generation.local, path});
  ++session.binding.switches;
  install_tx(session);
}

void Bindings::settle_draining(Millis now, Session& session) {
  if (!session.binding.drain_settles) return;
  session.binding.drain_settles = false;
  shorten_draining(now, context_.policy_of(session).switching.drain,
                   context_.table.peer_of(session));
}

// ---- The end of keys.

void Bindings::retire(std::unique_ptr<KeyGeneration>& generation) {
  if (generation == nullptr) return;
  retire_spares(*generation);
  retire_index(generation->local);
  generation.reset();
}

void Bindings::release_keys(Millis now, Session& session, bool drain, Millis longer) {
  if (session.initiates() && session.initiator->rekey.attempt) {
    release_index(session.initiator->rekey.attempt->local);
    session.initiator->rekey.attempt.reset();
  }
  const Millis drain_for = context_.policy_of(session).switching.drain;
  const Millis wait = session.initiates() ? Millis{kHandshakeTimeoutMs} : Millis{0};
  for (auto* generation : {&session.next, &session.current, &session.previous}) {
    if (*generation == nullptr) continue;
    retire_spares(**generation);
    if (drain) {
      context_.table.peer_of(session).draining.push_back(
          {(*generation)->local, now + wait + longer + drain_for});
    } else {
      retire_index((*generation)->local);
    }
    generation->reset();
  }
}

}  // namespace jvpn::session
