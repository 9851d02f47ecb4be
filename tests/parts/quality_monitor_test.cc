#include "control/jump/quality_monitor.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class QualityMonitorPart : public test::SessionRig {
 protected:
  /// Serves it for a while, with so much of every hundred packets lost.
  void run(Session& session, Millis span, uint64_t lost_percent) {
    RxProgress& progress = environment.progress[session.current->local.value];
    for (const Millis end = now + span; now < end; now = now + Millis{100}) {
      progress.expected += 100;
      progress.received += 100 - lost_percent;
      lifecycle.note(now, session, {.trigger = Trigger::kHeard, .time = now});
      quality.serve(now, session);
    }
  }
  Candidates candidates{context};
  QualityMonitor quality{context, lifecycle, channel, candidates};
};

TEST_F(QualityMonitorPart, LossOverTheThresholdIsVolatility) {
  Session& session = attached(true);
  run(session, Millis{5'000}, 1);
  EXPECT_EQ(session.state(), State::kAttached);
  run(session, Millis{5'000}, 60);
  EXPECT_EQ(session.state(), State::kVolatile);
  EXPECT_EQ(session.last_reason, Reason::kVolatilitySignal);
}

TEST_F(QualityMonitorPart, ThePeersReportCountsForAWhile) {
  Session& session = attached(true);
  wire::QualityReport report{};
  report.binding_version = session.binding_version().value;
  report.loss_ppm = 500'000;
  quality.on_quality_report(now, session, report);
  EXPECT_EQ(quality.due(session), now);
  quality.serve(now, session);
  EXPECT_EQ(session.state(), State::kVolatile);
}

TEST_F(QualityMonitorPart, AVolatileResponderAsksForABetterPath) {
  Session& session = attached(false);
  run(session, Millis{3'000}, 60);
  ASSERT_EQ(session.state(), State::kVolatile);
  run(session, Millis{2'000}, 60);
  EXPECT_GT(session.responder->hinted_at, Millis{0});
}

TEST_F(QualityMonitorPart, ANewPathStartsAfresh) {
  Session& session = attached(true);
  quality.note_round_trip(session, 7'000);
  quality.on_rebound(now, session, test::path_over(1));
  EXPECT_EQ(session.quality.path.rtt.rtt_us(), 7'000U) << "a NAT changed, not the route";
  quality.on_rebound(now, session, test::path_over(2));
  EXPECT_EQ(session.quality.path.rtt.rtt_us(), std::nullopt);
}

}  // namespace
}  // namespace jvpn
