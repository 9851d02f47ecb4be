#include "control/jump/reattach_responder.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class ReattachResponderPart : public test::SessionRig {
 protected:
  ReattachResponderPart() {
    mac.expand(std::array<uint8_t, 16>{1}, secret);
    bindings.top_up_spares(session, *session.current);
    at.index = session.current->spares.numbered(1)->local;
    store.acquire(now, session);
    answer();
  }
  wire::ReattachRequest request(uint64_t nonce) const {
    auto message = control_message<wire::ReattachRequest>(wire::ControlType::kReattachRequest);
    message.session_id = session.id.bytes;
    message.nonce = nonce;
    message.clock_ms = now.value;
    message.binding_version = session.binding_version().value;
    message.receiver = 0x4242;
    message.lanes = 1;
    message.retire_active = 1;
    return message;
  }
  wire::ReattachResponse response(uint64_t nonce) {
    auto message = control_message<wire::ReattachResponse>(wire::ControlType::kReattachResponse);
    message.nonce = nonce;
    const Mac token = token_of(
        mac, secret, {session.id, from.remote, nonce, session.binding_version(), at.index});
    std::ranges::copy(token, message.token);
    return message;
  }
  Session& session = attached(false);
  MacKey secret{};
  Liveness liveness{context, lifecycle, bindings, channel};
  /// As the engine does: replies are handled when the input that asked is.
  void answer() {
    while (const auto reply = store.take()) {
      if (reply->kind == OwnershipCall::Kind::kCommit)
        responder.end_commit(now, *reply);
      else
        EXPECT_TRUE(store.reconcile(session, *reply));
    }
  }
  ReattachResponder responder{context, lifecycle, reporter, bindings, channel, liveness, secret};
  Path from = test::path_over(2);
  Arrival at{from, *session.current, ReceiverIndex{}, 100};
};

TEST_F(ReattachResponderPart, ARequestIsChallengedThenCommitted) {
  responder.on_request(now, session, at, request(1), {});
  EXPECT_EQ(latest_type(session), wire::ControlType::kReattachChallenge);
  EXPECT_EQ(session.path, test::path_over(1)) << "until the commit the old binding carries all";
  responder.on_response(now, session, at, response(1));
  EXPECT_TRUE(session.commit_pending());
  EXPECT_EQ(session.path, test::path_over(1)) << "until the store has answered";
  answer();
  EXPECT_EQ(session.path, from);
  EXPECT_EQ(session.record().version, StateVersion{3}) << "both rows in one step";
  EXPECT_EQ(counters.reattach_commits, 1U);
  EXPECT_EQ(latest_type(session), wire::ControlType::kReattachAck);
}

TEST_F(ReattachResponderPart, AnAnswerFromElsewhereIsRefused) {
  responder.on_request(now, session, at, request(1), {});
  const Path elsewhere = test::path_over(3);
  responder.on_response(now, session, {elsewhere, *session.current, at.index, 100}, response(1));
  EXPECT_EQ(session.path, test::path_over(1));
  EXPECT_EQ(latest<Event>().reason, Reason::kAuthFail);
}

TEST_F(ReattachResponderPart, TheBoundSourceHasARoundTripToAnswer) {
  const auto patience = [&](std::vector<uint32_t> round_trips_us) {
    Path other = session.path;
    other.remote.port = static_cast<uint16_t>(other.remote.port + 1);
    session.responder->doubt.reset();
    session.responder->next_doubt = Millis{};
    session.quality.path.rtt = {};
    for (const uint32_t each : round_trips_us) session.quality.path.rtt.add(each);
    responder.on_other_source(now, session, other);
    return responder.due(session) - now;
  };
  EXPECT_EQ(patience({}), Millis{100});
  EXPECT_EQ(patience({200}), Millis{20});
  EXPECT_EQ(patience({40'000}), Millis{121}) << "of one, half of it is its jitter";
  EXPECT_EQ(patience({40'000, 40'000}), Millis{46}) << "a steady path has its spread, too";
  EXPECT_EQ(patience({40'000, 56'000}), Millis{59}) << "42 and four times 4";
}

TEST_F(ReattachResponderPart, TheFirstCheckThatFailsDecides) {
  struct Case {
    const char* name;
    void (*spoil)(wire::ReattachRequest&);
    Reason reason;
  };
  const std::vector<Case> cases = {
      {"another session", [](auto& m) { m.session_id[0] ^= 1; }, Reason::kSessionNotFound},
      {"stale clock", [](auto& m) { m.clock_ms -= 60'000; }, Reason::kFreshnessInvalid},
      {"version of the future", [](auto& m) { m.binding_version += 1; }, Reason::kFreshnessInvalid},
      {"old version", [](auto& m) { m.binding_version -= 1; }, Reason::kFreshnessInvalid},
      {"second binding", [](auto& m) { m.retire_active = 0; }, Reason::kPolicyDeny},
      {"lanes", [](auto& m) { m.lanes = 9; }, Reason::kPolicyDeny},
  };
  uint64_t nonce = 0;
  for (const Case& each : cases) {
    wire::ReattachRequest message = request(++nonce);
    each.spoil(message);
    responder.on_request(now, session, at, message, {});
    EXPECT_EQ(latest<Event>().reason, each.reason) << each.name;
    EXPECT_EQ(session.record().version, StateVersion{1}) << each.name;
  }
  responder.on_request(now, session, at, request(1), {});
  EXPECT_EQ(latest<Event>().reason, Reason::kReplayDetected);
}

TEST_F(ReattachResponderPart, AConflictForgetsASessionThatIsAnothersNow) {
  responder.on_request(now, session, at, request(1), {});
  MemoryOwnership other(sessions);
  sessions.end_epoch(ownership.epoch(), now);  // as the other one believes
  OwnershipCall call{.kind = OwnershipCall::Kind::kCommit, .peer = {}, .session = session.id};
  call.attempted = call.next = BindingVersion{7};
  call.from_epoch = ownership.epoch();
  other.ask(now, call);
  responder.on_response(now, session, at, response(1));
  answer();
  EXPECT_EQ(table.peer(kPeer).session, nullptr);
  EXPECT_EQ(latest<Event>().kind, EventKind::kOwnershipChange);
  EXPECT_EQ(latest<Event>().from_epoch, ownership.epoch());
  EXPECT_EQ(latest<Event>().to_epoch, other.epoch());
}

}  // namespace
}  // namespace jvpn
