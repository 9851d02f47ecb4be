#include "control/jump/path_validator.h"

#include "tests/support/session_rig.h"

namespace jvpn {
namespace {

class PathValidatorPart : public test::SessionRig {
 protected:
  PathValidatorPart() {
    mac.expand(std::array<uint8_t, 16>{1}, secret);
    bindings.top_up_spares(session, *session.current);
    at.index = session.current->spares.numbered(1)->local;
  }
  Session& session = attached(false);
  MacKey secret{};
  PathValidator validator{context, lifecycle, reporter, channel, secret};
  Path from = test::path_over(2);
  Arrival at{from, *session.current, ReceiverIndex{}, 1'400};
};

TEST_F(PathValidatorPart, AnAddressThatAnswersIsWarmForAWhile) {
  wire::PathProbe probe{};
  probe.nonce = 4;
  probe.receiver = 0x77;
  validator.on_path_probe(now, session, at, probe);
  ASSERT_EQ(latest_type(session), wire::ControlType::kPathChallenge);
  EXPECT_EQ(latest<Send>().path, from) << "to the observed source";
  EXPECT_FALSE(PathValidator::is_warm(now, session, at));
  wire::PathResponse response{};
  response.nonce = 4;
  response.receiver = 0x77;
  const Millis period = config.policy.transport.candidate_validation_ttl;
  const Mac token =
      token_of(mac, secret,
               {session.id, from.remote, 4, BindingVersion{0}, at.index, now.value / period.value});
  std::ranges::copy(token, response.token);
  validator.on_path_response(now, session, at, response);
  EXPECT_TRUE(PathValidator::is_warm(now, session, at));
  EXPECT_FALSE(PathValidator::is_warm(now + period, session, at));
}

TEST_F(PathValidatorPart, AWrongTokenProvesNothing) {
  reattach_memory(now, context, session);
  validator.on_path_response(now, session, at, {});
  EXPECT_FALSE(PathValidator::is_warm(now, session, at));
  EXPECT_EQ(reasons(), std::vector{Reason::kAuthFail});
}

}  // namespace
}  // namespace jvpn
