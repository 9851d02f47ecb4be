// The events of sessions, as docs/DESIGN.md asks for them, appended to the effects.
// Control thread only.
#pragma once

#include <utility>

#include "control/session/context.h"
#include "control/session/event.h"
#include "control/session/event_budgets.h"
#include "control/session/finding.h"
#include "control/session/invariants.h"

namespace jvpn::session {

class Reporter {
 public:
  explicit Reporter(Context& context);

  /// The policy's rate of sampled events holds from here on.
  void policy_changed(Millis now);
  void emit_config(Millis now, Reason reason);
  /// No row takes the trigger: nothing has changed, and somebody may want to know why. Sampled.
  void emit_refused_trigger(Millis now, const Session& session, const SessionEvent& refused);
  /// STATE_CHANGE for each row, then what a limit that fired and an ended recovery owe.
  void emit_rows(Millis now, const Session& session, const SessionRecord& before,
                 const SessionEvent& event, const Step& taken);
  /// Sampled by code, but for ownership: an attacker decides how often it could be said.
  void emit_security(Millis now, Reason reason, Detail detail, PeerId peer, const SessionId& id,
                     const Path& from);
  /// OWNERSHIP_CHANGE from one run to another, by their epochs. Never sampled.
  void emit_ownership(Millis now, const Session& session, Reason reason, Detail detail,
                      std::pair<uint64_t, uint64_t> epochs);
  /// REATTACH: a handshake's claim of a session was refused, and the security event that goes with
  /// that.
  void emit_refused_claim(Millis now, PeerId peer, const SessionId& claimed, const Finding& finding,
                          const Path& from);
  /// A session that waited in the store ended there: its last row, as this run would have made it.
  void emit_ended(Millis now, PeerId peer, const SessionId& id, StateVersion version, Reason reason,
                  Millis lived);
  void emit_rekeyed(Millis now, const Session& session);
  /// Initiator: the peer has shown that it doesn't have the session's keys any more.
  void emit_keys_lost(Millis now, const Session& session);
  /// REATTACH: the request from that path was accepted, or rejected.
  void emit_accepted(Millis now, const Session& session, const Path& from);
  void emit_rejected(Millis now, const Session& session, const Finding& finding, const Path& from);
  /// A refused request: the security event that goes with it, REATTACH unless requests come faster
  /// than they are sampled, and the policy's limit if one fired.
  void emit_refused_request(Millis now, const Session& session, const Finding& finding,
                            const Path& from);
  /// Initiator: nobody answered its requests over that path.
  void emit_unanswered(Millis now, const Session& session, const Path& to);
  /// A bound of the policy took effect without a row.
  void emit_limit(Millis now, const Session& session, const Finding& finding);
  void emit_switch_denied(Millis now, const Session& session, Detail detail, const Path& to);
  /// `old_path`: none when another run had it.
  void emit_switch(Millis now, const Session& session, const std::optional<Path>& old_path);
  /// What the audits that go with a switch found.
  void emit_invariants(Millis now, const Session& session, const InvariantFindings& found);

 private:
  Event reattach_event(Millis now, const Session& session, const Finding& finding, const Path& from,
                       const char* result) const;
  bool within_budget(Millis now, Event& event);
  void emit_timeline(Millis now, const Session& session, const SessionRecord& before);
  void emit_invariant(Millis now, const Session& session, Reason holds, const char* check,
                      Detail broken);
  Event event_of(Millis now, EventKind kind, const Session& session) const;
  /// About a session that the store keeps: there is none here.
  Event event_of(Millis now, EventKind kind, PeerId peer, const SessionId& kept) const;

  Context& context_;
  EventBudgets budgets_;
};

/// `dead`, `planned`, `quality`, `failback`, `rebind`; `unknown` for a number that is none.
const char* to_string(wire::ReattachCause cause);

}  // namespace jvpn::session
