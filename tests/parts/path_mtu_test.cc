#include "control/jump/path_mtu.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class PathMtuPart : public test::SessionRig {
 protected:
  PathMtuPart() { environment.mtu = 1'440; }

  Session& begun(bool initiates = true) {
    Session& session = attached(initiates);
    path_mtu.on_rows(now, session);
    return session;
  }
  /// Answers the latest round of each path as one that takes inner packets of so many bytes.
  void answer(Session& session, const std::map<Path, uint16_t>& takes) {
    for (MtuSearch search : session.initiator->mtu.searches) {
      if (search.round == MtuRound::kNone) continue;
      for (size_t i = 0; i < search.asked.size(); ++i) {
        if (search.asked[i] > takes.at(search.path)) continue;
        wire::MtuAck ack{};
        ack.nonce = search.first_nonce + i;
        path_mtu.on_mtu_ack(
            now, session, {search.path, *session.current, session.current->local, search.asked[i]},
            ack);
      }
    }
  }
  /// Plays for a while; the path is there and packets of up to so many bytes come back.
  void play(Session& session, Millis span, const std::map<Path, uint16_t>& takes) {
    for (const Millis end = now + span; now < end; now = now + Millis{10}) {
      ASSERT_TRUE(path_mtu.due(session) > now || path_mtu.serve(now, session));
      answer(session, takes);
    }
  }
  void data_flows() { environment.traffic.tx_packets += 10; }
  static MtuSearch& search(Session& session, const Path& path) {
    for (MtuSearch& each : session.initiator->mtu.searches)
      if (each.path == path) return each;
    ADD_FAILURE() << "not watched";
    return session.initiator->mtu.searches.front();
  }

  const Path bound = test::path_over(1);
  const Path standby = test::path_over(2);
  Candidates candidates{context};
  PathMtu path_mtu{context, lifecycle, bindings, channel, candidates};
};

