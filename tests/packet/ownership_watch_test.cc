// A gateway whose data path is dead gives its sessions up: its workers know before others do.
#include "control/gateway/ownership_watch.h"

#include <vector>

#include <rte_cycles.h>

#include "tests/packet/control_rig.h"

namespace jvpn::test {
namespace {

/// A store whose run lasts until it is told that nothing is carried.
class OneRun final : public session::Ownership {
 public:
  explicit OneRun(const SessionTable& sessions) : sessions_(sessions) {}

  uint64_t epoch() const override { return run; }
  Millis safe_until() const override { return proven; }
  bool ask(Millis, const session::OwnershipCall&) override { return false; }
  std::optional<session::OwnershipReply> take() override { return std::nullopt; }
  bool has_replies() const override { return false; }
  void note_alive(Millis, bool carries) override {
    told.push_back(carries);
    EXPECT_TRUE(carries || sessions_.silent_after() <= rte_rdtsc()) << "others take them now";
  }

  uint64_t run = 7;
  Millis proven = kNever;
  std::vector<bool> told;

 private:
  const SessionTable& sessions_;
};

class OwnershipWatchTest : public ControlRig {
 protected:
  OwnershipWatchTest() {
    store_.proven = clock_.now() + Millis{60'000};
    view_.link_up = [this](uint16_t) { return linked_; };
  }
  /// After so long, as the watch has it; the workers' silence is in the TSC's present.
  bool carries(Millis later) {
    time_ = time_ + later;
    watch_.poll(time_, [&](const session::Event& event) { events_.push_back(event.reason); });
    return store_.told.back();
  }
  bool is_silent() { return tables_.sessions->silent_after() <= rte_rdtsc(); }

  gateway::BootClock clock_;
  Millis time_ = clock_.now();
  bool linked_ = true;
  SharedCookieSecrets secrets_;
  DataplaneView view_{.ports = ports_,
                      .sessions = *tables_.sessions,
                      .routes = *tables_.routes,
                      .rcu = tables_.rcu.get(),
                      .cookie_secrets = secrets_,
                      .control_pool = pool_.get(),
                      .data_pool = pool_.get(),
                      .rings = {},
                      .counters = {},
                      .traces = {},
                      .link_up = {}};
  OneRun store_{*tables_.sessions};
  gateway::OwnershipWatch watch_{&store_, view_, clock_};
  std::vector<Reason> events_;
};

TEST_F(OwnershipWatchTest, WhoGivesUpIsSilentBeforeOthersKnowUntilTheNextRun) {
  EXPECT_TRUE(carries(Millis{0}));
  EXPECT_FALSE(is_silent());
  linked_ = false;
  EXPECT_TRUE(carries(Millis{100})) << "a moment is nothing";
  EXPECT_FALSE(carries(Millis{1'500}));
  EXPECT_TRUE(is_silent());
  linked_ = true;
  EXPECT_FALSE(carries(Millis{100})) << "the run that was given up isn't over";
  EXPECT_TRUE(is_silent());
  store_.run = 0;
  store_.proven = Millis{0};
  EXPECT_TRUE(carries(Millis{100})) << "a new run may begin";
  EXPECT_TRUE(is_silent());
  store_.run = 8;
  store_.proven = clock_.now() + Millis{60'000};
  EXPECT_TRUE(carries(Millis{100}));
  EXPECT_FALSE(is_silent());
  EXPECT_EQ(events_, (std::vector<Reason>{Reason::kOwnershipProven, Reason::kOwnershipConflict,
                                          Reason::kOwnershipProven}));
}

}  // namespace
}  // namespace jvpn::test
