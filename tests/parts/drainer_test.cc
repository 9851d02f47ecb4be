#include "control/protocol/drainer.h"

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using protocol::Drainer;

class DrainerPart : public test::PartRig {
 protected:
  Reporter reporter{context};
  ControlChannel channel{context};
  Drainer drainer{context, reporter, channel};
};

TEST_F(DrainerPart, AsksEverMoreRarelyWhileTheSessionStays) {
  Session& session = attached(false);
  EXPECT_EQ(drainer.due(session), kNever);
  drainer.begin(now);
  drainer.plan(now, session);
  std::vector<uint64_t> pauses;
  for (int i = 0; i < 7; ++i) {
    const Millis due = drainer.due(session);
    pauses.push_back((due - now).value);
    now = due;
    drainer.serve(now, session);
    EXPECT_EQ(latest_type(session), wire::ControlType::kPolicyHint);
  }
  EXPECT_EQ(pauses, (std::vector<uint64_t>{0, 1'000, 2'000, 4'000, 8'000, 16'000, 16'000}));
  EXPECT_EQ(count<Send>(), 7U);
  drainer.end(now);
  EXPECT_EQ(drainer.due(session), kNever);
  EXPECT_EQ(reasons(), (std::vector{Reason::kDrainBegun, Reason::kDrainEnded}));
}

/// As many a second as a gateway like this one takes without cookies.
TEST_F(DrainerPart, TurnsAreSpreadOverTime) {
  config.handshakes_per_s = 500;
  Session& session = attached(false);
  drainer.begin(now);
  Millis last;
  for (int i = 0; i < 1'000; ++i) {
    drainer.plan(now, session);
    last = drainer.due(session);
  }
  EXPECT_EQ(last, now + Millis{1'998});
}

TEST_F(DrainerPart, WithoutATransportNothingIsSent) {
  Session& session = attached(true);
  drainer.begin(now);
  drainer.on_rows(now, session);
  EXPECT_EQ(drainer.due(session), kNever) << "whoever dialled is asked by nobody";
}

TEST_F(DrainerPart, ASessionThatBeginsMeanwhileIsAskedToo) {
  drainer.begin(now);
  Session& session = attached(false);
  drainer.on_rows(now, session);
  EXPECT_EQ(drainer.due(session), now);
  drainer.on_rows(now + Millis{500}, session);
  EXPECT_EQ(drainer.due(session), now) << "planned once";
}

TEST_F(DrainerPart, ThatNoneIsLeftIsToldOnce) {
  drainer.report_news(now);
  EXPECT_TRUE(reasons().empty());
  const Session& session = attached(false);
  table.begin(session.id, false);
  drainer.begin(now);
  drainer.report_news(now);
  EXPECT_EQ(reasons(), std::vector{Reason::kDrainBegun});
  table.end(session.id);
  EXPECT_TRUE(drainer.has_news());
  drainer.report_news(now);
  drainer.report_news(now);
  EXPECT_EQ(reasons(), (std::vector{Reason::kDrainBegun, Reason::kDrainDone}));
}

}  // namespace
}  // namespace jvpn
