#include "control/admin/admin_socket.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/rooms.h"
#include "tests/support/unix_client.h"

namespace jvpn {
namespace {

class AdminSocketTest : public testing::Test {
 protected:
  AdminSocketTest() {
    char folder[] = "/tmp/jvpn-admin-XXXXXX";
    folder_ = mkdtemp(folder);
    path_ = folder_ + "/run/admin.sock";
  }
  ~AdminSocketTest() override {
    admin_.reset();
    std::filesystem::remove_all(folder_);
  }

  Result<std::unique_ptr<AdminSocket>> open() {
    return AdminSocket::open(path_, [](const nlohmann::json& request) {
      return nlohmann::json{{"echo", request}, {"padding", std::string(padding_, 'x')}};
    });
  }
  void must_open() {
    auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message;
    admin_ = std::move(opened).value();
  }

  /// Polls until the server has closed the connection; everything it wrote.
  std::string drain(int client) {
    std::string text;
    char bytes[4096];
    for (int i = 0; i < 10'000; ++i) {
      admin_->poll(now_);
      const ssize_t got = recv(client, bytes, sizeof bytes, 0);
      if (got == 0) break;
      if (got > 0) text.append(bytes, static_cast<size_t>(got));
    }
    close(client);
    return text;
  }
  std::string ask(const std::string& text) {
    const int client = test::dial(path_);
    test::send_text(client, text);
    return drain(client);
  }