TEST_F(PathMtuPart, TheBoundPathIsConfirmedAtOnceAtItsDevicesSize) {
  Session& session = begun();
  EXPECT_LE(path_mtu.due(session), now);
  path_mtu.serve(now, session);
  EXPECT_EQ(count<Send>(), 1U);
  EXPECT_EQ(latest_type(session), wire::ControlType::kMtuProbe);
  EXPECT_EQ(latest<Send>().bytes, 1'440 + wire::kTransportOverhead)
      << "as a data packet that fills";
  answer(session, {{bound, 1'440}});
  EXPECT_EQ(session.path_mtu, 1'440);
  EXPECT_EQ(session.initiator->mtu.told, 1'440);
  EXPECT_EQ(count<TxInstall>(), 0U) << "the host knows its devices";
}

TEST_F(PathMtuPart, WithoutDataNothingIsProbedAgain) {
  Session& session = begun();
  play(session, Millis{1'000}, {{bound, 1'440}});
  effects.clear();
  play(session, Millis{20'000}, {{bound, 1'440}});
  EXPECT_EQ(count<Send>(), 0U);
  data_flows();
  play(session, Millis{1'000}, {{bound, 1'440}});
  EXPECT_EQ(count<Send>(), 1U);
}

TEST_F(PathMtuPart, APathThatEatsLargePacketsIsFoundWithinASecond) {
  for (const uint16_t takes :
       {uint16_t{1'240}, uint16_t{1'220}, uint16_t{1'280}, uint16_t{1'340}}) {
    Session& session = begun();
    play(session, Millis{1'000}, {{bound, 1'440}});
    effects.clear();
    const Millis began = now;
    while (session.path_mtu > takes && now < began + Millis{5'000}) {
      data_flows();
      play(session, Millis{10}, {{bound, takes}});
    }
    EXPECT_LE(now - began, Millis{1'000}) << takes;
    EXPECT_LE(session.path_mtu, takes);
    EXPECT_GE(session.path_mtu, takes - 40) << "the steps are that fine";
    EXPECT_EQ(latest<TxInstall>().inner_mtu, session.path_mtu);
    play(session, Millis{200}, {{bound, takes}});
    EXPECT_EQ(session.initiator->mtu.told, session.path_mtu) << "the responder knows";
  }
}

TEST_F(PathMtuPart, ItIsFoundSoonerWhereWhatCameInStops) {
  Session& session = begun();
  const auto flow = [&](Millis span) {
    for (const Millis end = now + span; now < end;) {
      data_flows();
      environment.traffic.rx_packets += 10;
      play(session, Millis{10}, {{bound, 1'440}});
    }
  };
  for (uint64_t round = 0; round < 20; ++round) {
    flow(Millis{1'000 + 37 * round});
    effects.clear();
    const Millis began = now;
    while (count<Send>() == 0 && now < began + Millis{5'000}) {
      data_flows();
      play(session, Millis{10}, {{bound, 1'440}});
    }
    EXPECT_LE(now - began, Millis{410}) << "two looks, or the pause since a confirmation";
  }
}

TEST_F(PathMtuPart, WhatStopsAgainAndAgainIsNotConfirmedEachTime) {
  Session& session = begun();
  play(session, Millis{1'000}, {{bound, 1'440}});
  effects.clear();
  for (int i = 0; i < 50; ++i) {  // bursts of 100 ms, and as long nothing
    data_flows();
    environment.traffic.rx_packets += 10;
    play(session, Millis{200}, {{bound, 1'440}});
  }
  EXPECT_LE(count<Send>(), 10'000U / 300 + 1);
}

TEST_F(PathMtuPart, OneLostProbeSaysNothing) {
  Session& session = begun();
  play(session, Millis{1'000}, {{bound, 1'440}});
  data_flows();
  while (search(session, bound).round == MtuRound::kNone) {
    path_mtu.serve(now, session);
    now = now + Millis{10};
  }
  now = now + Millis{200};  // nothing came back
  play(session, Millis{1'000}, {{bound, 1'440}});
  EXPECT_EQ(session.path_mtu, 1'440);
}

/// Evenly spread and without a pattern (SplitMix64).
uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111eb;
  return value ^ (value >> 31U);
}

TEST_F(PathMtuPart, LossIsNotTakenForASmallPath) {
  Session& session = begun();
  const auto play_lossy = [&](Millis span, uint64_t percent) {
    Millis whole{0};
    for (const Millis end = now + span; now < end; now = now + Millis{10}) {
      data_flows();
      path_mtu.serve(now, session);
      // Each probe is lost or not, however often it is looked at.
      for (MtuSearch search : session.initiator->mtu.searches) {
        for (size_t i = 0; search.round != MtuRound::kNone && i < search.asked.size(); ++i) {
          wire::MtuAck ack{};
          ack.nonce = search.first_nonce + i;
          if (mixed(ack.nonce) % 100 < percent) continue;
          path_mtu.on_mtu_ack(
              now, session,
              {search.path, *session.current, session.current->local, search.asked[i]}, ack);
        }
      }
      if (session.path_mtu == 1'440) whole = whole + Millis{10};
    }
    return whole;
  };
  EXPECT_GE(play_lossy(Millis{1'800'000}, 30), Millis{1'500'000}) << "of 30 minutes";
  EXPECT_GE(session.path_mtu, 1'340) << "no ratchet";
  play_lossy(Millis{62'000}, 0);
  EXPECT_EQ(session.path_mtu, 1'440);
}

TEST_F(PathMtuPart, ASilentPathIsNotTakenForASmallOneNorFlooded) {
  Session& session = begun();
  play(session, Millis{1'000}, {{bound, 1'440}});
  effects.clear();
  for (int i = 0; i < 100; ++i) {
    data_flows();
    play(session, Millis{100}, {{bound, 0}});
  }
  EXPECT_EQ(session.path_mtu, 1'440);
  EXPECT_LT(count<Send>(), 70U) << "one ladder, then two probes every 0.8 s";
  play(session, Millis{2'000}, {{bound, 1'240}});
  data_flows();
  play(session, Millis{2'000}, {{bound, 1'240}});
  EXPECT_EQ(session.path_mtu, 1'240) << "back, but smaller";
}

TEST_F(PathMtuPart, ARaiseIsFoundWithinAMinute) {
  Session& session = begun();
  play(session, Millis{2'000}, {{bound, 1'240}});
  ASSERT_EQ(session.path_mtu, 1'240);
  play(session, Millis{61'000}, {{bound, 1'440}});
  EXPECT_EQ(session.path_mtu, 1'440);
}

TEST_F(PathMtuPart, ADeviceThatTakesMoreOrLessCountsAtOnce) {
  Session& session = begun();
  play(session, Millis{1'000}, {{bound, 1'440}});
  environment.mtu = 1'300;
  path_mtu.limits_changed(now, session);
  EXPECT_EQ(session.path_mtu, 1'300);
  environment.mtu = 8'940;
  path_mtu.limits_changed(now, session);
  play(session, Millis{500}, {{bound, 8'940}});
  EXPECT_EQ(session.path_mtu, 8'940);
}

TEST_F(PathMtuPart, TheSessionTakesWhatAllItsPathsTake) {
  Session& session = begun();
  learn(session, 2);
  candidates.replace(kPeer, std::vector{bound, standby});
  bindings.assign_spare(session, standby, 1);
  play(session, Millis{1'000}, {{bound, 1'440}, {standby, 1'340}});
  EXPECT_EQ(session.path_mtu, 1'340);
  EXPECT_EQ(probe_bytes(environment, session, standby), 1'340U);
}

TEST_F(PathMtuPart, AStandbyPathBelowTheFloorCountsOnlyOnceItIsBound) {
  Session& session = begun();
  learn(session, 2);
  candidates.replace(kPeer, std::vector{bound, standby});
  const SpareBinding spare = *bindings.assign_spare(session, standby, 1);
  play(session, Millis{1'000}, {{bound, 1'440}, {standby, 1'220}});
  EXPECT_EQ(session.path_mtu, 1'440);
  bindings.rebind(now, session, spare.number, standby);
  path_mtu.on_rebound(now, session, bound);
  play(session, Millis{1'000}, {{bound, 1'440}, {standby, 1'220}});
  EXPECT_EQ(session.path_mtu, 1'220);
}

TEST_F(PathMtuPart, WithoutASpareToAskOnARaiseWaits) {
  Session& session = begun();
  candidates.replace(kPeer, std::vector{bound, standby});
  MtuSearch& small = session.initiator->mtu.searches.emplace_back();
  small.path = standby;
  small.limit = 1'440;
  small.mtu = 1'300;
  small.proven = true;
  small.raise_at = small.due = now;
  path_mtu.serve(now, session);
  EXPECT_GT(search(session, standby).due, now)
      << "or the timer would come at once, again and again";
}

TEST_F(PathMtuPart, TheResponderAnswersWithAsManyBytesAndObeys) {
  Session& session = begun(false);
  wire::MtuProbe probe{};
  probe.nonce = 7;
  probe.receiver = 0x99;
  probe.path_mtu = 1'240;
  const Arrival at{bound, *session.current, session.current->local, 1'440};
  path_mtu.on_mtu_probe(now, session, at, probe);
  EXPECT_EQ(latest_type(session), wire::ControlType::kMtuAck);
  EXPECT_EQ(latest<Send>().bytes, 1'440 + wire::kTransportOverhead);
  EXPECT_EQ(latest<TxInstall>().inner_mtu, 1'240);
  effects.clear();
  path_mtu.on_mtu_probe(now, session, at, probe);
  EXPECT_EQ(count<TxInstall>(), 0U) << "nothing new";
  probe.path_mtu = 1;
  path_mtu.on_mtu_probe(now, session, at, probe);
  EXPECT_EQ(latest<TxInstall>().inner_mtu, 496) << "who wants a thousand fragments gets few";
}

TEST_F(PathMtuPart, TheResponderAnswersAWholeLadderButNotAFlood) {
  Session& session = begun(false);
  wire::MtuProbe probe{};
  probe.receiver = 0x99;
  const Arrival at{bound, *session.current, session.current->local, 1'440};
  for (int i = 0; i < 1'000; ++i) path_mtu.on_mtu_probe(now, session, at, probe);
  EXPECT_GE(count<Send>(), 32U) << "the longest ladder";
  EXPECT_LE(count<Send>(), 128U);
  EXPECT_EQ(counters.over_budget[static_cast<size_t>(Input::kMtuProbe)], 1'000 - count<Send>());
  effects.clear();
  path_mtu.on_mtu_probe(now + Millis{100}, session, at, probe);
  EXPECT_EQ(count<Send>(), 1U);
}

TEST_F(PathMtuPart, ChangesThatComeTooFastAreNeitherTakenNorAnswered) {
  Session& session = begun(false);
  wire::MtuProbe probe{};
  probe.receiver = 0x99;
  const Arrival at{bound, *session.current, session.current->local, 1'440};
  for (int i = 0; i < 100; ++i) {
    probe.path_mtu = i % 2 == 0 ? 1'240 : 1'300;
    path_mtu.on_mtu_probe(now, session, at, probe);
  }
  EXPECT_LE(count<TxInstall>(), 10U);
  const uint16_t in_use = session.path_mtu;
  probe.path_mtu = 1'200;
  effects.clear();
  path_mtu.on_mtu_probe(now, session, at, probe);
  EXPECT_EQ(count<Send>(), 0U) << "the initiator would take it for told";
  EXPECT_EQ(session.path_mtu, in_use);
  path_mtu.on_mtu_probe(now + Millis{100}, session, at, probe);
  EXPECT_EQ(session.path_mtu, 1'200);
}

TEST_F(PathMtuPart, AnAnswerOfAnotherLengthOrToNothingIsStale) {
  Session& session = begun();
  path_mtu.serve(now, session);
  wire::MtuAck ack{};
  ack.nonce = search(session, bound).first_nonce;
  path_mtu.on_mtu_ack(now, session, {bound, *session.current, session.current->local, 100}, ack);
  ack.nonce += 1;
  path_mtu.on_mtu_ack(now, session, {bound, *session.current, session.current->local, 1'440}, ack);
  EXPECT_EQ(counters.control_stale, 2U);
  EXPECT_EQ(session.initiator->mtu.told, 0);
}

}  // namespace
}  // namespace jvpn
