#include "control/jump/spare_keeper.h"

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

class SpareKeeperPart : public test::PartRig {
 protected:
  Bindings bindings{context};
  ControlChannel channel{context};
  Candidates candidates{context};
  SpareKeeper spares{context, bindings, channel, candidates};
};

TEST_F(SpareKeeperPart, TheInitiatorAsksWhenItLacksSome) {
  Session& session = attached(true);
  EXPECT_NE(spares.due(session), kNever);
  spares.serve(now, session);
  EXPECT_EQ(latest_type(session), wire::ControlType::kNewIndices);
  learn(session, 4);
  EXPECT_EQ(spares.due(session), kNever);
}

TEST_F(SpareKeeperPart, TheSpareOfAPathThatIsNoCandidateGoesBack) {
  Session& session = attached(true);
  learn(session, 4);
  SpareBinding& spare = *bindings.assign_spare(session, test::path_over(2));
  EXPECT_NE(spares.due(session), kNever);
  spares.serve(now, session);
  EXPECT_EQ(spare.status, SpareStatus::kReturned);
  const size_t before = session.current->spares.size();
  spares.on_new_indices(session, {test::path_over(1), *session.current, session.current->local},
                        {});
  EXPECT_EQ(session.current->spares.size(), before - 1) << "the responder lists it no more";
}

TEST_F(SpareKeeperPart, TheResponderKeepsOfferingAsManyAsAreWanted) {
  Session& session = attached(false);
  spares.on_new_indices(session, {test::path_over(1), *session.current, session.current->local},
                        {});
  EXPECT_EQ(session.current->spares.count(SpareStatus::kOffered),
            bindings.spares_wanted(config.policy));
  EXPECT_EQ(latest_type(session), wire::ControlType::kNewIndices);
}

}  // namespace
}  // namespace jvpn
