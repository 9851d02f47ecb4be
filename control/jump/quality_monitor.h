// How the bound path does (docs/DESIGN.md, quality), judged once per heartbeat interval:
//   counters of what arrives → loss; heartbeats → round trip and jitter; the peer's report → loss
//   of the other direction. A verdict that isn't healthy, or any verdict while health is in doubt,
//   goes through the state machine. Control thread only.
#pragma once

#include "control/jump/candidates.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

class QualityMonitor : public Part {
 public:
  QualityMonitor(Context& context, Lifecycle& lifecycle, ControlChannel& channel,
                 Candidates& candidates)
      : context_(context), lifecycle_(lifecycle), channel_(channel), candidates_(candidates) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rows(Millis now, Session& session) override { session.quality.due = now; }
  void on_rebound(Millis now, Session& session, const Path& old_path) override;
  void on_new_keys(Millis, Session& session) override { session.quality.path.in = {}; }

  void on_quality_report(Millis now, Session& session, const wire::QualityReport& message);
  /// A heartbeat came back.
  void note_round_trip(Session& session, uint32_t rtt_us) { session.quality.path.rtt.add(rtt_us); }
  /// What a candidate has to beat.
  PathMerits merits_of_bound(Millis now, const Session& session) const;

 private:
  void report_loss(Millis now, Session& session);
  void ask_for_better_path(Millis now, Session& session);

  Context& context_;
  Lifecycle& lifecycle_;
  ControlChannel& channel_;
  Candidates& candidates_;
};

}  // namespace jvpn::jump
