// The one place where a session's record changes, and what follows from each change: events, the
// withdrawal of a lost binding, the end of a session. Control thread only.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "control/session/bindings.h"
#include "control/session/control_channel.h"
#include "control/session/part.h"
#include "control/session/reporter.h"

namespace jvpn::session {

/// A handshake that would go on with a session: until it does, it has none of its own.
inline bool is_resumption(const Session& pending) {
  return pending.initiates() || pending.resumes();
}

/// Whether the peer is told that its session ends.
enum class NotifyPeer : uint8_t { kYes, kNo };

class Lifecycle {
 public:
  Lifecycle(Context& context, Reporter& reporter, Bindings& bindings, ControlChannel& channel)
      : context_(context), reporter_(reporter), bindings_(bindings), channel_(channel) {}

  /// The parts that hear of rows, bindings and keys, in this order.
  void set_parts(std::span<Part* const> parts) { parts_ = parts; }

  /// One step of the state machine, and what follows. False: the session has ended and is gone.
  bool transition(Millis now, Session& session, const SessionEvent& event,
                  NotifyPeer notify = NotifyPeer::kYes);
  /// A fact: no row follows from it here.
  void note(Millis now, Session& session, const SessionEvent& fact);
  /// Authentic, but no peer that follows the protocol can have meant it: the session ends.
  void end_by_violation(Millis now, Session& session);
  /// The data path has not what the records say: whatever there is with the peer ends.
  void end_corrupt(Millis now, PeerState& peer);
  /// The handshake under way comes to nothing. One that would have gone on with a session leaves
  /// that as it is, and isn't told.
  void fail_pending(Millis now, PeerState& peer, Detail detail);
  /// What is due of it by now. One that would go on with a session has as long as any handshake.
  void serve_pending(Millis now, PeerState& peer);
  Millis pending_due(const PeerState& peer) const;
  /// The peer's session goes on in the handshake's `next`, under its keys and on its path. Those of
  /// before open what is in flight, if they `drain`.
  Session& carry_over(Millis now, PeerState& peer, std::unique_ptr<Session> next, bool drain);
  /// A session that another run left goes on in the handshake's `next`.
  Session& restore(PeerState& peer, std::unique_ptr<Session> next);
  /// The resumption is committed: `told` by the responder, or 0 there. `old_path`: none when
  /// another run had it. False: the session has ended.
  bool commit_resumed(Millis now, Session& session, BindingVersion told,
                      const std::optional<Path>& old_path);
  /// The store keeps the session for whoever goes on with it, `to` if that is known; its peer isn't
  /// told. `why`: kShutdown or kHandedOver.
  void park(Millis now, PeerState& peer, Detail why, uint64_t to = 0);
  /// Another session of the same peer key takes its place.
  void supersede(Millis now, PeerState& peer, NotifyPeer notify);
  /// Ends whatever there is with a peer.
  void end_all(Millis now, PeerState& peer, Detail detail);
  /// A request for a jump was made or came; counted until the jump or the recovery ends.
  void note_attempt(Millis now, Session& session);
  /// Policy holds it back, or denied a request.
  void note_gate(Session& session, Detail gate, bool denied);
  /// Somebody else owns it, in run `to` if that is known: it is forgotten without a transition, and
  /// only the owner ends it. `from`: the run that had it; 0: ours.
  void forget(Millis now, Session& session, uint64_t to, uint64_t from = 0);

  /// A jump is committed: swaps the binding and tells the parts.
  void rebind(Millis now, Session& session, uint16_t number, const Path& path);
  /// Tells of the switch; audit_switches() has to follow once the host has carried it out.
  void report_switch(Millis now, const Session& session, const std::optional<Path>& old_path);
  bool owes_audit() const { return !unaudited_.empty(); }
  /// Compares what is published with each session that has jumped. What doesn't agree ends the
  /// session.
  void audit_switches();
  /// Tells the parts that the session sends under new keys.
  void announce_new_keys(Millis now, Session& session);

 private:
  struct Switch {
    Millis at;
    PeerId peer;
  };

  void close(Millis now, Session& session, Detail detail, NotifyPeer notify);
  void drop_pending(Millis now, PeerState& peer);
  void send_terminate(const Session& session, Detail detail);

  Context& context_;
  Reporter& reporter_;
  Bindings& bindings_;
  ControlChannel& channel_;
  std::span<Part* const> parts_;
  std::vector<Switch> unaudited_;  ///< of this input
};

}  // namespace jvpn::session
