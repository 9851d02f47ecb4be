// The session engine: every session record of one control thread, its handshakes, keys and timers.
//
// Free of DPDK and of sockets: input comes by calls with the time as a parameter, output leaves as
// Effects that the host carries out after each input. Gateways and clients run the same engine;
// whoever dials is the initiator. All calls on the control thread. What concerns many sessions is
// carried out in slices: the first one at once, the others by advance().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/handshake_mac.h"
#include "common/ipsec_mb.h"
#include "common/path.h"
#include "common/policy.h"
#include "common/result.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/config.h"
#include "control/session/control_message.h"
#include "control/session/effects.h"
#include "control/session/peer_table.h"
#include "control/session/state_machine.h"
#include "control/session/vocabulary.h"

namespace jvpn::engine {

/// A session as `jvpn show` prints it.
struct SessionView {
  SessionId id;
  PeerId peer;
  State state{};
  StateVersion version;
  BindingVersion binding_version;
  Reason last_reason{};
  Suite suite{};
  Path path;
  uint64_t rekeys = 0;
  Millis born;
  Millis keyed;  ///< its latest handshake or rekey
  Millis lived;  ///< before that, in other runs
  Millis last_authentic;
  std::optional<uint32_t> rtt_us;
  std::optional<uint32_t> jitter_us;
  std::optional<Ppm> loss_in;   ///< of data to this end, over the policy's window
  std::optional<Ppm> loss_out;  ///< of data from it, as the peer told; stale from loss_out_until on
  Millis loss_out_until;
  bool idle = false;      ///< heard from rarely, by agreement
  uint64_t switches = 0;  ///< committed jumps
  RecentTimes<kMaxSwitchesPerMin> recent_switches;
};

/// A path to a gateway that hasn't got the session, as inquiries found it.
struct StandbyView {
  Path path;
  GatewayNumber gateway;
  session::Standby standby;
};

/// Attempts to open a session, since the latest one began; and where it could be claimed.
struct DialView {
  Path path;
  uint32_t attempts = 0;
  uint32_t unopened = 0;  ///< answers that our keys don't open: the preshared keys differ
  uint32_t cookies = 0;   ///< told in the place of an answer
  uint32_t retries = 0;
  std::vector<StandbyView> standbys{};  ///< of the session, without one of all gateways
};

enum class DrainOrder : uint8_t { kNone, kBegin, kEnd };

/// Whether sessions may begin.
struct Admission {
  bool denies_new_sessions = false;  ///< the latest reload was refused
  /// No session and no claim is taken, and initiators are asked to go on at other gateways.
  bool draining = false;
  bool may_drain = false;  ///< others share the store: sessions have somewhere to go
  size_t left = 0;         ///< sessions that others dialled
};

class SessionEngine {
 public:
  /// `host` outlives the engine. Fails when the CPU can't run the AEAD. `library` makes its
  /// managers of IPsec-MB, 200 kB each: simulations have many engines in one thread.
  static Result<std::unique_ptr<SessionEngine>> create(EngineConfig config, SessionHost& host,
                                                       Millis now, const IpsecMb& library = {});
  ~SessionEngine();

  /// A message under no session's keys: a handshake's, MACs not yet checked unless `verdict` says
  /// so, or a reset, token not yet checked, that names an index of `peer`'s (AwaitReset).
  void on_handshake(Millis now, const Path& from, std::span<const uint8_t> datagram,
                    std::optional<MacVerdict> verdict, PeerId peer = session::kNoPeer);
  /// A control message whose tag was right; its counter is judged here. `serial`: of the install
  /// that it was opened under (RxInstall::serial); without one it was opened just now.
  void on_control(Millis now, const Path& from, ReceiverIndex index, uint64_t counter,
                  std::span<const uint8_t> plaintext, std::optional<uint64_t> serial = {});
  /// Data or control came from there under an index that isn't ours: its sender may be told that
  /// the session is lost.
  void on_unknown_index(Millis now, const Path& from, ReceiverIndex index);
  /// Handles replies of the store and timers that are due, as many as fit a slice; next_deadline()
  /// tells whether any are left.
  void advance(Millis now);
  /// When advance() has work next; kNever when never; 0 when something that concerns many sessions
  /// isn't done for all of them yet, or the store has replied.
  Millis next_deadline() const;

