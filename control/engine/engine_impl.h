// Inside of SessionEngine: the parts, what they share, and one timer for each peer.
// Control thread only.
#pragma once

#include "control/engine/engine.h"
#include "control/engine/packet_dispatch.h"
#include "control/engine/parts.h"
#include "control/engine/timer_wheel.h"

namespace jvpn::engine {

struct SessionEngine::Impl {
  Impl(EngineConfig configuration, SessionHost& session_host, Aead own_aead, MessageMac own_mac,
       Millis now);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// The one way out: sets the peer's timer to whatever is due next, then has the host carry out
  /// what was decided.
  void leave(PeerId id);
  void leave(std::optional<PeerId> id);
  void leave_all();
  void carry_out();

  /// Does whatever is due for one peer.
  void serve(Millis now, PeerId id);
  void serve_session(Millis now, Session& session);
  Millis due(PeerId id) const;
  Millis session_due(const Session& session) const;

  void apply_policy(Millis now, const Policy& policy);
  /// False: nothing of the peer's is bound to it.
  bool lose_interface(Millis now, PeerId id, uint16_t interface);
  void on_ownership_answer(Millis now, PeerId id, uint64_t ticket, OwnershipAnswer answer);
  void end_peer(Millis now, PeerId id, Detail detail);
  Result<void> add_peer(PeerId id, EnginePeer peer);
  void remove_peer(Millis now, PeerId id);
  void visit_peer(PeerId id, const std::function<void(const SessionView&)>& visit) const;
  SessionView view_of(const Session& session) const;

  EngineConfig config;
  SessionHost& host;
  Aead aead;
  MessageMac mac;
  DhKey own_key;
  MemoryOwnership own_memory;
  EngineCounters counters;
  Effects effects;
  PeerTable table;
  protocol::Identity self;
  MacKey token_secret{};  ///< of reattach tokens
  Context context;
  Parts parts;
  PacketDispatch dispatch;
  TimerWheel timers;  ///< one for each peer
  bool carrying_out = false;
};

}  // namespace jvpn::engine
