// `jvpn events` against a socket that this test serves.
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "control/admin/admin_socket.h"
#include "control/admin/event_admin.h"
#include "control/events/event_json.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"
#include "tools/jvpn/events.h"

namespace jvpn::test {
namespace {

std::string line_of(Event event) {
  event.session.bytes = {0x01, 0x23, 0x45, 0x67, 0x89};
  const auto record = read_event(to_json_line(event, 7, 1'700'000'000'123, "n1"));
  return record ? render_event(*record, false) : "no event";
}

class RenderEvent : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(RenderEvent, TransitionsAreArrows) {
  Event event;
  event.kind = EventKind::kStateChange;
  event.from = State::kRecovering;
  event.to = State::kDegraded;
  event.reason = Reason::kEnterDegradedMode;
  event.detail = Detail::kSwitchRate;
  EXPECT_EQ(line_of(event),
            "22:13:20.123  STATE_CHANGE      01234567  RECOVERING → DEGRADED                   "
            "ENTER_DEGRADED_MODE               switch_rate");
  const auto record = read_event(to_json_line(event, 7, 0, "n1"));
  EXPECT_NE(render_event(*record, true).find("RECOVERING → \033[33mDEGRADED\033[0m  "),
            std::string::npos);
}

TEST_F(RenderEvent, OthersNameTheirPath) {
  EXPECT_EQ(line_of(some_event()),
            "22:13:20.123  KEY_EVENT         01234567  192.0.2.2:40000>192.0.2.1:51900         "
            "HANDSHAKE_OK                      rekeyed");
}

TEST_F(RenderEvent, EveryKindIsKnown) {
  for (auto kind = static_cast<uint8_t>(EventKind{});
       kind <= static_cast<uint8_t>(session::kLastEventKind); ++kind) {
    Event event = some_event();
    event.kind = static_cast<EventKind>(kind);
    EXPECT_NE(line_of(event), "no event") << to_string(event.kind);
    EXPECT_STRNE(to_string(event.kind), "UNKNOWN");
  }
  EXPECT_STREQ(to_string(static_cast<EventKind>(static_cast<uint8_t>(session::kLastEventKind) + 1)),
               "UNKNOWN");
}

TEST_F(RenderEvent, NothingCommandsTheTerminal) {
  const auto record = read_event(
      R"({"ts_ms":1,"seq":1,"event":"KEY_EVENT","session_id":"a\u001b[2J","node_id":"n","reason":"\u001b"})");
  ASSERT_TRUE(record);
  EXPECT_EQ(render_event(*record, false).find('\033'), std::string::npos);
}

class EventsCommandTest : public EventFolder {
 protected:
  EventsCommandTest() : log_(options_with({})), source_(log_) {
    admin_ = AdminSocket::open(
                 path("admin"),
                 [](const nlohmann::json&) {
                   return nlohmann::json{{"error", "unknown"}};
                 },
                 &source_)
                 .value();
    log_.start();
  }

  void add(unsigned session) {
    Event event = some_event();
    event.session.bytes[0] = static_cast<uint8_t>(session);
    const uint64_t before = log_.status().written;
    log_.add(event);
    ASSERT_TRUE(comes_true([&] { return log_.status().written == before + 1; }));
  }

  /// Runs the command in a process of its own and serves it; what it has printed is in `out`.
  void start(const EventsCommand& command) {
    std::fflush(nullptr);
    child_ = fork();
    if (child_ != 0) return;
    const int out = open(path("out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    _exit(run_events(path("admin"), command));
  }
  bool prints(size_t lines) {
    return comes_true([&] {
      admin_->poll(Millis{1});
      return lines_of("out").size() >= lines;
    });
  }
  int status() {
    int status = 0;
    comes_true([&] {
      admin_->poll(Millis{1});
      return waitpid(child_, &status, WNOHANG) == child_;
    });
    return status;
  }

  EventLog log_;
  EventSource source_;
  std::unique_ptr<AdminSocket> admin_;
  pid_t child_ = -1;
};

TEST_F(EventsCommandTest, PrintsTheLatestOfASession) {
  for (const unsigned session : {1U, 2U, 1U, 2U, 1U, 2U, 2U, 2U}) add(session);
  EventsCommand command;
  command.as_json = true;
  command.lines = 2;
  command.session = "01";
  start(command);
  EXPECT_EQ(status(), 0);
  const auto lines = lines_of("out");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["seq"], 3);
  EXPECT_EQ(lines[1]["seq"], 5);
}

TEST_F(EventsCommandTest, FollowsUntilCtrlC) {
  for (const unsigned session : {1U, 1U, 1U}) add(session);
  EventsCommand command;
  command.as_json = true;
  command.lines = 1;
  command.follow = true;
  start(command);
  ASSERT_TRUE(prints(1));
  add(2);
  ASSERT_TRUE(prints(2));
  add(3);
  ASSERT_TRUE(prints(3));
  kill(child_, SIGINT);
  EXPECT_EQ(status(), 0);
  uint64_t sequence = 3;
  for (const auto& line : lines_of("out")) EXPECT_EQ(line["seq"], sequence++);
  EXPECT_EQ(sequence, 6U);
}

TEST_F(EventsCommandTest, SaysSoWhenTheProgramEnds) {
  EventsCommand command;
  command.as_json = true;
  command.follow = true;
  add(1);
  start(command);
  ASSERT_TRUE(prints(1));
  ASSERT_TRUE(comes_true([&] {
    admin_->poll(Millis{1});
    return admin_->clients() == 1;
  }));
  admin_.reset();
  int status = 0;
  waitpid(child_, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
}  // namespace jvpn::test
