#include "control/jump/path_watch.h"

#include "tests/support/jump_rig.h"
#include "tests/support/random.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

/// A session with a round trip of 20 ms that has settled, candidates of the same, and no loss.
class PathWatchPart : public test::JumpRig {
 protected:
  PathWatchPart() {
    lifecycle.set_parts(all);
    for (int i = 0; i < 40; ++i) session.quality.path.rtt.add(20'000);
    for (const uint8_t network : {uint8_t{2}, uint8_t{3}})
      for (int i = 0; i < 40; ++i)
        Candidates::note_answer(now, *candidates.at(session, test::path_over(network)), 20'000);
    count_no_loss();
    effects.clear();
  }

  /// As a path that carries 1000 packets a second without loss for long.
  void count_no_loss() {
    for (int i = 0; i <= 8; ++i) {
      const auto total = static_cast<uint64_t>(1'000 + 250 * i);
      session.quality.path.in.sample(now + Millis{static_cast<uint64_t>(250 * i)}, {total, total},
                                     Millis{2'000});
    }
  }
  /// Data leaves all the time; nothing comes but what the test notes.
  void pass(Millis until, bool sends = true) {
    while (now < until) {
      now = now + Millis{1};
      if (sends) ++environment.traffic.tx_packets;
      watch.serve(now, session);
    }
  }
  /// Authentic data comes by the bound path.
  void hear() {
    ++environment.traffic.rx_packets;
    lifecycle.note(now, session, {.trigger = Trigger::kHeard, .time = now});
  }
  /// Data both ways.
  void flow(Millis span) {
    for (const Millis until = now + span; now < until;) {
      pass(now + Millis{1});
      hear();
    }
    if (session.watch.suspicion) return;
    effects.clear();
  }
  /// The candidate's probe comes back, at once.
  void answer_by(uint8_t network) {
    Candidates::note_answer(now, *candidates.at(session, test::path_over(network)), 20'000);
  }
  size_t count_to(uint8_t network) const {
    size_t found = 0;
    for (const Effect& effect : effects.list()) {
      const Send* const send = std::get_if<Send>(&effect);
      found += send != nullptr && send->path == test::path_over(network) ? 1 : 0;
    }
    return found;
  }
  size_t probes() const { return count_to(1); }
  Event row_to(State to) const {
    for (const Effect& effect : effects.list())
      if (const Event* event = std::get_if<Event>(&effect))
        if (event->kind == EventKind::kStateChange && event->to == to) return *event;
    ADD_FAILURE() << "no such row";
    return {};
  }

  wire::PolicyHint silent_hint() const {
    wire::PolicyHint hint{};
    hint.binding_version = session.binding_version().value;
    hint.hint = wire::Hint::kSilent;
    return hint;
  }

  MacKey secret{};
  ReattachResponder responder{context, lifecycle, reporter, bindings, channel, liveness, secret};
  PathWatch watch{context, liveness, candidates, prober, jumper, responder};
  std::array<Part*, 5> all{&liveness, &watch, &quality, &prober, &candidates};
};

TEST_F(PathWatchPart, SilenceAfterDataIsProbedAndAnswersEndIt) {
  flow(Millis{100});
  pass(now + Millis{25});
  EXPECT_EQ(probes(), 0U) << "srtt + 4 rttvar hasn't passed";
  pass(now + Millis{4});
  EXPECT_EQ(probes(), 1U);
  hear();
  pass(now + Millis{2});
  flow(Millis{500});
  EXPECT_FALSE(session.watch.suspicion);
  EXPECT_EQ(session.state(), State::kAttached);
}

TEST_F(PathWatchPart, APathThatOnlyListensIsNotWatched) {
  pass(now + Millis{5'000}, false);
  EXPECT_EQ(probes(), 0U);
}

TEST_F(PathWatchPart, ThreeUnansweredProbesAndAnotherPathsAnswerAreDeath) {
  flow(Millis{100});
  const Millis died = now;
  pass(died + Millis{45});
  EXPECT_EQ(probes(), 2U);
  EXPECT_EQ(count_to(2), 0U);
  pass(died + Millis{48});
  EXPECT_EQ(probes(), 3U);
  EXPECT_EQ(count_to(2), 1U) << "the others are asked with the third probe";
  pass(died + Millis{68});
  EXPECT_EQ(session.state(), State::kAttached);
  answer_by(2);
  pass(died + Millis{76});
  EXPECT_EQ(session.state(), State::kRecovering);
  const Event change = row_to(State::kRecovering);
  EXPECT_EQ(change.reason, Reason::kRecoveryStart);
  EXPECT_EQ(change.detail, Detail::kUnanswered);
  EXPECT_STREQ(change.fired.limit, "detection");
  EXPECT_LE(change.fired.threshold, change.fired.observed);
  EXPECT_LE(change.fired.observed, 76U);
}

TEST_F(PathWatchPart, WhenAllPathsAreSilentItIsNotThisOnesDeath) {
  flow(Millis{100});
  pass(now + Millis{1'900});
  EXPECT_EQ(session.state(), State::kAttached);
  EXPECT_GE(probes(), 5U);
  EXPECT_LE(probes(), 16U) << "they back off";
}

TEST_F(PathWatchPart, AnAnswerThatWasHeldUpProvesNothing) {
  flow(Millis{100});
  const Millis died = now;
  pass(died + Millis{300});
  Candidates::note_answer(now, *candidates.at(session, test::path_over(2)), 250'000);
  pass(died + Millis{320});
  EXPECT_EQ(session.state(), State::kAttached) << "the peer had stood still";
}

TEST_F(PathWatchPart, WhoStoodStillJudgesNothing) {
  flow(Millis{100});
  pass(now + Millis{60});
  answer_by(2);
  now = now + Millis{1'000};
  answer_by(2);
  watch.serve(now, session);
  EXPECT_EQ(session.state(), State::kAttached);
  EXPECT_EQ(session.watch.suspicion->probes, 1U) << "it begins anew";
}

TEST_F(PathWatchPart, WhatWasHeldUpIsNoRoundTrip) {
  flow(Millis{100});
  EXPECT_FALSE(watch.is_held_up(now, session, 26'000));
  EXPECT_FALSE(watch.is_held_up(now, session, 200'000)) << "the path has become slow";
  EXPECT_TRUE(watch.is_held_up(now + Millis{1'000}, session, 1'000'000)) << "by us";
  pass(now + Millis{30});
  EXPECT_TRUE(watch.is_held_up(now, session, 1'000'000)) << "by the peer, which was silent";
  EXPECT_FALSE(watch.is_held_up(now, session, 20'000));
}

TEST_F(PathWatchPart, FixedDetectionWatchesNothing) {
  session.initiator->policy.volatility.detection = Detection::kFixed;
  EXPECT_EQ(watch.due(session), kNever);
  pass(now + Millis{1'000});
  EXPECT_EQ(probes(), 0U);
}

TEST_F(PathWatchPart, TheFloorBoundsPatience) {
  EXPECT_EQ(watch.patience(session), Millis{26});
  session.initiator->policy.volatility.detection_floor = Millis{80};
  EXPECT_EQ(watch.patience(session), Millis{80});
}

TEST_F(PathWatchPart, MeasuredLossAsksForMoreProbes) {
  struct Case {
    const char* name;
    Ppm reported;
    uint32_t probes;
  };
  for (const Case& each : {Case{"none", 0, 3}, Case{"1 %", 10'000, 5}, Case{"5 %", 50'000, 7},
                           Case{"20 %", 200'000, 13}, Case{"all", 1'000'000, 24}}) {
    session.quality.path.reported = each.reported;
    session.quality.path.reported_until = now + Millis{1'000};
    EXPECT_EQ(watch.probes_needed(now, session), each.probes) << each.name;
  }
  session.quality.path = {};
  EXPECT_EQ(watch.probes_needed(now, session), 6U) << "not measured yet";
}

TEST_F(PathWatchPart, TrafficThatGoesOneWayIsProbedEverMoreSeldom) {
  flow(Millis{100});
  for (Millis until = now + Millis{10'000}; now < until;) {
    pass(now + Millis{1});
    if (session.watch.suspicion && session.watch.suspicion->began + Millis{20} <= now)
      lifecycle.note(now, session, {.trigger = Trigger::kHeard, .time = now});
  }
  EXPECT_LE(probes(), 110U) << "eight a second, and measuring";
  EXPECT_EQ(session.state(), State::kAttached);
}

TEST_F(PathWatchPart, ToldThatNothingComesTheInitiatorLooksForItself) {
  flow(Millis{100});
  watch.on_told(now, session, silent_hint());
  const Millis told = now;
  EXPECT_EQ(probes(), 1U);
  EXPECT_EQ(count_to(2), 1U) << "the others are asked at once";
  flow(Millis{20});
  answer_by(2);
  flow(Millis{50});
  EXPECT_EQ(session.state(), State::kRecovering) << "what comes says nothing of what goes";
  EXPECT_LE(now - told, Millis{70});
}

TEST_F(PathWatchPart, AnAnsweredProbeContradictsWhatWasTold) {
  flow(Millis{100});
  watch.on_told(now, session, silent_hint());
  flow(Millis{20});
  answer_by(2);
  watch.on_answer(now, session, 30'000);
  EXPECT_TRUE(session.watch.suspicion) << "that one was sent before";
  watch.on_answer(now, session, 20'000);
  EXPECT_FALSE(session.watch.suspicion);
  flow(Millis{500});
  EXPECT_EQ(session.state(), State::kAttached);
}

TEST_F(PathWatchPart, AHintOfAnotherBindingIsStale) {
  wire::PolicyHint hint = silent_hint();
  ++hint.binding_version;
  watch.on_told(now, session, hint);
  EXPECT_FALSE(session.watch.suspicion);
  EXPECT_EQ(counters.control_stale, 1U);
}

/// The responder's end, whose initiator was validated on network 2.
class ResponderWatch : public test::SessionRig {
 protected:
  ResponderWatch() {
    for (int i = 0; i < 40; ++i) session.quality.path.rtt.add(20'000);
    bindings.top_up_spares(session, *session.current);
    reattach_memory(now, context, session).validated[0] = {
        test::path_over(2), session.current->spares.numbered(1)->local, ReceiverIndex{0x77},
        now + Millis{10'000}};
    effects.clear();
  }
  size_t count_to(uint8_t network) const {
    return static_cast<size_t>(std::ranges::count_if(effects.list(), [&](const Effect& effect) {
      const Send* const send = std::get_if<Send>(&effect);
      return send != nullptr && send->path == test::path_over(network);
    }));
  }
  Session& session = attached(false);
  MacKey secret{};
  Liveness liveness{context, lifecycle, bindings, channel};
  Candidates candidates{context};
  QualityMonitor quality{context, lifecycle, channel, candidates};
  Prober prober{context, lifecycle, bindings, channel, candidates};
  Jumper jumper{context,    lifecycle, reporter, bindings, channel,
                candidates, quality,   prober,   liveness};
  ReattachResponder responder{context, lifecycle, reporter, bindings, channel, liveness, secret};
  PathWatch watch{context, liveness, candidates, prober, jumper, responder};
};

TEST_F(ResponderWatch, TellsTheInitiatorByEveryPathAndLeavesNone) {
  for (const Millis until = now + Millis{200}; now < until; now = now + Millis{1}) {
    ++environment.traffic.tx_packets;
    watch.serve(now, session);
  }
  EXPECT_GE(count_to(2), 1U);
  EXPECT_LE(count_to(2), 4U);
  EXPECT_GE(count_to(1), 4U) << "probes, and what is told may get through there";
  EXPECT_EQ(session.state(), State::kAttached);
  EXPECT_TRUE(session.has_transport());
}

/// What one end sees of a network that loses and delays, drawn from a seed.
class Trial : public PathWatchPart {
 public:
  explicit Trial(uint64_t seed) : random_(seed) {
    rtt_ = Millis{1 + random_.below(100)};
    jitter_ = random_.below(21);
    loss_ = static_cast<double>(random_.below(51)) / 1'000;
    // As a transfer has it, or hardly ever: then probes' answers are all that comes.
    every_ = random_.below(2) == 0 ? 1 + random_.below(20) : 200 + random_.below(2'000);
    session.quality.path = {};
    session.quality.path.rtt.add(static_cast<uint32_t>(rtt_.value * 1'000));
  }
  void TestBody() override {}

  /// Until the session has another state; at most `span`.
  void live(Millis span, bool path_carries) {
    carries_ = path_carries;
    for (const Millis until = now + span; now < until && session.state() == State::kAttached;) {
      now = now + Millis{1};
      ++environment.traffic.tx_packets;
      if (now.value % every_ == 0) send_data();
      arrive();
      if (!watch.serve(now, session)) return;
      if (!quality.serve(now, session)) return;
      send_probes();
    }
  }
  std::string words() const {
    return "rtt " + std::to_string(rtt_.value) + " ms, jitter " + std::to_string(jitter_) +
           " ms, loss " + std::to_string(loss_) + ", data every " + std::to_string(every_) + " ms";
  }
  Millis patience() const { return watch.patience(session); }
  uint32_t needed() const { return watch.probes_needed(now, session); }

  State state() const { return session.state(); }
  Millis at() const { return now; }

 private:
  struct Coming {
    uint8_t by;
    Millis sent;
    bool data;
  };
  bool lost() { return random_.chance(loss_); }
  Millis way(Millis least) { return least + Millis{random_.below(jitter_ + 1)}; }

  void send_data() {
    ++expected_;
    if (carries_ && !lost())
      coming_.emplace(now + way(Millis{rtt_.value / 2}), Coming{1, now, true});
  }
  void send_probes() {
    for (const Effect& effect : effects.list()) {
      const Send* const send = std::get_if<Send>(&effect);
      if (send == nullptr) continue;
      const auto by = static_cast<uint8_t>(send->path.interface);
      if ((by == 1 && !carries_) || lost() || lost()) continue;
      coming_.emplace(now + way(way(rtt_)), Coming{by, now, false});
    }
    effects.clear();
  }
  void arrive() {
    while (!coming_.empty() && coming_.begin()->first <= now) {
      const Coming each = coming_.begin()->second;
      coming_.erase(coming_.begin());
      const auto rtt_us = static_cast<uint32_t>((now - each.sent).value * 1'000);
      if (each.by != 1) {
        Candidates::note_answer(now, *candidates.at(session, test::path_over(each.by)), rtt_us);
        continue;
      }
      received_ += each.data ? 1 : 0;
      environment.traffic.rx_packets += each.data ? 1 : 0;
      environment.progress[session.current->local.value] = {expected_, received_, now};
      lifecycle.note(now, session, {.trigger = Trigger::kHeard, .time = now});
      if (!each.data) session.quality.path.rtt.add(rtt_us);
    }
  }

  test::Random random_;
  Millis rtt_;
  uint64_t jitter_;
  double loss_;
  uint64_t every_;
  bool carries_ = true;
  uint64_t expected_ = 0;
  uint64_t received_ = 0;
  std::multimap<Millis, Coming> coming_;
};

// Of random paths that lose up to 5 % each way and delay by up to 20 ms more or less: none is
// called dead while it carries, and each within a bound of round trips when it doesn't.
TEST(PathWatch, FindsEveryDeathAndNoOther) {
  for (int i = 0; i < test::rounds(200); ++i) {
    const uint64_t seed = test::run_seed() + static_cast<uint64_t>(i);
    Trial trial(seed);
    trial.live(Millis{20'000}, true);
    ASSERT_EQ(trial.state(), State::kAttached) << "JVPN_SEED=" << seed << ": " << trial.words();
    const Millis died = trial.at();
    // Silence, the probes, the latest answer; another path's, which may be lost more than once.
    const Millis bound{trial.patience().value * (4 + trial.needed()) + 250};
    trial.live(Millis{2'000}, false);
    ASSERT_EQ(trial.state(), State::kRecovering) << "JVPN_SEED=" << seed << ": " << trial.words();
    EXPECT_LE(trial.at() - died, bound) << "JVPN_SEED=" << seed << ": " << trial.words();
  }
}

}  // namespace
}  // namespace jvpn
