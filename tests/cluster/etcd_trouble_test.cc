// The client against servers that do what none should: every transaction gets one answer.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "tests/cluster/etcd_rig.h"
#include "tests/cluster/fake_http.h"

namespace jvpn::cluster {
namespace {

using test::FakeHttp;
using test::Gate;

const std::string kEmptyReply = R"({"header":{"cluster_id":"5","revision":"7"}})";
constexpr Millis kShort{300};

FakeHttp::Script sound() {
  return [](const FakeHttp::Peer& peer, const std::string&) { return peer.answer(kEmptyReply); };
}
FakeHttp::Script silent() {
  return [](const FakeHttp::Peer& peer, const std::string&) {
    peer.hold();
    return false;
  };
}
/// Sends a text, then a part again and again if there is one, then closes.
FakeHttp::Script sending(std::string text, std::string endless = {}) {
  return [text = std::move(text), endless = std::move(endless)](const FakeHttp::Peer& peer,
                                                                const std::string&) {
    bool there = peer.send(text);
    while (there && !endless.empty()) there = peer.send(endless);
    return false;
  };
}

TEST(EtcdTrouble, ASoundAnswerKeepsTheConnection) {
  std::string seen;
  FakeHttp server([&](const FakeHttp::Peer& peer, const std::string& request) {
    seen = request;
    return peer.answer(kEmptyReply);
  });
  const auto client = client_of({server.endpoint()});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reply_to(*client, {}).revision, 7);
  EXPECT_EQ(server.accepted(), 1U);
  EXPECT_EQ(server.requests(), 5U);
  EXPECT_EQ(seen.find("POST /v3/kv/txn HTTP/1.1\r\n"), 0U) << seen;
  EXPECT_NE(seen.find("\r\n\r\n{\"compare\":[],\"success\":[],\"failure\":[]}"), std::string::npos);
  EXPECT_EQ(seen.find("Expect"), std::string::npos);
}

struct Wrong {
  const char* name;
  std::string text;
  std::string endless;
  const char* trouble;
};

const Wrong kWrong[] = {
    {"closed", "", "", "Empty reply"},
    {"garbage", "\x16\x03\x01garbage\r\n\r\n", "", "HTTP/0.9"},
    {"endless garbage", "", std::string(65536, 'x'), "HTTP/0.9"},
    {"truncated header", "HTTP/1.1 200 OK\r\nContent-Le", "", "answer isn't a JSON object"},
    {"truncated body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"header\"", "",
     "bytes remaining"},
    {"truncated chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "",
     "transfer closed"},
    {"no JSON", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "", "JSON object"},
    {"another answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "", "no header"},
    {"endless body", "HTTP/1.1 200 OK\r\n\r\n", std::string(65536, 'x'), "larger than 16 MiB"},
    {"large body", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
     std::string(65536, 'x'), "larger than 16 MiB"},
    {"endless header", "HTTP/1.1 200 OK\r\n", "A: b\r\n", "its header than 64 KiB"},
    {"endless leave to go on", "", "HTTP/1.1 100 Continue\r\n\r\n", "its header than 64 KiB"},
    {"500", "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nhi", "", "HTTP status 500"},
    {"503 by etcd", "HTTP/1.1 503 No\r\n\r\n{\"error\":\"etcdserver: no leader\",\"code\":14}", "",
     "HTTP status 503: etcdserver: no leader"},
    {"a message that isn't fit to print",
     "HTTP/1.1 400 No\r\n\r\n{\"message\":\"a\\n\\u001b[2J\\u00e9\"}", "",
     "HTTP status 400: a??[2J??"},
    {"204", "HTTP/1.1 204 No\r\n\r\n", "", "HTTP status 204"},
    {"401", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "",
     "HTTP status 401"},
};

TEST(EtcdTrouble, EveryWrongAnswerIsNamed) {
  for (const Wrong& wrong : kWrong) {
    SCOPED_TRACE(wrong.name);
    FakeHttp server(sending(wrong.text, wrong.endless));
    const auto client = client_of({server.endpoint()});
    const TxnAnswer answer = ask(*client, {});
    EXPECT_TRUE(says(answer, "etcd " + server.endpoint() + ": "));
    EXPECT_TRUE(says(answer, wrong.trouble));
    EXPECT_EQ(server.requests(), 1U);
    EXPECT_LT(answer.trouble.size(), 400U);
    EXPECT_TRUE(std::ranges::all_of(answer.trouble, [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

TEST(EtcdTrouble, NobodyThereIsNamed) {
  std::string endpoint;
  {
    FakeHttp server(sound());
    endpoint = server.endpoint();
  }
  EXPECT_TRUE(says(ask(*client_of({endpoint}), {}), "connect"));
}

TEST(EtcdTrouble, PatienceEndsWhateverComes) {
  const std::pair<const char*, FakeHttp::Script> cases[] = {
      {"silence", silent()},
      {"a body that stops",
       [](const FakeHttp::Peer& peer, const std::string&) {
         peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
         peer.hold();
         return false;
       }},
      {"a body that trickles",
       [](const FakeHttp::Peer& peer, const std::string&) {
         bool there = peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{");
         while (there) {
           there = peer.send(" ");
           std::this_thread::sleep_for(std::chrono::milliseconds(5));
         }
         return false;
       }},
  };
  for (const auto& [name, script] : cases) {
    SCOPED_TRACE(name);
    FakeHttp server(script);
    const auto client = client_of({server.endpoint()});
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(says(ask(*client, {}, kShort), "no answer within 300 ms"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
    EXPECT_EQ(server.requests(), 1U);
  }
}

TEST(EtcdTrouble, RedirectsAreNotFollowed) {
  FakeHttp other(sound());
  FakeHttp server(sending("HTTP/1.1 301 Moved\r\nLocation: " + other.endpoint() +
                          "/v3/kv/txn\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_TRUE(says(ask(*client_of({server.endpoint()}), {}), "HTTP status 301"));
  EXPECT_EQ(other.accepted(), 0U);
}

TEST(EtcdTrouble, TheEnvironmentNamesNoProxy) {
  FakeHttp proxy(sound());
  for (const char* each : {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"}) {
    setenv(each, proxy.endpoint().c_str(), 1);
  }
  FakeHttp server(sound());
  reply_to(*client_of({server.endpoint()}), {});
  for (const char* each : {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"}) unsetenv(each);
  EXPECT_EQ(proxy.accepted(), 0U);
}

// curl would send it again on a new connection.
TEST(EtcdTrouble, ATransactionIsNeverSentTwice) {
  std::atomic<bool> second{false};
  FakeHttp server([&](const FakeHttp::Peer& peer, const std::string&) {
    return !second.exchange(true) && peer.answer(kEmptyReply);
  });
  const auto client = client_of({server.endpoint()});
  reply_to(*client, {});
  EXPECT_TRUE(says(ask(*client, {}), "closed before the answer"));
  EXPECT_EQ(server.requests(), 2U);
}

TEST(EtcdTrouble, ASlowOneDelaysNoOther) {
  Gate gate;
  std::atomic<bool> first{true};
  FakeHttp server([&](const FakeHttp::Peer& peer, const std::string&) {
    if (first.exchange(false)) gate.pass();
    return peer.answer(kEmptyReply);
  });
  const auto client = client_of({server.endpoint()});
  client->send(1, writing("large", std::string(1 << 20, 'x')), kAmple);
  while (server.requests() == 0) client->wait(Millis{1});
  client->send(2, writing("small", "x"), kAmple);
  EXPECT_EQ(next_answer(*client).number, 2U);
  EXPECT_EQ(client->in_flight(), 1U);
  gate.open();
  const TxnAnswer large = next_answer(*client);
  EXPECT_EQ(large.number, 1U);
}

TEST(EtcdTrouble, WhatIsUnderWayIsBounded) {
  FakeHttp server(silent());
  const auto client = client_of({server.endpoint()});
  const size_t most = EtcdClient::kMostUnderWay + EtcdClient::kMostWaiting;
  // Those that wait have given up before one that is under way makes room.
  for (size_t i = 0; i < most; ++i)
    client->send(i, {}, Millis{i < EtcdClient::kMostUnderWay ? 1000U : 500U});
  EXPECT_EQ(client->take(), std::nullopt);
  client->send(most, {}, kAmple);
  const auto refused = client->take();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->number, most);
  EXPECT_TRUE(says(*refused, "80 transactions are under way or wait already"));

  std::map<uint64_t, int> answers;
  for (size_t i = 0; i < most; ++i) {
    const TxnAnswer answer = next_answer(*client);
    EXPECT_TRUE(says(answer, answer.number < EtcdClient::kMostUnderWay ? "1000 ms" : "500 ms"));
    ++answers[answer.number];
  }
  EXPECT_EQ(answers.size(), most) << "one answer each";
  EXPECT_EQ(client->in_flight(), 0U);
  EXPECT_LE(server.accepted(), EtcdClient::kMostUnderWay);
}

TEST(EtcdTrouble, WhatWaitsGetsItsTurn) {
  Gate gate;
  FakeHttp server([&](const FakeHttp::Peer& peer, const std::string&) {
    gate.pass();
    return peer.answer(kEmptyReply);
  });
  const auto client = client_of({server.endpoint()});
  const size_t count = EtcdClient::kMostUnderWay + 10;
  for (size_t i = 0; i < count; ++i) client->send(i, {}, kAmple);
  while (server.requests() < EtcdClient::kMostUnderWay) client->wait(Millis{1});
  gate.open();
  for (size_t i = 0; i < count; ++i) EXPECT_TRUE(next_answer(*client).reply);
  EXPECT_EQ(server.accepted(), EtcdClient::kMostUnderWay);
}

TEST(EtcdTrouble, AFailureLeavesTheEndpointItWasOn) {
  FakeHttp bad(sending(""));
  FakeHttp good(sound());
  const auto client = client_of({bad.endpoint(), good.endpoint()});
  EXPECT_TRUE(says(ask(*client, {}), bad.endpoint()));
  for (int i = 0; i < 3; ++i) reply_to(*client, {});
  EXPECT_EQ(bad.requests(), 1U);
  EXPECT_EQ(good.requests(), 3U);
}

TEST(EtcdTrouble, AnOldFailureOnAnEndpointThatWasLeftChangesNothing) {
  Gate gate;
  std::atomic<bool> first{true};
  FakeHttp left([&](const FakeHttp::Peer&, const std::string&) {
    if (first.exchange(false)) gate.pass();
    return false;
  });
  FakeHttp good(sound());
  FakeHttp third(sound());
  const auto client = client_of({left.endpoint(), good.endpoint(), third.endpoint()});
  client->send(1, {}, kAmple);
  while (left.requests() == 0) client->wait(Millis{1});
  client->send(2, {}, kAmple);
  EXPECT_EQ(next_answer(*client).number, 2U);
  client->send(3, {}, kAmple);
  EXPECT_TRUE(next_answer(*client).reply);
  gate.open();
  EXPECT_TRUE(says(next_answer(*client), left.endpoint()));
  reply_to(*client, {});
  EXPECT_EQ(good.requests(), 2U);
  EXPECT_EQ(third.accepted(), 0U);
}

TEST(EtcdTrouble, TheListIsGoneRoundForEver) {
  FakeHttp one(sending(""));
  FakeHttp two(sending(""));
  const auto client = client_of({one.endpoint(), two.endpoint()});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(says(ask(*client, {}), one.endpoint()));
    EXPECT_TRUE(says(ask(*client, {}), two.endpoint()));
  }
}

TEST(EtcdTrouble, WakingEndsAWait) {
  FakeHttp server(silent());
  const auto client = client_of({server.endpoint()});
  client->wake();  // before it
  client->wait(Millis{1'000'000'000});
  client->send(1, {}, Millis{1'000'000'000});
  std::thread other([&] {
    while (server.requests() == 0) std::this_thread::yield();
    client->wake();
  });
  client->wait(Millis{1'000'000'000});
  other.join();
  EXPECT_EQ(client->take(), std::nullopt);
  EXPECT_EQ(client->in_flight(), 1U);
}  // and the client goes with a transaction under way

TEST(EtcdTrouble, AWaitWithoutWorkEnds) {
  const auto client = client_of({"http://127.0.0.1:1"});
  client->wait(Millis{0});
  client->wait(Millis{20});
  EXPECT_EQ(client->take(), std::nullopt);
}

}  // namespace
}  // namespace jvpn::cluster