  /// Initiator: opens a session with `peer` over `path`, retrying until confirmed or told
  /// otherwise.
  void dial(Millis now, PeerId peer, const Path& path);
  /// Initiator: how dialling fares; nullopt when dial() wasn't called, or doesn't count any more:
  /// an operator at the peer ends it for good. (Another holder of our key, who replaces us, only
  /// delays the next attempt.)
  std::optional<DialView> dialling(PeerId peer) const;
  /// Initiator: the paths to all gateways of `peer`, best first; the one in use may be among them.
  /// A session jumps to those of its own gateway, by EnginePeer::gateways, and claims itself at the
  /// others. Replaces those told before, takes effect at once. Also for a session to come.
  void set_candidates(Millis now, PeerId peer, std::span<const Path> paths);
  /// Initiator: link, address or route of `path` is gone. It is no candidate any more; when it
  /// carries the session, the session recovers at once over the best one left.
  void path_lost(Millis now, PeerId peer, const Path& path);
  /// Initiator: what Environment::inner_mtu() says of the peer's paths may have changed.
  void mtu_changed(Millis now, PeerId peer);
  /// Initiator: a planned jump to `path`; the old one carries everything until the new one is
  /// committed. Waits for the policy's cooldown; forgotten when the session ends or recovers.
  /// Nothing happens when it leads to another gateway than the one that has the session.
  void jump(Millis now, PeerId peer, const Path& path);
  /// Initiator: the program won't wait for jump_begins(); events tell which bound denied the jump.
  void deny_jump(Millis now, PeerId peer, const Path& path);
  /// Initiator: when a planned jump that is asked for now would begin; kNever without a session.
  Millis jump_begins(PeerId peer) const;
  /// Initiator: a jump is wanted or under way.
  bool jumps(PeerId peer) const;
  /// Responder, which can't dial: asks the initiator to jump, and why. Nothing without a transport.
  void ask_jump(Millis now, PeerId peer, wire::Hint hint);
  /// Gateway: the link of a local interface is down. Every session bound to it recovers at once; an
  /// initiator that was seen elsewhere lately is told there.
  void interface_lost(Millis now, uint16_t interface);
  /// Responder: data that opened under `index` came from elsewhere than the session's path, which
  /// stays as it is. When the path's own source is silent, that one is asked to reattach, once per
  /// second at most.
  void source_changed(Millis now, const Path& from, ReceiverIndex index,
                      std::optional<uint64_t> serial = {});
  /// Initiator: data flows; an idle session is awake again. Cheap when it isn't idle.
  /// `stood_still_since`: this program did nothing from then until now although something was due
  /// (it was stopped, or the CPU busy). What the peer said waits unread, so that time is no silence
  /// of the peer's: as much as transport_dead_ms at once. More, as of a suspended machine, counts.
  void wake(Millis now, PeerId peer, std::optional<Millis> stood_still_since = {});

  // The configured peers. Nobody else's session is touched.

  /// A peer under an id that none has, below kMaxPeers. An Error when its key is ours or another's.
  Result<void> add_peer(PeerId id, EnginePeer peer);
  /// The host could not carry out an install of the peer: its session ends (FATAL_PROTOCOL_ERROR,
  /// corrupt_record), because the data path has not what the record says.
  void install_refused(Millis now, PeerId id);
  /// Its session ends (POLICY_TERMINATION, policy_hard_stop), no key of it opens anything any more,
  /// it can't attach, and its id is free.
  void remove_peer(Millis now, PeerId id);
  /// What else is configured of the peer with that id and public key. Its session goes on; a
  /// changed preshared key counts from the next handshake or rekey on. When its gateways have
  /// changed, set_candidates() follows.
  void update_peer(PeerId id, EnginePeer peer);
  /// As dial(), but a session that lives goes on: the peer is dialled when it ends.
  void dial_when_ended(Millis now, PeerId peer, const Path& path);
  /// Initiator: a planned jump to the first candidate when the path in use is none of them.
  void follow_candidates(Millis now, PeerId peer);
  /// Initiator: dial() counts no more; a session goes on.
  void stop_dialling(PeerId peer);

  /// A valid reload: all sessions obey it from here on. Ends deny_new_sessions().
  void set_policy(Millis now, const Policy& policy);
  /// A refused reload: the policy stays, sessions go on, none begins until the next set_policy().
  void deny_new_sessions(Millis now);

  /// Gateway: begins or ends draining, if it may drain.
  Admission admission(Millis now, DrainOrder order = DrainOrder::kNone);

  /// Ends a session and tells the peer.
  void terminate(Millis now, PeerId peer, Detail detail);
  /// The program stops. Ends all sessions and tells their peers; but those that a durable store
  /// keeps wait there for the next run, and nobody is told.
  void shutdown(Millis now);

  /// Opens a control message with the keys of `index`, for hosts whose data path does not (the
  /// client). Returns the plaintext, in place, and its counter; nullopt when the index is unknown
  /// or the tag wrong.
  std::optional<session::OpenedControl> open_control(std::span<uint8_t> message);
  /// Whether control messages for `index` can be opened: it names a session's keys.
  bool receives_on(ReceiverIndex index);

  /// Shows sessions: those of the peers from `from` on, as many as fit a slice. Returns where to go
  /// on; nullopt: that was all.
  std::optional<PeerId> visit_sessions(PeerId from,
                                       const std::function<void(const SessionView&)>& visit) const;
  void for_each_tombstone(const std::function<void(const Tombstone&)>& visit) const;
  const EngineCounters& counters() const;
  const Policy& policy() const;
  /// Present cookie secrets, for the workers' check. `generation` rises on rotation. `used`: what
  /// workers did since the last call; secrets rotate while cookies may be out.
  const CookieSecrets& cookie_secrets(uint64_t& generation, Millis now = {},
                                      const session::CookieUse& used = {});

 private:
  friend void lanes_closed(SessionEngine& engine, Millis now, PeerId peer,
                           const LaneReport& report);
  struct Impl;
  explicit SessionEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What came under an index that the engine had its host close (RxClose): all that ever will.
void lanes_closed(SessionEngine& engine, Millis now, PeerId peer, const LaneReport& report);

/// Shows all sessions at once, as few as a client has.
inline void for_each_session(const SessionEngine& engine,
                             const std::function<void(const SessionView&)>& visit) {
  for (std::optional<PeerId> from{PeerId{0}}; from;) from = engine.visit_sessions(*from, visit);
}

}  // namespace jvpn::engine
