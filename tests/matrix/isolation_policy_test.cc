// Isolation section 4: a policy that can't be used stops nobody who is here, and lets nobody in.
// The policies come from files, by the operator's reload.
#include <fstream>

#include <unistd.h>

#include "tests/matrix/rig.h"
#include "tests/support/rooms.h"
#include "tests/unit/profile_texts.h"

namespace jvpn::test {
namespace {

constexpr const char* kReloadOrder = R"({"command":"reload"})";
constexpr uint32_t kVersion = 7;  // of the good profile

/// A gateway with a profile on disk, two clients, the first of them attached.
struct Isolation4 : testing::Test {
  Isolation4() : rig(options()) {
    write(kGoodGateway);
    rig.gateway().reload_from = path;
    rig.connect(0);
  }
  ~Isolation4() override { unlink(path.c_str()); }

  static RigOptions options() {
    RigOptions made;
    made.clients = 2;
    return made;
  }
  void write(std::string_view text) const { std::ofstream(path) << text; }
  /// A policy that has a word where a number should be.
  void spoil() const {
    std::string text(kGoodGateway);
    const std::string_view number = "3600000";
    text.replace(text.find(number), number.size(), "soon");
    write(text);
  }
  std::string refuse_reload() {
    spoil();
    return rig.gateway().ask(kReloadOrder);
  }
  std::string load_valid() {
    write(kGoodGateway);
    return rig.gateway().ask(kReloadOrder);
  }

  const std::string path = testing::TempDir() + "jvpn_policy_" + std::to_string(getpid());
  Rig rig;
};

TEST_F(Isolation4, new_sessions_denied) {
  refuse_reload();
  rig.client(1).dial(rig.client_now(), rig.path(0, 1));
  rig.run_for(Millis{20'000});
  EXPECT_EQ(rig.at_gateway(1).state, State::kTerminated) << "there is none";
  EXPECT_EQ(rig.client(1).events().changes().size(), 0U);
  EXPECT_GT(rig.gateway().engine().counters().handshakes_refused, 0U);
  EXPECT_TRUE(rig.serves(0));
  load_valid();
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(1); }, Millis{5'000}));
  EXPECT_TRUE(rig.serves(1));
}

TEST_F(Isolation4, sessions_keep_previous_policy) {
  const Policy before = rig.gateway().engine().policy();
  refuse_reload();
  EXPECT_EQ(rig.gateway().engine().policy().version, before.version);
  // Its bounds still hold: the recovery begins and ends when they say.
  rig.cut_all(0);
  ASSERT_TRUE(rig.run_until([&] { return rig.in_state(State::kRecovering); },
                            before.volatility.transport_dead + Millis{50}));
  rig.mend_all(0);
  ASSERT_TRUE(rig.run_until([&] { return rig.attached(0); }, Millis{2'000}));
  rig.run_for(Millis{2'000});
  ASSERT_TRUE(rig.jump(2)) << "jumps go on, too";
  EXPECT_TRUE(rig.serves(0));
}

TEST_F(Isolation4, failure_logged) {
  const EventBook& events = rig.gateway().events();
  EXPECT_NE(refuse_reload().find("max_lifetime_ms: expected"), std::string::npos);
  EXPECT_EQ(events.count(EventKind::kConfigEvent, Reason::kConfigRefused), 1U);
  EXPECT_NE(rig.gateway().ask(R"({"command":"show"})").find("\"denies_new_sessions\":true"),
            std::string::npos);
  unlink(path.c_str());
  EXPECT_NE(rig.gateway().ask(kReloadOrder).find("error"), std::string::npos);
  EXPECT_EQ(events.count(EventKind::kConfigEvent, Reason::kConfigRefused), 2U);
  EXPECT_NE(load_valid().find("reloaded"), std::string::npos);
  EXPECT_EQ(events.count(EventKind::kConfigEvent, Reason::kConfigLoaded), 1U);
  EXPECT_EQ(rig.gateway().engine().policy().version, kVersion);
  EXPECT_TRUE(rig.serves(0));
}

TEST_F(Isolation4, no_automatic_termination) {
  refuse_reload();
  const Snapshot before = rig.at_gateway(0);
  rig.run_with_data(Millis{300'000}, Millis{500}, Millis{10});  // beyond the life of its keys
  EXPECT_EQ(rig.at_gateway(0), before);
  EXPECT_EQ(rig.gateway().events().changes().size(), 1U);
  EXPECT_TRUE(rig.serves(0));
}

}  // namespace
}  // namespace jvpn::test
