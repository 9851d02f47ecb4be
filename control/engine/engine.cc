#include "control/engine/engine.h"

#include <algorithm>

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

SessionEngine::Impl::Impl(EngineConfig configuration, SessionHost& session_host, Aead own_aead,
                          MessageMac own_mac, Millis now)
    : config(std::move(configuration)),
      host(session_host),
      aead(std::move(own_aead)),
      mac(std::move(own_mac)),
      own_key(config.private_key),
      self{config.private_key, own_key.public_key(), {&own_key, this}},
      own_macs(ResponderMacKeys::derive(mac, self.public_key)),
      handshakes(config.handshakes_per_s, now),
      verified_handshakes(std::max(config.handshakes_per_s, 1U), now),
      security_events(config.policy.observability.security_events_per_s, now),
      peers(config.peers.size()),
      indices(config.slot_bits),
      timers(static_cast<uint32_t>(config.peers.size()), now) {
  rotate_cookies(now);
  rotate_cookies(now);
  Secret<16> secret;
  host.random(secret.span());
  mac.expand(secret.span(), path_secret);
}

SessionEngine::Impl::~Impl() {
  wipe(&secrets, sizeof secrets);
  wipe(&own_macs.mac1, sizeof own_macs.mac1);
  wipe(&path_secret, sizeof path_secret);
}

std::optional<Secret<kDhBytes>>* SessionEngine::Impl::place_of(const PublicKey& peer) {
  const auto at = by_key.find(peer);
  return at == by_key.end() ? nullptr : &peers[at->second.value].static_secret;
}

void SessionEngine::Impl::advance(Millis now) {
  if (now >= rotate_at) rotate_cookies(now);
  timers.expire(now);
  while (const auto timer = timers.pop()) {
    serve(now, PeerId{*timer});
    rearm(PeerId{*timer});
  }
}

Millis SessionEngine::Impl::next_deadline() const {
  return std::min(timers.next(), rotate_at);
}

/// Does whatever is due for one peer.
void SessionEngine::Impl::serve(Millis now, PeerId id) {
  PeerState& peer = peers[id.value];
  serve_draining(now, peer);
  if (peer.pending) drive(now, *peer.pending, {Trigger::kTick});
  if (peer.session) serve_session(now, peer);
  if (peer.dial) serve_dial(now, id);
}

void SessionEngine::Impl::serve_draining(Millis now, PeerState& peer) {
  std::erase_if(peer.draining, [&](const DrainingIndex& draining) {
    if (now < draining.until) return false;
    retire_index(draining.index);
    return true;
  });
}

void SessionEngine::Impl::serve_session(Millis now, PeerState& peer) {
  Session& session = *peer.session;
  note_activity(session);
  if (session.commit_pending != 0) {  // all but the session's end waits for the store's answer
    if (now >= end_deadline(session.record, policy_of(session))) {
      drive(now, session, {Trigger::kTick});
    }
    return;
  }
  if (!drive(now, session, {Trigger::kTick})) return;
  if (session.previous && now >= session.previous->retire_at) retire(session.previous);
  if (now >= heartbeat_due(session)) send_heartbeat(now, session);
  if (now >= quality_due(session) && !judge_quality(now, session)) return;
  if (!session.initiator) return;
  serve_idle(now, session);
  serve_jump(now, session);
  serve_failback(now, session);
  serve_probes(now, session);
  serve_spares(now, session);
  serve_rekey(now, session);
  // The responder may have lost the answer's other half: call again beside the session we have.
  const bool unanswered = !session.confirmed && session.rekeys == 0 &&
                          now >= session.record.entered + kHandshakeTimeout;
  if (unanswered && peer.dial && !peer.dial->active) start_dial(now, peer, Millis{0});
}

void SessionEngine::Impl::rearm(PeerId id) {
  const Millis due = next_due(peers[id.value]);
  if (due == kNever) {
    timers.cancel(id.value);
  } else {
    timers.arm(id.value, due);
  }
}

Millis SessionEngine::Impl::next_due(const PeerState& peer) const {
  const PeerId id{static_cast<uint32_t>(&peer - peers.data())};
  Millis due = dial_due(peer, id);
  for (const DrainingIndex& draining : peer.draining) due = std::min(due, draining.until);
  if (peer.pending)
    due = std::min(due, session::next_deadline(peer.pending->record, config.policy));
  if (peer.session) due = std::min(due, session_due(*peer.session));
  return due;
}

