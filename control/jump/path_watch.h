// Finds the death of the bound path in a few round trips (docs/DESIGN.md, finding a dead path):
//   data left and nothing authentic came for srtt + 4 rttvar → probes of the path, heartbeats →
//   unanswered, while another path answers: initiator: it is dead, and left;
//   responder, which can't leave: the initiator is told, by every path, and probes it itself.
// Any arrival by the path ends the suspicion. When all paths are silent it isn't this one's death,
// and policy.volatility.transport_dead_ms decides. Who was late to look judges nothing.
// Control thread only.
#pragma once

#include <optional>

#include "common/token_bucket.h"
#include "control/jump/jumper.h"
#include "control/jump/prober.h"
#include "control/jump/reattach_responder.h"
#include "control/protocol/liveness.h"

namespace jvpn::jump {

class PathWatch : public Part {
 public:
  PathWatch(Context& context, protocol::Liveness& liveness, Candidates& candidates, Prober& prober,
            Jumper& jumper, ReattachResponder& responder)
      : context_(context),
        liveness_(liveness),
        candidates_(candidates),
        prober_(prober),
        jumper_(jumper),
        responder_(responder) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rows(Millis now, Session& session) override;
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

  /// Initiator: the responder hears nothing by the bound path. We look for ourselves.
  void on_told(Millis now, Session& session, const wire::PolicyHint& message);
  /// A heartbeat that took so long tells nothing of the path's round trip: an end had stood still.
  bool is_held_up(Millis now, const Session& session, uint32_t rtt_us) const;
  /// A heartbeat came back that took so long.
  void on_answer(Millis now, Session& session, uint32_t rtt_us);

  /// How long an answer by the bound path may take: srtt + 4 rttvar, detection_floor_ms at least.
  Millis patience(const Session& session) const;
  /// Probes that must go unanswered: three, or as many as random loss at the rate that is measured
  /// takes away together once in 10^9 times.
  uint32_t probes_needed(Millis now, const Session& session) const;

 private:
  bool watches(const Session& session) const;
  Millis floor(const Session& session) const;
  bool is_late(Millis now, const Session& session, Millis planned) const;
  static std::optional<Millis> left_since(Millis now, Millis heard, const WatchState& before,
                                          uint64_t count);
  void look(Millis now, Session& session);
  void measure(Millis now, Session& session);
  void begin(Millis now, Session& session, const Suspicion& kind);
  void end(Millis now, Session& session);
  bool pursue(Millis now, Session& session);
  void probe(Millis now, Session& session);
  void ask(Millis now, Session& session);
  Millis gap(const Session& session, uint32_t needed) const;
  std::optional<Millis> answered_elsewhere(const Session& session) const;
  Millis verdict_at(const Session& session) const;
  bool conclude(Millis now, Session& session);

  Context& context_;
  protocol::Liveness& liveness_;
  Candidates& candidates_;
  Prober& prober_;
  Jumper& jumper_;
  ReattachResponder& responder_;
  std::optional<TokenBucket> looks_;   ///< of all sessions together
  std::optional<TokenBucket> probes_;  ///< the same
};

}  // namespace jvpn::jump
