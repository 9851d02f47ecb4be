// Control messages whose tag was right, and the liveness that they and the data prove. Input:
//   1. index    2. control counter, once only    3. key confirmation    4. version, type and size
// Answers go along the session's binding, never to where a message came from.
#include <algorithm>

#include "control/engine/engine_impl.h"

namespace jvpn::engine {
namespace {

// The message when its size is the type's.
template <typename Message>
std::optional<Message> as(std::span<const uint8_t> plaintext) {
  if (plaintext.size() != sizeof(Message)) return std::nullopt;
  Message message;
  __builtin_memcpy(&message, plaintext.data(), sizeof message);
  return message;
}

}  // namespace

void SessionEngine::Impl::on_control(Millis now, const Path& from, ReceiverIndex index,
                                     uint64_t counter, std::span<const uint8_t> plaintext) {
  ++counters.control_received;
  Keyed at = find(index);
  if (at.generation == nullptr) {
    ++counters.control_stale;  // of an ended session, too: without its keys nothing is said
    return;
  }
  const PeerId id = at.session->peer;
  ControlLane& lane = at.spare != nullptr ? at.spare->control : at.generation->control;
  const uint16_t number = at.spare != nullptr ? at.spare->number : at.generation->binding;
  const uint64_t sequence = wire::sequence_of(counter);
  if (wire::lane_of(counter) != LaneId{number}) {
    ++counters.control_malformed;
    return;
  }
  if (at.session->commit_pending != 0 && lane.window.check(sequence) == ReplayVerdict::kFresh) {
    std::vector<WaitingMessage>& waiting = at.session->waiting;
    if (waiting.size() >= kWaitingMessages) {
      ++counters.control_stale;
      return;
    }
    waiting.push_back({from, index, counter, {plaintext.begin(), plaintext.end()}});
    return;
  }
  if (!may_confirm(at, from)) {
    ++counters.control_stale;
    return;
  }
  if (lane.window.accept(sequence) != ReplayVerdict::kFresh) {
    ++counters.control_replayed;
    emit_security(now, Reason::kSecReplayAttempt, Detail::kNone, id, at.session->id, from);
    return;
  }
  if (confirm_keys(now, at)) {
    const bool bound = at.spare == nullptr && at.generation == at.session->current.get();
    if (bound && plaintext.size() >= sizeof(wire::PolicyHint)) {
      hint_rebind(now, *at.session, from);  // and never more than what came
    }
    dispatch(now, *at.session, {from, *at.generation, index, plaintext.size()}, plaintext);
  }
  rearm(id);
}

/// Keys are confirmed from where the handshake came from, so that whoever redirected the initiation
/// can't have the session's data sent to an address that never answered.
bool SessionEngine::Impl::may_confirm(const Keyed& at, const Path& from) const {
  if (at.session != peers[at.session->peer.value].pending.get()) return true;
  const Path& path = at.session->path;
  return from.interface == path.interface && from.remote == path.remote;
}

/// An authentic message proves that the peer has the keys it came under, and that it is there.
/// False: the session was past its time.
bool SessionEngine::Impl::confirm_keys(Millis now, Keyed& at) {
  PeerState& peer = peer_of(*at.session);
  if (at.session == peer.pending.get()) {
    if (!confirm_pending(now, peer)) return false;
    at.session = peer.session.get();
  }
  Session& session = *at.session;
  note_activity(session);
  if (!drive(now, session, {Trigger::kTick})) return false;
  const bool bound = at.spare == nullptr && at.generation == session.current.get();
  if (bound && !session.initiator) settle_drain(now, session);
  // Signs of life on a path that isn't bound say nothing about the bound one.
  if (at.spare == nullptr && session.record.has_transport) {
    session.record.last_authentic = std::max(session.record.last_authentic, now);
  }
  if (at.generation == session.next.get()) {
    adopt(now, session, std::move(session.next), now + linger(session));
  } else if (at.generation == session.current.get() && !session.confirmed) {
    keys_confirmed(now, session);
  }
  return true;
}

void SessionEngine::Impl::dispatch(Millis now, Session& session, const Arrival& at,
                                   std::span<const uint8_t> plaintext) {
  wire::ControlHeader header;
  if (plaintext.size() < sizeof header) {
    ++counters.control_malformed;
    return;
  }
  __builtin_memcpy(&header, plaintext.data(), sizeof header);
  if (header.version != wire::kVersion) {
    ++counters.control_malformed;
    return;
  }
  const auto handle =
      [&]<typename Message>(void (Impl::*handler)(Millis, Session&, const Message&)) {
        const std::optional<Message> message = as<Message>(plaintext);
        if (message) return (this->*handler)(now, session, *message);
        ++counters.control_malformed;
        violation(now, session);
      };
  switch (header.type) {
    case wire::ControlType::kHeartbeat:
      return handle(&Impl::on_heartbeat);
    case wire::ControlType::kHeartbeatAck:
      return handle(&Impl::on_heartbeat_ack);
    case wire::ControlType::kRekeyInitiation:
      return handle(&Impl::on_rekey_initiation);
    case wire::ControlType::kRekeyResponse:
      return handle(&Impl::on_rekey_response);
    case wire::ControlType::kTerminate:
      return handle(&Impl::on_terminate);
    case wire::ControlType::kIdle:
      return handle(&Impl::on_idle);
    case wire::ControlType::kQualityReport:
      return handle(&Impl::on_quality_report);
    case wire::ControlType::kTransportDead:
      return handle(&Impl::on_transport_dead);
    case wire::ControlType::kPolicyHint:
      return handle(&Impl::on_policy_hint);
    default:
      if (dispatch_jump(now, session, at, header.type, plaintext)) return;
      ++counters.control_unknown_type;
      if ((header.flags & wire::kCritical) != 0) violation(now, session);
  }
}

/// The message if its size is its type's; or else the session ends.
template <typename Message>
std::optional<Message> SessionEngine::Impl::exactly(Millis now, Session& session,
                                                    std::span<const uint8_t> plaintext) {
  std::optional<Message> message = as<Message>(plaintext);
  if (!message) {
    ++counters.control_malformed;
    violation(now, session);
  }
  return message;
}

/// The same for a message that padding follows.
template <typename Message>
std::optional<Message> SessionEngine::Impl::padded(Millis now, Session& session,
                                                   std::span<const uint8_t> plaintext) {
  const size_t bytes = std::min(plaintext.size(), sizeof(Message));
  return exactly<Message>(now, session, plaintext.first(bytes));
}

/// Messages that may come on another index than the active binding's. False: none of them.
bool SessionEngine::Impl::dispatch_jump(Millis now, Session& session, const Arrival& at,
                                        wire::ControlType type,
                                        std::span<const uint8_t> plaintext) {
  const auto handle = [&]<typename Message>(
                          void (Impl::*handler)(Millis, Session&, const Arrival&, const Message&)) {
    const auto message = exactly<Message>(now, session, plaintext);
    if (message) (this->*handler)(now, session, at, *message);
    return true;
  };
  const auto handle_padded = [&]<typename Message>(void (Impl::*handler)(
                                 Millis, Session&, const Arrival&, const Message&)) {
    const auto message = padded<Message>(now, session, plaintext);
    if (message) (this->*handler)(now, session, at, *message);
    return true;
  };
  switch (type) {
    case wire::ControlType::kReattachRequest:
      return handle(&Impl::on_reattach_request);
    case wire::ControlType::kReattachChallenge:
      return handle(&Impl::on_reattach_challenge);
    case wire::ControlType::kReattachResponse:
      return handle(&Impl::on_reattach_response);
    case wire::ControlType::kReattachAck:
      return handle(&Impl::on_reattach_ack);
    case wire::ControlType::kReattachReject:
      return handle(&Impl::on_reattach_reject);
    case wire::ControlType::kPathProbe:
      return handle_padded(&Impl::on_path_probe);
    case wire::ControlType::kPathChallenge:
      return handle_padded(&Impl::on_path_challenge);
    case wire::ControlType::kPathResponse:
      return handle_padded(&Impl::on_path_response);
    case wire::ControlType::kNewIndices:
      return handle(&Impl::on_new_indices);
    default:
      return false;
  }
}

/// Authentic, but no peer that follows the protocol can have meant it.
void SessionEngine::Impl::violation(Millis now, Session& session) {
  drive(now, session, {Trigger::kProtocolViolation, Detail::kImpossibleMessage});
}

void SessionEngine::Impl::on_heartbeat(Millis now, Session& session,
                                       const wire::Heartbeat& message) {
  if (!session.record.has_transport) return;  // late, from the path that died
  session.told_version = std::max(session.told_version, BindingVersion{message.binding_version});
  const bool knows = message.binding_version == session.record.binding_version.value;
  if (knows && !session.initiator) drop_void_spares(*session.current);
  wire::HeartbeatAck ack{};
  ack.header = control_header(wire::ControlType::kHeartbeatAck);
  ack.echo_us = message.clock_us;
  ack.clock_us = host.clock_us(now);
  ack.binding_version = session.record.binding_version.value;
  send_control(session, *session.current, ack);
}

void SessionEngine::Impl::on_heartbeat_ack(Millis now, Session& session,
                                           const wire::HeartbeatAck& message) {
  session.told_version = std::max(session.told_version, BindingVersion{message.binding_version});
  const uint64_t clock = host.clock_us(now);
  if (message.echo_us > clock || clock - message.echo_us > kLongestRttUs) {
    ++counters.control_stale;
    return;
  }
  session.quality.rtt.add(static_cast<uint32_t>(clock - message.echo_us));
}

void SessionEngine::Impl::on_terminate(Millis now, Session& session,
                                       const wire::Terminate& message) {
  PeerState& peer = peer_of(session);
  const auto why = static_cast<Detail>(message.detail);
  // Its operator doesn't want us, or another holder of our key is there: don't come back.
  if (why == Detail::kOperator || why == Detail::kSuperseded) {
    stop_dial(peer);
    peer.dial.reset();
  }
  drive(now, session, {Trigger::kTerminate, Detail::kPeerTerminate}, Farewell::kSilent);
}

void SessionEngine::Impl::send_heartbeat(Millis now, Session& session) {
  wire::Heartbeat message{};
  message.header = control_header(wire::ControlType::kHeartbeat);
  message.clock_us = host.clock_us(now);
  message.binding_version = session.record.binding_version.value;
  session.heartbeat_sent = now;
  send_control(session, *session.current, message);
}

/// Authentic traffic from the peer suppresses heartbeats, unless round trips are to be measured;
/// new keys ask for theirs until confirmed. One that isn't answered is followed sooner, so that
/// short outages in the heartbeats' own rhythm don't add up to silence.
Millis SessionEngine::Impl::heartbeat_due(const Session& session) const {
  if (!session.record.has_transport) return kNever;
  if (!session.confirmed) return session.heartbeat_sent + kConfirmRepeat;
  const Policy& policy = policy_of(session);
  const Millis interval =
      scaled_by_idle(policy.volatility.heartbeat_interval, session.record, policy);
  const State state = session.record.state;
  const bool measures =
      judges_round_trips(policy) ||
      (session.initiator && (state == State::kVolatile || state == State::kDegraded));
  const Millis heard = session.record.last_authentic;
  if (session.heartbeat_sent > heard) {
    const Millis answer{2 * session.quality.rtt.rtt_us().value_or(0) / 1'000};
    const Millis patience = std::max(Millis{interval.value / 4}, answer);
    const Millis stretch{(session.heartbeat_sent - heard).value /
                         8};  // a rhythm of its own is none
    return session.heartbeat_sent + std::min(interval, patience + stretch);
  }
  return (measures ? session.heartbeat_sent : heard) + interval;
}

void SessionEngine::Impl::note_activity(Session& session) {
  if (!session.record.has_transport) return;
  Millis latest = session.record.last_authentic;
  // Only what came on the bound path is a sign of its life.
  for (const KeyGeneration* generation :
       {session.current.get(), session.next.get(), session.previous.get()}) {
    const bool elsewhere = generation == nullptr || generation->left;
    if (!elsewhere) latest = std::max(latest, host.rx_progress(generation->local).last_rx);
  }
  session.record.last_authentic = latest;
}

void SessionEngine::Impl::seal_and_send(const Session& session, KeyGeneration& generation,
                                        const Along& along, std::span<const uint8_t> plaintext) {
  const auto spare = std::ranges::find(generation.spares, along.local, &SpareBinding::local);
  const bool active = spare == generation.spares.end();
  ControlLane& lane = active ? generation.control : spare->control;
  const LaneId number{active ? generation.binding : spare->number};
  std::array<uint8_t, wire::kMaxPaddedPlaintext + wire::kTransportOverhead> datagram;
  wire::TransportHeader header{};
  header.type = wire::MessageType::kControl;
  header.receiver = along.remote.value;
  header.counter = wire::make_counter(number, lane.next_sequence++);
  __builtin_memcpy(datagram.data(), &header, sizeof header);
  const std::span<uint8_t> body{datagram.data() + sizeof header, plaintext.size()};
  std::ranges::copy(plaintext, body.begin());
  AeadKey key;
  aead.expand(session.suite, generation.keys.send.control.bytes(), key);
  aead.seal_one(key, transport_nonce(along.remote, header.counter), {}, body,
                std::span<uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  wipe(&key, sizeof key);
  host.send(along.path, {datagram.data(), plaintext.size() + wire::kTransportOverhead});
}

std::optional<std::span<uint8_t>> SessionEngine::Impl::open_control(std::span<uint8_t> message) {
  wire::TransportHeader header;
  if (message.size() < wire::kTransportOverhead) return std::nullopt;
  __builtin_memcpy(&header, message.data(), sizeof header);
  const bool zero = (header.reserved[0] | header.reserved[1] | header.reserved[2]) == 0;
  if (header.type != wire::MessageType::kControl || !zero) return std::nullopt;
  const Keyed at = find(ReceiverIndex{header.receiver});
  if (at.generation == nullptr) return std::nullopt;
  const auto body = message.subspan(sizeof header, message.size() - wire::kTransportOverhead);
  AeadKey key;
  aead.expand(at.session->suite, at.generation->keys.receive.control.bytes(), key);
  const bool ok = aead.open_one(
      key, transport_nonce(ReceiverIndex{header.receiver}, header.counter), {}, body,
      std::span<const uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  wipe(&key, sizeof key);
  if (!ok) return std::nullopt;
  return body;
}

}  // namespace jvpn::engine
