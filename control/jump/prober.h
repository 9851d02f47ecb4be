// Warm candidates, the initiator's side: standby paths are probed, measured and validated in
// advance, so that a request from one of them commits at once. Control thread only.
#pragma once

#include "control/jump/candidates.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

class Prober : public Part {
 public:
  Prober(Context& context, Lifecycle& lifecycle, Bindings& bindings, ControlChannel& channel,
         Candidates& candidates)
      : context_(context),
        lifecycle_(lifecycle),
        bindings_(bindings),
        channel_(channel),
        candidates_(candidates) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// The spares are new, nothing is validated under them.
  void on_rebound(Millis now, Session& session, const Path& old_path) override;
  /// Candidates are validated anew, under the new keys.
  void on_new_keys(Millis now, Session& session) override;

  /// There are new candidates.
  void probe_at_once(Millis now, Session& session) { session.initiator->probe.due = now; }
  /// Whether they answer now, when the bound path doesn't: all whose answer isn't awaited anyway.
  void ask(Millis now, Session& session);
  void on_path_challenge(Millis now, Session& session, const Arrival& at,
                         const wire::PathChallenge& message);

 private:
  Millis interval(const Session& session) const;
  Millis trial_interval(const Session& session) const;
  void plan(Millis now, Session& session);
  void probe(Millis now, Session& session, Candidate& candidate, const SpareBinding& spare);
  template <typename Wanted>
  void probe_those(Millis now, Session& session, Wanted wanted);

  Context& context_;
  Lifecycle& lifecycle_;
  Bindings& bindings_;
  ControlChannel& channel_;
  Candidates& candidates_;
};

/// Initiator: the spare that a message came on, of the present keys and assigned to its own path;
/// nullptr: none.
SpareBinding* assigned_spare(const Session& session, const Arrival& at);

}  // namespace jvpn::jump
