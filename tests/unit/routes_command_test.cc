// `jvpn routes` against a socket that this test serves, and the kernel's table that it fills.
#include <csignal>
#include <deque>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "control/admin/admin_socket.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"
#include "tests/unit/private_network.h"
#include "tools/jvpn/kernel_routes.h"
#include "tools/jvpn/route_book.h"
#include "tools/jvpn/routes.h"

namespace jvpn::test {
namespace {

using Told = std::vector<std::string>;

struct NotedChanges final : RouteSink {
  Result<void> add(const Prefix& prefix, const std::string& peer) override {
    return note("+" + to_string(prefix) + " " + peer);
  }
  Result<void> withdraw(const Prefix& prefix, const std::string& peer) override {
    return note("-" + to_string(prefix) + " " + peer);
  }
  Result<void> synced(size_t count) override { return note("synced " + std::to_string(count)); }
  Result<void> lost(const std::string& why) override { return note("lost " + why); }
  Result<void> note(std::string what) {
    told.push_back(std::move(what));
    return {};
  }
  Told take() { return std::exchange(told, {}); }
  Told told;
};

std::string peer_line(int id, const std::string& routes, const std::string& more = "") {
  return R"({"peer":)" + std::to_string(id) + R"(,"name":"n)" + std::to_string(id) +
         R"(","routes":[)" + routes + "]" + more + "}";
}

class RouteBookTest : public testing::Test {
 protected:
  Told take(const std::string& line) {
    const auto taken = book_.take(line);
    EXPECT_TRUE(taken) << taken.error().message;
    return sink_.take();
  }
  NotedChanges sink_;
  RouteBook book_{sink_};
};

TEST_F(RouteBookTest, WhatDiffersIsTold) {
  EXPECT_EQ(take(peer_line(1, R"("10.0.0.1/32","fd00::1/128")")),
            (Told{"+10.0.0.1/32 n1", "+fd00::1/128 n1"}));
  EXPECT_EQ(take(R"({"synced":true})"), Told{"synced 2"});
  EXPECT_EQ(take(peer_line(1, R"("fd00::1/128","10.0.0.1/32")")), Told{});
  EXPECT_EQ(take(peer_line(1, R"("10.0.0.1/32","10.9.0.0/16")")),
            (Told{"-fd00::1/128 n1", "+10.9.0.0/16 n1"}));
  EXPECT_EQ(take(R"({"alive":true})"), Told{});
  EXPECT_EQ(take(peer_line(1, "")), (Told{"-10.0.0.1/32 n1", "-10.9.0.0/16 n1"}));
  EXPECT_EQ(take(peer_line(1, "")), Told{});
}

TEST_F(RouteBookTest, APrefixThatMovesToAnotherPeerStays) {
  take(peer_line(1, R"("10.0.0.1/32")"));
  EXPECT_EQ(take(peer_line(2, R"("10.0.0.1/32")")), Told{});
  EXPECT_EQ(take(peer_line(1, "")), Told{}) << "it is the other's now";
  EXPECT_EQ(take(peer_line(2, "")), Told{"-10.0.0.1/32 n2"});
}

TEST_F(RouteBookTest, PartsAreOneChange) {
  take(peer_line(1, R"("10.0.0.1/32")"));
  EXPECT_EQ(take(peer_line(1, R"("10.0.0.2/32","10.0.0.3/32")", R"(,"more":true)")), Told{});
  EXPECT_EQ(take(peer_line(1, R"("10.0.0.1/32")", R"(,"from":2)")),
            (Told{"+10.0.0.2/32 n1", "+10.0.0.3/32 n1"}));
  take(peer_line(1, R"("10.0.0.9/32")", R"(,"more":true)"));
  EXPECT_EQ(take(peer_line(2, "")), Told{}) << "the first changed before its other part came";
  EXPECT_EQ(take(R"({"synced":true})"), Told{"synced 3"});
}

TEST_F(RouteBookTest, NothingStaysOfALostGateway) {
  take(peer_line(1, R"("10.0.0.1/32")"));
  const Told silent = take(R"({"silent":true})");
  ASSERT_EQ(silent.size(), 2U);
  EXPECT_EQ(silent[0], "-10.0.0.1/32 n1");
  EXPECT_EQ(silent[1].substr(0, 28), "lost the gateway is silent: ");
  take(peer_line(1, R"("10.0.0.1/32")"));
  ASSERT_TRUE(book_.lose("closed"));
  ASSERT_TRUE(book_.lose("closed"));
  EXPECT_EQ(sink_.take(), (Told{"-10.0.0.1/32 n1", "lost closed"})) << "it says so once";
  take(R"({"alive":true})");
  ASSERT_TRUE(book_.lose("closed"));
  EXPECT_EQ(sink_.take(), Told{"lost closed"});
}