Millis SessionEngine::Impl::session_due(const Session& session) const {
  if (session.commit_pending != 0) return end_deadline(session.record, policy_of(session));
  Millis due = session::next_deadline(session.record, policy_of(session));
  due = std::min({due, heartbeat_due(session), rekey_due(session), quality_due(session)});
  due = std::min({due, jump_due(session), probe_due(session), spares_due(session)});
  due = std::min({due, failback_due(session), idle_due(session)});
  if (session.previous) due = std::min(due, session.previous->retire_at);
  const bool may_call_again = session.initiator && !session.confirmed && session.rekeys == 0;
  const std::unique_ptr<Dial>& call = peers[session.peer.value].dial;
  if (may_call_again && call && !call->active) {
    due = std::min(due, session.record.entered + kHandshakeTimeout);
  }
  return due;
}

SecretKey SessionEngine::Impl::random_secret() {
  SecretKey secret;
  host.random(secret.span());
  return secret;
}

uint32_t SessionEngine::Impl::random_u32() {
  std::array<uint8_t, 4> bytes{};
  host.random(bytes);
  return std::bit_cast<uint32_t>(bytes);
}

const PresharedKey& SessionEngine::Impl::psk_of(PeerId id) const {
  static const PresharedKey kNoPsk;
  const auto& psk = configured(id).preshared;
  return psk ? *psk : kNoPsk;
}

const Policy& SessionEngine::Impl::policy_of(const Session& session) const {
  return session.tightened ? *session.tightened : config.policy;
}

/// A fresh index for a peer, which never has more than kIndicesPerSession: draining ones make room.
std::optional<ReceiverIndex> SessionEngine::Impl::allocate_index(PeerId id) {
  PeerState& peer = peers[id.value];
  if (indices_alive(peer) >= kIndicesPerSession && !peer.draining.empty()) {
    retire_index(peer.draining.front().index);
    peer.draining.erase(peer.draining.begin());
  }
  return indices.allocate(id, random_u32());
}

SessionEngine::Impl::Keyed SessionEngine::Impl::find(ReceiverIndex index) {
  const std::optional<PeerId> owner = indices.owner(index);
  if (!owner) return {};
  PeerState& peer = peers[owner->value];
  for (Session* session : {peer.session.get(), peer.pending.get()}) {
    if (session == nullptr) continue;
    for (KeyGeneration* generation :
         {session->current.get(), session->previous.get(), session->next.get()}) {
      if (generation == nullptr) continue;
      if (generation->local == index) return {session, generation};
      for (SpareBinding& spare : generation->spares) {
        if (spare.local == index) return {session, generation, &spare};
      }
    }
  }
  return {};
}

/// What a new initiation or rekey to a peer says; draws its timestamp.
Call SessionEngine::Impl::call_to(PeerId id, Suite suite, ReceiverIndex sender,
                                  const SecretKey& ephemeral) {
  PeerState& peer = peers[id.value];
  peer.latest_sent = next_timestamp(host.timestamp(), peer.latest_sent);
  return {self,         configured(id).public_key, suite,    sender,
          config.lanes, peer.latest_sent,          ephemeral};
}

SessionView SessionEngine::Impl::view_of(const Session& session) const {
  SessionView view{};
  view.id = session.id;
  view.peer = session.peer;
  view.state = session.record.state;
  view.version = session.record.version;
  view.binding_version = session.record.binding_version;
  view.last_reason = session.last_reason;
  view.suite = session.suite;
  view.path = session.path;
  view.rekeys = session.rekeys;
  view.born = session.record.born;
  view.last_authentic = session.record.last_authentic;
  view.rtt_us = session.quality.rtt.rtt_us();
  view.jitter_us = session.quality.rtt.jitter_us();
  view.loss_in = session.quality.loss_in(policy_of(session));
  view.loss_out = session.quality.reported;
  view.loss_out_until = session.quality.reported_until;
  view.recent_switches = session.record.switches;
  view.idle = session.record.idle_interval != Millis{0};
  view.switches = session.switches;
  return view;
}

void SessionEngine::Impl::visit_peer(PeerId id,
                                     const std::function<void(const SessionView&)>& visit) const {
  const PeerState& peer = peers[id.value];
  if (peer.pending) visit(view_of(*peer.pending));
  if (!peer.session) return;
  SessionView view = view_of(*peer.session);
  view.last_authentic = std::max(view.last_authentic, host.activity(id).last_rx);
  visit(view);
}

