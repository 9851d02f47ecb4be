// Inside of SessionEngine: the parts, what they share, and one timer for each peer.
// Control thread only.
#pragma once

#include "control/engine/engine.h"
#include "control/engine/packet_dispatch.h"
#include "control/engine/parts.h"
#include "control/engine/timer_wheel.h"
#include "control/session/memory_ownership.h"

namespace jvpn::engine {

/// What one call may do, so that none keeps the control thread for a millisecond: the rest is done
/// by the next calls of advance().
inline constexpr size_t kServedAtOnce = 32;  ///< sessions, by their timers or in a sweep
inline constexpr size_t kShownAtOnce = 8;    ///< sessions of a page: each some 40 us as text
inline constexpr size_t kLookedAtAtOnce =
    1'024;  ///< peers that a sweep, or a list of sessions, passes
inline constexpr size_t kTimersAtOnce = 4'096;  ///< moved within the wheel
inline constexpr size_t kTimersMoved = 256;     ///< of them, before the host is asked

/// Something that concerns many peers, carried out in slices.
struct Sweep {
  enum class What : uint8_t { kInterfaceLost, kPolicy, kTimers, kShutdown, kEpochOver, kDrain };
  What what{};
  uint16_t interface = 0;  ///< kInterfaceLost
  uint64_t epoch = 0;      ///< kEpochOver
  uint32_t next = 0;       ///< peer whose turn it is
};

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
  void carry_out();
  void hand_over();

  /// Does whatever is due for one peer.
  void serve(Millis now, PeerId id);
  void serve_session(Millis now, Session& session);
  Millis due(PeerId id) const;
  Millis session_due(const Session& session) const;

  /// Begins a sweep, in the place of one of the same kind, and does its first slice.
  void begin_sweep(Millis now, Sweep sweep);
  /// One slice of the sweeps under way.
  void go_on_sweeping(Millis now);
  /// False: nothing was to be done.
  bool sweep_peer(Millis now, PeerId id, const Sweep& sweep);
  bool apply_policy(Millis now, PeerId id);
  /// False: nothing of the peer's is bound to it.
  bool lose_interface(Millis now, PeerId id, uint16_t interface);
  /// Handles what the store has answered so far.
  void take_replies(Millis now);
  void on_reply(Millis now, const OwnershipReply& reply);
  void on_notice(Millis now, const OwnershipNotice& notice);
  void give_up(Millis now, const OwnershipNotice& wanted);
  void end_commit(Millis now, const OwnershipReply& reply);
  bool end_peer(Millis now, PeerId id, Detail detail);
  bool leave_peer(Millis now, PeerId id);
  bool lose_peer(Millis now, PeerId id, uint64_t epoch);
  Result<void> add_peer(PeerId id, EnginePeer peer);
  void remove_peer(Millis now, PeerId id);
  /// How many sessions it had.
  size_t visit_peer(PeerId id, const std::function<void(const SessionView&)>& visit) const;
  std::vector<StandbyView> standbys(PeerId id) const;
  SessionView view_of(const Session& session) const;

  EngineConfig config;
  SessionHost& host;
  Aead aead;
  MessageMac mac;
  DhKey own_key;
  MemoryStore own_sessions;
  MemoryOwnership own_memory{own_sessions};
  StoreCalls store;
  EngineCounters counters;
  Effects effects;
  PeerTable table;
  protocol::Identity self;
  MacKey token_secret{};  ///< of reattach tokens
  Context context;
  Parts parts;
  PacketDispatch dispatch;
  TimerWheel timers;          ///< one for each peer
  std::vector<Sweep> sweeps;  ///< one of each kind at most, and of each interface
  bool carrying_out = false;
  bool taking_replies = false;
};

}  // namespace jvpn::engine
