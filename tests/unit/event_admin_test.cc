// Events over the operator's socket: the latest, and those that come, for quick and slow readers.
#include "control/admin/event_admin.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "control/admin/admin_socket.h"
#include "tests/support/rooms.h"
#include "tests/support/unix_client.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

class EventAdminTest : public EventFolder {
 protected:
  EventAdminTest() : log_(options_with({})), source_(log_) {
    auto opened = AdminSocket::open(
        path("admin"),
        [](const nlohmann::json&) {
          return nlohmann::json{{"answered", true}};
        },
        &source_);
    admin_ = std::move(opened).value();
    log_.start();
  }
  ~EventAdminTest() override {
    for (const int client : clients_) close(client);
  }

  void add(uint64_t count) {
    const uint64_t before = log_.status().written;
    for (uint64_t i = 0; i < count; ++i) log_.add(some_event());
    ASSERT_TRUE(comes_true([&] { return log_.status().written == before + count; }));
  }

  int ask(const std::string& request) {
    const int client = dial(path("admin"));
    send_text(client, request + "\n");
    clients_.push_back(client);
    return client;
  }

  /// Polls as a program does, whenever the socket is ready, and reads until `enough`.
  std::string read(int client, const std::function<bool(const std::string&)>& enough) {
    std::string text;
    comes_true([&] {
      pollfd ready{admin_->descriptor(), POLLIN, 0};
      if (poll(&ready, 1, 1) > 0) admin_->poll(Millis{1});
      char bytes[65'536];
      const ssize_t got = recv(client, bytes, sizeof bytes, 0);
      if (got > 0) text.append(bytes, static_cast<size_t>(got));
      return got == 0 || enough(text);
    });
    return text;
  }
  std::string read_to_end(int client) {
    return read(client, [](const std::string&) { return false; });
  }
  static auto lines(size_t count) {
    return [count](const std::string& text) {
      return static_cast<size_t>(std::ranges::count(text, '\n')) >= count;
    };
  }

  EventLog log_;
  EventSource source_;
  std::unique_ptr<AdminSocket> admin_;
  std::vector<int> clients_;
};

TEST_F(EventAdminTest, TheLatestLinesThenTheEnd) {
  add(50);
  const auto few = parse_lines(read_to_end(ask(R"({"command":"events","lines":3})")));
  ASSERT_EQ(few.size(), 3U);
  EXPECT_EQ(few[0]["seq"], 48);
  EXPECT_EQ(few[2]["seq"], 50);
  EXPECT_EQ(parse_lines(read_to_end(ask(R"({"command":"events"})"))).size(), 10U);
  EXPECT_EQ(parse_lines(read_to_end(ask(R"({"command":"events","lines":9999})"))).size(), 50U);
  EXPECT_EQ(read_to_end(ask(R"({"command":"events","lines":0})")), "");
  EXPECT_EQ(admin_->clients(), 0U);
}

TEST_F(EventAdminTest, ManyLinesComeWhole) {
  add(EventLog::kKeptLines);
  const auto all = parse_lines(read_to_end(ask(R"({"command":"events","lines":9999})")));
  uint64_t lost = 0;
  expect_complete(all, EventLog::kKeptLines, lost);
  EXPECT_EQ(lost, 0U);
}

TEST_F(EventAdminTest, OtherRequestsAreAnswered) {
  EXPECT_EQ(read_to_end(ask(R"({"command":"show"})")), "{\"answered\":true}\n");
}

TEST_F(EventAdminTest, AFollowerGetsWhatComes) {
  add(2);
  const int client = ask(R"({"command":"events","lines":1,"follow":true})");
  EXPECT_EQ(parse_lines(read(client, lines(1)))[0]["seq"], 2);
  for (uint64_t i = 3; i < 10; ++i) {
    log_.add(some_event());
    EXPECT_EQ(parse_lines(read(client, lines(1)))[0]["seq"], i);
  }
  EXPECT_EQ(admin_->clients(), 1U);
}

TEST_F(EventAdminTest, AFollowerHasNoTimeLimitAndLeavesWhenItWants) {
  const int client = ask(R"({"command":"events","lines":0,"follow":true})");
  admin_->poll(Millis{1});
  admin_->poll(Millis{1} + AdminSocket::kClientTimeout + AdminSocket::kClientTimeout);
  EXPECT_EQ(admin_->clients(), 1U);
  shutdown(client, SHUT_WR);  // it still reads
  add(1);
  EXPECT_EQ(parse_lines(read(client, lines(1))).size(), 1U);
  close(client);
  clients_.clear();
  ASSERT_TRUE(comes_true([&] {
    pollfd ready{admin_->descriptor(), POLLIN, 0};
    if (poll(&ready, 1, 1) > 0) admin_->poll(Millis{1});
    return admin_->clients() == 0;
  }));
}

TEST_F(EventAdminTest, AnIdleFollowerCostsNothing) {
  const int client = ask(R"({"command":"events","lines":1,"follow":true})");
  add(1);
  read(client, lines(1));
  admin_->poll(Millis{1});
  pollfd ready{admin_->descriptor(), POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 0), 0) << "the socket is ready, but there is nothing to do";
}

TEST_F(EventAdminTest, ASlowFollowerIsToldWhatItMissed) {
  const int slow = ask(R"({"command":"events","lines":0,"follow":true})");
  const int quick = ask(R"({"command":"events","lines":0,"follow":true})");
  for (int asked = 0; asked < 2; ++asked)
    admin_->poll(Millis{1});  // one of them is answered at a time
  constexpr uint64_t kBursts = 40;
  constexpr uint64_t kBurst = 500;
  for (uint64_t i = 1; i <= kBursts; ++i) {
    admin_->poll(Millis{1});
    add(kBurst);
    EXPECT_EQ(parse_lines(read(quick, lines(kBurst))).size(), kBurst);
  }
  const std::string last = "\"seq\":" + std::to_string(kBursts * kBurst) + ",";
  const std::string text =
      read(slow, [&](const std::string& all) { return all.find(last) != std::string::npos; });
  uint64_t lost = 0;
  expect_complete(parse_lines(text), kBursts * kBurst, lost);
  EXPECT_GT(lost, 0U);
}

TEST_F(EventAdminTest, FollowersAreBoundedAndLeaveRoomForOthers) {
  for (size_t i = 0; i < AdminSocket::kMaxStreams; ++i) {
    ask(R"({"command":"events","lines":0,"follow":true})");
    admin_->poll(Millis{1});
  }
  const auto refused = parse_lines(read_to_end(ask(R"({"command":"events","follow":true})")));
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].contains("error"));
  EXPECT_EQ(read_to_end(ask(R"({"command":"show"})")), "{\"answered\":true}\n");
}

}  // namespace
}  // namespace jvpn::test