TEST_F(RouteBookTest, WhatIsNoSuchLineIsRefused) {
  for (const char* line :
       {"", "7", "{}", R"({"peer":1})", R"({"peer":-1,"routes":[]})", R"({"peer":1,"routes":[7]})",
        R"({"peer":1,"routes":["x"]})", R"({"peer":4294967296,"routes":[]})",
        R"({"peer":1,"routes":[],"from":3})", R"({"error":"no"})"})
    EXPECT_FALSE(book_.take(line)) << line;
  EXPECT_EQ(sink_.take(), Told{});
}

/// Lines that the test gives to whoever follows.
struct Script {
  std::deque<std::string> lines;
  bool ends = false;
};

class ScriptStream final : public LineStream {
 public:
  explicit ScriptStream(Script& script) : script_(script) {}
  More read(std::string& out, size_t) override {
    for (const std::string& line : std::exchange(script_.lines, {})) out += line + '\n';
    return script_.ends ? More::kNoMore : More::kNow;
  }

 private:
  Script& script_;
};

class RoutesCommandTest : public EventFolder {
 protected:
  RoutesCommandTest() { listen(); }
  ~RoutesCommandTest() override {
    if (child_ > 0) kill(child_, SIGKILL);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }

  void listen() {
    admin_ = AdminSocket::open(path("admin"), [this](const nlohmann::json&) {
               return std::make_unique<ScriptStream>(script_);
             }).value();
  }
  void start(const RoutesCommand& command) {
    std::fflush(nullptr);
    child_ = fork();
    if (child_ != 0) return;
    const int out = open(path("out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    _exit(run_routes(path("admin"), command));
  }
  bool prints(const std::string& text) {
    return comes_true([&] {
      if (admin_) admin_->poll(Millis{1});
      return text_of_file(path("out")) == text;
    });
  }
  int status() {
    int status = 0;
    EXPECT_TRUE(comes_true([&] {
      if (admin_) admin_->poll(Millis{1});
      return waitpid(child_, &status, WNOHANG) == child_;
    }));
    child_ = -1;
    return WEXITSTATUS(status);
  }
  bool followed() {
    return comes_true([&] {
      admin_->poll(Millis{1});
      return admin_->clients() == 1;
    });
  }

  Script script_{{peer_line(1, R"("10.0.0.1/32","fd00::1/128")"), R"({"synced":true})"}};
  std::unique_ptr<AdminSocket> admin_;
  pid_t child_ = -1;
  const std::string begun_ = "add 10.0.0.1/32 n1\nadd fd00::1/128 n1\nsynced 2\n";
  const std::string gone_ = "withdraw 10.0.0.1/32 n1\nwithdraw fd00::1/128 n1\nlost ";
};

TEST_F(RoutesCommandTest, ListsWhatIsThere) {
  script_.ends = true;
  const auto lines = script_.lines;
  start({});
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(text_of_file(path("out")), "PREFIX       PEER\n10.0.0.1/32  n1\nfd00::1/128  n1\n");
  script_.lines = lines;
  start({.as_json = true});
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(
      text_of_file(path("out")),
      R"({"routes":[{"peer":"n1","prefix":"10.0.0.1/32"},{"peer":"n1","prefix":"fd00::1/128"}]})"
      "\n");
}

TEST_F(RoutesCommandTest, AListThatBreaksOffIsNone) {
  script_.lines.pop_back();
  script_.ends = true;
  start({});
  EXPECT_EQ(status(), 1);
}

TEST_F(RoutesCommandTest, FollowsUntilCtrlCAndLeavesNothing) {
  start({.follow = true});
  ASSERT_TRUE(prints(begun_)) << text_of_file(path("out"));
  script_.lines = {peer_line(2, R"("10.0.0.2/32")")};
  ASSERT_TRUE(prints(begun_ + "add 10.0.0.2/32 n2\n"));
  script_.lines = {peer_line(2, "")};
  const std::string before = begun_ + "add 10.0.0.2/32 n2\nwithdraw 10.0.0.2/32 n2\n";
  ASSERT_TRUE(prints(before));
  kill(child_, SIGTERM);
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(text_of_file(path("out")), before + gone_ + "told to end\n");
}

TEST_F(RoutesCommandTest, LinesOfJson) {
  start({.follow = true, .as_json = true});
  script_.lines.pop_front();
  ASSERT_TRUE(prints("{\"count\":0,\"do\":\"synced\"}\n"));
  script_.lines = {peer_line(2, R"("10.0.0.2/32")")};
  ASSERT_TRUE(
      prints("{\"count\":0,\"do\":\"synced\"}\n"
             "{\"do\":\"add\",\"peer\":\"n2\",\"prefix\":\"10.0.0.2/32\"}\n"));
}

TEST_F(RoutesCommandTest, EndsWithTheGateway) {
  start({.follow = true});
  ASSERT_TRUE(prints(begun_));
  admin_.reset();
  EXPECT_EQ(status(), 1);
  const std::string why = path("admin") + " was closed by the other side\n";
  EXPECT_EQ(text_of_file(path("out")), begun_ + gone_ + why + "jvpn: " + why);
}

/// One that hangs can't withdraw anything, and others may have its sessions soon.
TEST_F(RoutesCommandTest, AGatewayThatSaysNothingIsGone) {
  start({.follow = true});
  ASSERT_TRUE(prints(begun_));
  int status = 0;
  waitpid(child_, &status, 0);  // nobody polls
  child_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_NE(text_of_file(path("out")).find(gone_ + path("admin") + " said nothing for 2000 ms"),
            std::string::npos);
}

TEST_F(RoutesCommandTest, WaitsForTheNextGateway) {
  admin_.reset();
  start({.follow = true, .retry = true});
  ASSERT_TRUE(
      comes_true([&] { return text_of_file(path("out")).starts_with("lost can't connect"); }));
  const std::string before = text_of_file(path("out"));
  listen();
  ASSERT_TRUE(prints(before + begun_));
  admin_.reset();
  ASSERT_TRUE(
      comes_true([&] { return text_of_file(path("out")).starts_with(before + begun_ + gone_); }));
  kill(child_, SIGTERM);
  EXPECT_EQ(status(), 0);
}

TEST_F(RoutesCommandTest, ATableIsFilledOrEmptied) {
  start({.kernel_table = 151});
  EXPECT_EQ(status(), 2);
}

constexpr uint32_t kTable = 151;

std::string table() {
  return output_of("ip route show table 151; ip -6 route show table 151");
}

class KernelRoutesTest : public PrivateNetwork {};

TEST_F(KernelRoutesTest, ATableOfUnreachableRoutes) {
  run([] {
    const auto routes = KernelRoutes::open(kTable);
    ASSERT_TRUE(routes) << routes.error().message;
    EXPECT_FALSE(KernelRoutes::open(kTable)) << "another one fills it";
    EXPECT_TRUE((*routes)->add(Prefix::parse("10.0.0.1/32").value(), "n"));
    EXPECT_TRUE((*routes)->add(Prefix::parse("fd00::/64").value(), "n"));
    EXPECT_TRUE((*routes)->synced(2));
    EXPECT_NE(table().find("unreachable 10.0.0.1 proto 74"), std::string::npos) << table();
    EXPECT_NE(table().find("unreachable fd00::/64"), std::string::npos) << table();
    EXPECT_TRUE((*routes)->withdraw(Prefix::parse("10.0.0.1/32").value(), "n"));
    EXPECT_EQ(table().find("10.0.0.1"), std::string::npos);
    EXPECT_TRUE((*routes)->lost("gone"));
    EXPECT_EQ(table().find("unreachable"), std::string::npos) << table();
  });
}

TEST_F(KernelRoutesTest, WhatACrashedOneHasLeftGoesWhenAllIsTold) {
  run([] {
    output_of(
        "ip route add unreachable 10.0.0.1 table 151 proto 74; "
        "ip route add unreachable 10.0.0.2 table 151 proto 74; "
        "ip -6 route add unreachable fd00::2 table 151 proto 74; "
        "ip route add unreachable 10.0.0.3 table 151 proto static; "
        "ip route add unreachable 10.0.0.2 table 152 proto 74");
    const auto routes = KernelRoutes::open(kTable);
    ASSERT_TRUE(routes) << routes.error().message;
    EXPECT_TRUE((*routes)->add(Prefix::parse("10.0.0.1/32").value(), "n"));
    EXPECT_NE(table().find("10.0.0.2"), std::string::npos) << "it may be carried still";
    EXPECT_TRUE((*routes)->synced(1));
    const std::string synced = table();
    EXPECT_NE(synced.find("10.0.0.1"), std::string::npos);
    EXPECT_EQ(synced.find("10.0.0.2"), std::string::npos);
    EXPECT_EQ(synced.find("fd00::2"), std::string::npos);
    EXPECT_TRUE((*routes)->release());
    EXPECT_EQ(table().find("10.0.0.1"), std::string::npos);
    EXPECT_NE(table().find("10.0.0.3"), std::string::npos) << "another program's stays";
    EXPECT_NE(output_of("ip route show table 152").find("10.0.0.2"), std::string::npos);
  });
}

/// A line of a gateway's mustn't take what somebody else has put there.
TEST_F(KernelRoutesTest, AnothersRouteIsNotReplaced) {
  run([] {
    output_of(
        "ip route add blackhole 10.0.0.1 table 151 proto static; "
        "ip -6 route add blackhole fd00::1 table 151 proto static");
    const std::string before = table();
    const auto routes = KernelRoutes::open(kTable);
    ASSERT_TRUE(routes) << routes.error().message;
    for (const char* each : {"10.0.0.1/32", "fd00::1/128"}) {
      EXPECT_TRUE((*routes)->add(Prefix::parse(each).value(), "n"));
      EXPECT_EQ(table(), before) << each;
      EXPECT_TRUE((*routes)->withdraw(Prefix::parse(each).value(), "n"));
      EXPECT_EQ(table(), before) << each;
    }
  });
}

}  // namespace
}  // namespace jvpn::test
