// How packets come into the engine: on_handshake() or on_control() hands each to its part. How they
// leave it: engine_exit.cc.
#include "control/engine/packet_dispatch.h"

#include "common/assert.h"
#include "common/limits.h"
#include "control/engine/engine_impl.h"
#include "control/protocol/handshake_parties.h"

namespace jvpn::engine {
namespace {

/// What is judged here already; the others are by their parts, which see what they ask for.
std::optional<Input> input_of(wire::ControlType type) {
  switch (type) {
    case wire::ControlType::kHeartbeat:
      return Input::kHeartbeat;
    case wire::ControlType::kRekeyInitiation:
      return Input::kRekey;
    case wire::ControlType::kNewIndices:
      return Input::kNewIndices;
    default:
      return std::nullopt;
  }
}

/// Who doesn't understand the message must not go on.
bool is_critical(std::span<const uint8_t> plaintext) {
  wire::ControlHeader header;
  __builtin_memcpy(&header, plaintext.data(), sizeof header);
  return (header.flags & wire::kCritical) != 0;
}

}  // namespace

// ---- The way in.

void SessionEngine::on_handshake(Millis now, const Path& from, std::span<const uint8_t> datagram,
                                 std::optional<MacVerdict> verdict, PeerId peer) {
  Parts& parts = impl_->parts;
  if (!datagram.empty() && wire::MessageType{datagram[0]} == wire::MessageType::kReset)
    return impl_->leave(parts.resets.on_reset(now, from, peer, datagram));
  ++impl_->counters.handshakes_received;
  switch (datagram.empty() ? wire::MessageType{} : wire::MessageType{datagram[0]}) {
    case wire::MessageType::kInitiation:
      return impl_->leave(parts.acceptor.on_initiation(now, from, datagram, verdict));
    case wire::MessageType::kInquiry:
      parts.inquiries.on_inquiry(now, from, datagram, verdict);
      break;
    case wire::MessageType::kResponse:
      return impl_->leave(parts.dialer.on_response(now, from, datagram, verdict));
    case wire::MessageType::kReadiness:
      return impl_->leave(parts.inquirer.on_readiness(now, from, datagram));
    case wire::MessageType::kCookieReply:
      if (const auto asker = parts.inquirer.on_cookie_reply(now, from, datagram))
        return impl_->leave(asker);
      [[fallthrough]];
    case wire::MessageType::kRetry:
      parts.dialer.on_sealed_reply(now, from, datagram);
      break;
    default:
      protocol::refuse_handshake(impl_->context, parts.reporter, now, from,
                                 Reason::kSecAbuseControlPlane, Detail::kNone);
  }
  impl_->carry_out();
}

void SessionEngine::on_control(Millis now, const Path& from, ReceiverIndex index, uint64_t counter,
                               std::span<const uint8_t> plaintext, std::optional<uint64_t> serial) {
  impl_->leave(impl_->dispatch.on_control(now, from, {index, serial}, counter, plaintext));
}

void SessionEngine::on_unknown_index(Millis now, const Path& from, ReceiverIndex index) {
  impl_->parts.resets.on_unknown_index(now, from, index);
  impl_->carry_out();
}

std::optional<OpenedControl> SessionEngine::open_control(std::span<uint8_t> message) {
  return impl_->parts.channel.open(message);
}

bool SessionEngine::receives_on(ReceiverIndex index) {
  return impl_->parts.context.table.find(index).generation != nullptr;
}

void SessionEngine::source_changed(Millis now, const Path& from, ReceiverIndex index,
                                   std::optional<uint64_t> serial) {
  const Keyed at = impl_->table.find(index);
  const bool active = at.session != nullptr && impl_->dispatch.is_same_install({index, serial}) &&
                      at.spare == nullptr && at.generation == at.session->current.get();
  if (!active) return;
  const PeerId id = at.session->peer;
  impl_->parts.responder.on_other_source(now, *at.session, from);
  impl_->leave(id);
}

// ---- Control messages.

bool PacketDispatch::is_same_install(const OpenedUnder& under) const {
  return !under.serial || *under.serial == parts_.context.table.indices().serial(under.index);
}

std::optional<PeerId> PacketDispatch::on_control(Millis now, const Path& from,
                                                 const OpenedUnder& under, uint64_t counter,
                                                 std::span<const uint8_t> plaintext) {
  const ReceiverIndex index = under.index;
  EngineCounters& counters = parts_.context.counters;
  ++counters.control_received;
  Keyed at = parts_.context.table.find(index);
  if (at.generation == nullptr || !is_same_install(under)) {
    ++counters.control_stale;  // of an ended session, too: without its keys we cannot answer
    return std::nullopt;
  }
  const PeerId id = at.session->peer;
  ControlLane& lane = at.spare != nullptr ? at.spare->control : at.generation->control;
  const uint16_t number = at.spare != nullptr ? at.spare->number : at.generation->binding;
  const uint64_t sequence = wire::sequence_of(counter);
  if (wire::lane_of(counter) != LaneId{number}) {
    ++counters.control_malformed;
    return std::nullopt;
  }
  const bool pending = at.session == parts_.context.table.peer(id).pending.get();
  if (pending && !parts_.acceptor.may_confirm(*at.session, from)) {
    ++counters.control_stale;
    return std::nullopt;
  }
  const bool waits = at.session->commit_pending() || at.session->resumes();
  if (waits && lane.window.check(sequence) == ReplayVerdict::kFresh) {
    if (!pending && answers_heartbeat(now, at, plaintext)) {
      lane.window.accept(sequence);
      return id;
    }
    if (!waits_for_commit(at, from, index, counter, plaintext)) ++counters.control_stale;
    const bool confirms = pending && !at.session->commit_pending();
    if (confirms) parts_.resumer.begin(now, parts_.context.table.peer(id));
    return id;
  }
  if (lane.window.accept(sequence) != ReplayVerdict::kFresh) {
    ++counters.control_replayed;
    parts_.reporter.emit_security(now, Reason::kSecReplayAttempt, Detail::kNone, id, at.session->id,
                                  from);
    return std::nullopt;
  }
  if (!confirm_keys(now, at)) return id;
  const bool bound = at.spare == nullptr && at.generation == at.session->current.get();
  if (bound) parts_.responder.on_bound_message(now, *at.session, from, plaintext.size());
  dispatch(now, *at.session, {from, *at.generation, index, plaintext.size()}, plaintext);
  return id;
}

/// Signs of life on the active binding don't wait for a commit: a store that is slow, or silent,
/// must not look like a dead path. No row is judged meanwhile. False: it is none.
bool PacketDispatch::answers_heartbeat(Millis now, const Keyed& at,
                                       std::span<const uint8_t> plaintext) {
  Session& session = *at.session;
  const bool bound = at.spare == nullptr && at.generation == session.current.get();
  wire::Heartbeat message;
  if (!bound || plaintext.size() != sizeof message) return false;
  __builtin_memcpy(&message, plaintext.data(), sizeof message);
  const bool heartbeat = message.header.version == wire::kVersion &&
                         message.header.type == wire::ControlType::kHeartbeat;
  if (!heartbeat) return false;
  parts_.liveness.note_control(now, session);
  if (parts_.context.admit(now, session, Input::kHeartbeat))
    parts_.liveness.on_heartbeat(now, session, message);
  return true;
}

/// False: too many wait already.
bool PacketDispatch::waits_for_commit(const Keyed& at, const Path& from, ReceiverIndex index,
                                      uint64_t counter, std::span<const uint8_t> plaintext) {
  std::vector<WaitingMessage>& waiting = at.session->responder->waiting;
  if (waiting.size() >= kWaitingMessages) return false;
  const uint64_t serial = parts_.context.table.indices().serial(index);
  waiting.push_back({from, index, serial, counter, {plaintext.begin(), plaintext.end()}});
  return true;
}

/// An authentic message proves that the peer has the keys it came under, and that it is there.
/// False: the session was past its time.
bool PacketDispatch::confirm_keys(Millis now, Keyed& at) {
  PeerState& peer = parts_.context.table.peer_of(*at.session);
  if (at.session == peer.pending.get()) {
    const bool confirmed = at.session->initiates() ? parts_.dialer.confirm_resumed(now, peer)
                                                   : parts_.acceptor.confirm(now, peer);
    if (!confirmed) return false;
    at.session = peer.session.get();
  }
  Session& session = *at.session;
  parts_.liveness.note_data(now, session);
  if (!parts_.lifecycle.transition(now, session, {Trigger::kTick})) return false;
  const bool bound = at.spare == nullptr && at.generation == session.current.get();
  if (bound && !session.initiates()) parts_.bindings.settle_draining(now, session);
  // Signs of life on a path that isn't bound say nothing about the bound one.
  if (at.spare == nullptr) parts_.liveness.note_control(now, session);
  parts_.rekeyer.confirm(now, session, *at.generation);
  parts_.dialer.note_alive(session);
  return true;
}

void PacketDispatch::dispatch(Millis now, Session& session, const Arrival& at,
                              std::span<const uint8_t> plaintext) {
  EngineCounters& counters = parts_.context.counters;
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
  const bool asks = header.type == wire::ControlType::kReattachRequest;
  if (!asks && !session.initiates() && parts_.context.store.ownership().silent()) {
    ++counters.control_silent;
    return;
  }
  if (const auto input = input_of(header.type);
      input && !parts_.context.admit(now, session, *input)) {
    return;
  }
  const bool known = dispatch_liveness(now, session, at, header.type, plaintext) ||
                     dispatch_paths(now, session, at, header.type, plaintext);
  if (known) return;
  ++counters.control_unknown_type;
  if (is_critical(plaintext)) parts_.lifecycle.end_by_violation(now, session);
}

template <typename Message, typename Receive>
bool PacketDispatch::deliver(Millis now, Session& session, std::span<const uint8_t> plaintext,
                             Receive receive) {
  EngineCounters& counters = parts_.context.counters;
  const FieldsVerdict fields = plaintext.size() < sizeof(Message)
                                   ? FieldsVerdict::kMalformed
                                   : check_fields(plaintext.subspan(sizeof(Message)));
  if (fields == FieldsVerdict::kTaken) {
    Message message;
    __builtin_memcpy(&message, plaintext.data(), sizeof message);
    receive(message);
    return true;
  }
  if (fields == FieldsVerdict::kMalformed) {
    ++counters.control_malformed;
    parts_.lifecycle.end_by_violation(now, session);
    return true;
  }
  ++counters.control_unknown_field;
  if (is_critical(plaintext)) parts_.lifecycle.end_by_violation(now, session);
  return true;
}

/// Signs of life, quality, keys, the end. False: none of them.
bool PacketDispatch::dispatch_liveness(Millis now, Session& session, const Arrival& at,
                                       wire::ControlType type, std::span<const uint8_t> plaintext) {
  const auto take = [&]<typename Part, typename Message>(
                        Part& part, void (Part::*receive)(Millis, Session&, const Message&)) {
    return deliver<Message>(now, session, plaintext, [&](const Message& message) {
      (part.*receive)(now, session, message);
    });
  };
  switch (type) {
    case wire::ControlType::kHeartbeat:
      return take(parts_.liveness, &protocol::Liveness::on_heartbeat);
    case wire::ControlType::kHeartbeatAck:
      return deliver<wire::HeartbeatAck>(
          now, session, plaintext, [&](const wire::HeartbeatAck& message) {
            const auto rtt_us = parts_.liveness.on_heartbeat_ack(now, session, message);
            if (!rtt_us) return;
            if (!parts_.watch.is_held_up(now, session, *rtt_us))
              parts_.quality.note_round_trip(session, *rtt_us);
            parts_.watch.on_answer(now, session, *rtt_us);
          });
    case wire::ControlType::kRekeyInitiation:
      return deliver<wire::RekeyInitiation>(
          now, session, plaintext, [&](const wire::RekeyInitiation& message) {
            parts_.rekeyer.on_rekey_initiation(now, session, at, message);
          });
    case wire::ControlType::kRekeyResponse:
      return take(parts_.rekeyer, &protocol::Rekeyer::on_rekey_response);
    case wire::ControlType::kTerminate:
      return take(*this, &PacketDispatch::on_terminate);
    case wire::ControlType::kIdle:
      return take(parts_.idleness, &protocol::Idleness::on_idle);
    case wire::ControlType::kQualityReport:
      return take(parts_.quality, &jump::QualityMonitor::on_quality_report);
    case wire::ControlType::kTransportDead:
      return take(parts_.jumper, &jump::Jumper::on_transport_dead);
    case wire::ControlType::kPolicyHint:
      return deliver<wire::PolicyHint>(now, session, plaintext, [&](const wire::PolicyHint& hint) {
        if (hint.hint == wire::Hint::kLeave)
          parts_.dialer.on_leave(now, session, hint);
        else if (hint.hint == wire::Hint::kSilent && session.initiates())
          parts_.watch.on_told(now, session, hint);
        else
          parts_.jumper.on_hint(now, session, hint);
      });
    default:
      return false;
  }
}

/// Paths are judged and chosen under the current keys: a rekey overtook what came under others.
bool PacketDispatch::is_current(const Session& session, const Arrival& at) {
  if (&at.generation == session.current.get()) return true;
  ++parts_.context.counters.control_stale;
  return false;
}

/// Jumps, probes of paths and their sizes, the indices for paths to come: they may come on another
/// index than the active binding's. False: none of them.
bool PacketDispatch::dispatch_paths(Millis now, Session& session, const Arrival& at,
                                    wire::ControlType type, std::span<const uint8_t> plaintext) {
  const auto take = [&]<typename Part, typename Message>(
                        Part& part,
                        void (Part::*receive)(Millis, Session&, const Arrival&, const Message&)) {
    return deliver<Message>(now, session, plaintext, [&](const Message& message) {
      if (is_current(session, at)) (part.*receive)(now, session, at, message);
    });
  };
  const auto take_with_fields =
      [&]<typename Part, typename Message>(
          Part& part, void (Part::*receive)(Millis, Session&, const Arrival&, const Message&,
                                            std::span<const uint8_t>)) {
        return deliver<Message>(now, session, plaintext, [&](const Message& message) {
          if (!is_current(session, at)) return;
          (part.*receive)(now, session, at, message, plaintext.subspan(sizeof message));
        });
      };
  switch (type) {
    case wire::ControlType::kReattachRequest:
      return take_with_fields(parts_.responder, &jump::ReattachResponder::on_request);
    case wire::ControlType::kReattachChallenge:
      return take(parts_.jumper, &jump::Jumper::on_challenge);
    case wire::ControlType::kReattachResponse:
      return take(parts_.responder, &jump::ReattachResponder::on_response);
    case wire::ControlType::kReattachAck:
      return take_with_fields(parts_.jumper, &jump::Jumper::on_ack);
    case wire::ControlType::kReattachReject:
      return take(parts_.jumper, &jump::Jumper::on_reject);
    case wire::ControlType::kPathProbe:
      return take(parts_.validator, &jump::PathValidator::on_path_probe);
    case wire::ControlType::kPathChallenge:
      return take(parts_.prober, &jump::Prober::on_path_challenge);
    case wire::ControlType::kPathResponse:
      return take(parts_.validator, &jump::PathValidator::on_path_response);
    case wire::ControlType::kMtuProbe:
      return take(parts_.path_mtu, &jump::PathMtu::on_mtu_probe);
    case wire::ControlType::kMtuAck:
      return take(parts_.path_mtu, &jump::PathMtu::on_mtu_ack);
    case wire::ControlType::kNewIndices:
      return deliver<wire::NewIndices>(now, session, plaintext,
                                       [&](const wire::NewIndices& message) {
                                         if (!is_current(session, at)) return;
                                         parts_.spares.on_new_indices(session, at, message);
                                       });
    default:
      return false;
  }
}

void PacketDispatch::on_terminate(Millis now, Session& session, const wire::Terminate& message) {
  const auto why = static_cast<Detail>(message.detail);
  const bool taken_over = why == Detail::kSuperseded;
  if (why == Detail::kOperator) parts_.dialer.forget(parts_.context.table.peer_of(session));
  if (taken_over) parts_.dialer.taken_over(now, session);
  const Detail detail = taken_over ? Detail::kTakenOver : Detail::kPeerTerminate;
  parts_.lifecycle.transition(now, session, {Trigger::kTerminate, detail}, NotifyPeer::kNo);
}

}  // namespace jvpn::engine