  static inline size_t padding_ = 0;
  std::string folder_;
  std::string path_;
  Millis now_{1'000};
  std::unique_ptr<AdminSocket> admin_;
};

TEST_F(AdminSocketTest, AnswersOneLineAndCloses) {
  must_open();
  EXPECT_EQ(ask("{\"command\":\"show\"}\n"),
            "{\"echo\":{\"command\":\"show\"},\"padding\":\"\"}\n");
  EXPECT_EQ(admin_->clients(), 0U);
}

/// An answer may take a good part of what a turn of the loop may take.
TEST_F(AdminSocketTest, OneIsAnsweredAtATime) {
  must_open();
  constexpr size_t kAsking = 3;
  std::vector<int> clients;
  for (size_t i = 0; i < kAsking; ++i) {
    clients.push_back(test::dial(path_));
    test::send_text(clients.back(), "{}\n");
  }
  for (size_t answered = 1; answered <= kAsking; ++answered) {
    pollfd waiting{admin_->descriptor(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 0), 1) << "somebody waits";
    admin_->poll(now_);
    EXPECT_EQ(admin_->clients(), kAsking - answered);
  }
  for (const int client : clients) EXPECT_FALSE(drain(client).empty());
}

TEST_F(AdminSocketTest, AnAnswerMayComeLaterThanTheTimeLimit) {
  std::optional<nlohmann::json> answer;
  admin_ = AdminSocket::open(path_, [&](const nlohmann::json&) {
             return LaterAnswer([&] { return answer; });
           }).value();
  const int patient = test::dial(path_);
  const int gone = test::dial(path_);
  for (const int client : {patient, gone}) {
    test::send_text(client, "{}\n");
    admin_->poll(now_);
  }
  pollfd idle{admin_->descriptor(), POLLIN, 0};
  EXPECT_EQ(::poll(&idle, 1, 0), 0) << "it would keep the loop awake";
  close(gone);
  now_ = now_ + AdminSocket::kClientTimeout + AdminSocket::kClientTimeout;
  admin_->poll(now_);
  EXPECT_EQ(admin_->clients(), 1U) << "who went away is forgotten";
  answer = nlohmann::json{{"done", true}};
  EXPECT_EQ(drain(patient), "{\"done\":true}\n");
}

TEST_F(AdminSocketTest, OnlyTheOwnerMayConnect) {
  must_open();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(AdminSocketTest, MalformedRequestsGetAnError) {
  must_open();
  for (const char* text : {"nonsense\n", "[]\n", "3\n", "{\"a\":\n", "\n", "{} {}\n", "\xFF\xFE\n"})
    EXPECT_TRUE(nlohmann::json::parse(ask(text)).contains("error")) << text;
  EXPECT_TRUE(nlohmann::json::parse(ask(std::string(AdminSocket::kMaxRequestBytes + 1, ' ')))
                  .contains("error"));
}

TEST_F(AdminSocketTest, ForeignBytesDoNotEndTheServer) {
  must_open();
  EXPECT_FALSE(ask("{\"name\":\"\\u0000\xC3\xA9\"}\n").empty());
}

TEST_F(AdminSocketTest, ALineMayComeInPieces) {
  must_open();
  const int client = test::dial(path_);
  for (const char* piece : {"{\"comm", "and\":", "1}", "\n"}) {
    ASSERT_GT(send(client, piece, std::strlen(piece), 0), 0);
    admin_->poll(now_);
  }
  EXPECT_NE(drain(client).find("\"command\":1"), std::string::npos);
}

TEST_F(AdminSocketTest, EndOfInputEndsTheLine) {
  must_open();
  const int client = test::dial(path_);
  ASSERT_EQ(send(client, "{}", 2, 0), 2);
  shutdown(client, SHUT_WR);
  EXPECT_NE(drain(client).find("echo"), std::string::npos);
}

TEST_F(AdminSocketTest, LargeRepliesArriveWhole) {
  must_open();
  padding_ = 5'000'000;
  EXPECT_GT(ask("{}\n").size(), padding_);
  padding_ = 0;
}

TEST_F(AdminSocketTest, ClientsAreBoundedInNumberAndTime) {
  must_open();
  std::vector<int> silent;
  for (size_t i = 0; i < AdminSocket::kMaxClients + 3; ++i) {
    silent.push_back(test::dial(path_));
    admin_->poll(now_);
  }
  EXPECT_EQ(admin_->clients(), AdminSocket::kMaxClients);
  now_ = now_ + AdminSocket::kClientTimeout;
  admin_->poll(now_);
  EXPECT_EQ(admin_->clients(), 0U);
  for (const int client : silent) close(client);
  admin_->poll(now_);
  admin_->poll(now_ + AdminSocket::kClientTimeout);
  EXPECT_FALSE(ask("{}\n").empty());
}

TEST_F(AdminSocketTest, AStaleSocketIsReplacedALivingOneIsNot) {
  must_open();
  EXPECT_FALSE(open());  // a living one
  const std::string copy = path_ + ".kept";
  std::filesystem::create_hard_link(path_, copy);
  admin_.reset();
  std::filesystem::create_directories(folder_ + "/run");
  if (std::filesystem::exists(copy)) std::filesystem::rename(copy, path_);
  must_open();  // nobody listens there any more
  EXPECT_FALSE(ask("{}\n").empty());
}

TEST_F(AdminSocketTest, OtherFilesAreNotTouched) {
  std::filesystem::create_directory(folder_ + "/run");
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(open());
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(AdminSocketTest, LeavesNothingBehind) {
  must_open();
  admin_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(AdminSocketTest, ImpossiblePathsAreErrors) {
  path_ = "";
  EXPECT_FALSE(open());
  path_ = std::string(200, 'a');
  EXPECT_FALSE(open());
  path_ = folder_ + "/a/b/c.sock";
  EXPECT_FALSE(open());
}

TEST(NotAnswered, NamesTheProgramThatItIsFor) {
  const std::string jump = not_answered(
      "jvpnd", "jump", "show, peers, routes, terminate, drain, enrol, peer and reload");
  EXPECT_NE(jump.find("ask jvpn-client's socket"), std::string::npos) << jump;
  const std::string terminate = not_answered("jvpn-client", "terminate", "show, jump and reload");
  EXPECT_NE(terminate.find("an order for jvpnd"), std::string::npos) << terminate;
  const std::string routes = not_answered("jvpn-client", "routes", "show, jump and reload");
  EXPECT_NE(routes.find("a question for jvpnd"), std::string::npos) << routes;
  EXPECT_EQ(not_answered("jvpnd", "dance", "show"), "command: got dance; jvpnd answers show");
  EXPECT_EQ(not_answered("jvpnd", "", "show"), "command: expected one; jvpnd answers show");
}

}  // namespace
}  // namespace jvpn