Result<std::unique_ptr<SessionEngine>> SessionEngine::create(EngineConfig config, SessionHost& host,
                                                             Millis now) {
  if (auto error = complaint(config)) return *error;
  auto aead = Aead::create();
  if (!aead) return aead.error();
  auto mac = MessageMac::create();
  if (!mac) return mac.error();
  auto impl =
      std::make_unique<Impl>(std::move(config), host, std::move(*aead), std::move(*mac), now);
  for (uint32_t i = 0; i < impl->config.peers.size(); ++i) {
    const EnginePeer& peer = impl->config.peers[i];
    if (peer.public_key == impl->self.public_key) {
      return Error{"peer " + peer.name + ": expected another's public key, got our own"};
    }
    const auto [other, added] = impl->by_key.emplace(peer.public_key, PeerId{i});
    if (added) continue;
    return Error{"peer " + peer.name + ": expected a public key of its own, got that of peer " +
                 impl->configured(other->second).name};
  }
  return std::unique_ptr<SessionEngine>(new SessionEngine(std::move(impl)));
}

SessionEngine::SessionEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SessionEngine::~SessionEngine() = default;

void SessionEngine::on_handshake(Millis now, const Path& from, std::span<const uint8_t> datagram,
                                 std::optional<MacVerdict> verdict) {
  impl_->on_handshake(now, from, datagram, verdict);
}

void SessionEngine::on_control(Millis now, const Path& from, ReceiverIndex index, uint64_t counter,
                               std::span<const uint8_t> plaintext) {
  impl_->on_control(now, from, index, counter, plaintext);
}

void SessionEngine::advance(Millis now) {
  impl_->advance(now);
}
Millis SessionEngine::next_deadline() const {
  return impl_->next_deadline();
}

void SessionEngine::dial(Millis now, PeerId peer, const Path& path) {
  if (peer.value < impl_->peers.size()) impl_->dial(now, peer, path);
}

bool SessionEngine::dials(PeerId peer) const {
  return peer.value < impl_->peers.size() && impl_->peers[peer.value].dial != nullptr;
}

void SessionEngine::set_candidates(Millis now, PeerId peer, std::span<const Path> paths) {
  if (peer.value < impl_->peers.size()) impl_->set_candidates(now, peer, paths);
}
void SessionEngine::path_lost(Millis now, PeerId peer, const Path& path) {
  if (peer.value < impl_->peers.size()) impl_->path_lost(now, peer, path);
}
void SessionEngine::jump(Millis now, PeerId peer, const Path& path) {
  if (peer.value < impl_->peers.size()) impl_->wish_jump(now, peer, path);
}

void SessionEngine::ask_jump(Millis, PeerId peer, wire::Hint hint) {
  if (peer.value >= impl_->peers.size()) return;
  Session* session = impl_->peers[peer.value].session.get();
  const bool may = session != nullptr && !session->initiator && session->record.has_transport;
  if (may) impl_->send_hint(*session, session->path, hint);
}

void SessionEngine::interface_lost(Millis now, uint16_t interface) {
  impl_->interface_lost(now, interface);
}
void SessionEngine::source_changed(Millis now, const Path& from, ReceiverIndex index) {
  impl_->source_changed(now, from, index);
}
void SessionEngine::wake(Millis now, PeerId peer) {
  if (peer.value < impl_->peers.size()) impl_->wake(now, peer);
}
void SessionEngine::set_policy(Millis now, const Policy& policy) {
  impl_->set_policy(now, policy);
}
void SessionEngine::deny_new_sessions(Millis now) {
  impl_->deny_new_sessions(now);
}
bool SessionEngine::denies_new_sessions() const {
  return impl_->denies_new;
}

void SessionEngine::terminate(Millis now, PeerId peer, Detail detail) {
  if (peer.value < impl_->peers.size()) impl_->end_peer(now, peer, detail);
}

void SessionEngine::shutdown(Millis now) {
  for (uint32_t i = 0; i < impl_->peers.size(); ++i) {
    impl_->end_peer(now, PeerId{i}, Detail::kShutdown);
  }
}

std::optional<std::span<uint8_t>> SessionEngine::open_control(std::span<uint8_t> message) {
  return impl_->open_control(message);
}

void SessionEngine::for_each_session(const std::function<void(const SessionView&)>& visit) const {
  for (uint32_t i = 0; i < impl_->peers.size(); ++i) impl_->visit_peer(PeerId{i}, visit);
}

void SessionEngine::for_each_tombstone(const std::function<void(const Tombstone&)>& visit) const {
  for (const Tombstone& tombstone : impl_->tombstones) visit(tombstone);
}

const EngineCounters& SessionEngine::counters() const {
  return impl_->counters;
}
const Policy& SessionEngine::policy() const {
  return impl_->config.policy;
}
const ResponderMacKeys& SessionEngine::mac_keys() const {
  return impl_->own_macs;
}
const CookieSecrets& SessionEngine::cookie_secrets(uint64_t& generation) const {
  generation = impl_->secrets_generation;
  return impl_->secrets;
}

}  // namespace jvpn::engine
