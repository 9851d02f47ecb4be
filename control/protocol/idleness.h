// Idleness by agreement (docs/DESIGN.md, quality): an initiator without traffic announces how
// rarely it will be heard, and only the responder's answer makes both ends' liveness clocks that
// much slower. The first packet wakes it at once. Control thread only.
#pragma once

#include "control/session/lifecycle.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

class Idleness : public Part {
 public:
  Idleness(Context& context, Lifecycle& lifecycle, ControlChannel& channel)
      : context_(context), lifecycle_(lifecycle), channel_(channel) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// The commit has woken both ends.
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

  /// Data flows; false when an idle session has nothing to wake for.
  bool wake(Millis now, Session& session);
  void on_idle(Millis now, Session& session, const wire::Idle& message);

 private:
  bool note_data(Millis now, Session& session);
  Millis wanted_interval(Millis now, const Session& session) const;
  static bool asks_in_vain(Millis now, const IdleState& idle, Millis wanted);
  void announce(const Session& session, Millis interval);

  Context& context_;
  Lifecycle& lifecycle_;
  ControlChannel& channel_;
};

}  // namespace jvpn::protocol
