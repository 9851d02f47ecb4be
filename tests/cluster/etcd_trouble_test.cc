// The client against servers that do what none should: every transaction gets one answer.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "tests/cluster/etcd_rig.h"
#include "tests/cluster/fake_grpc.h"

namespace jvpn::cluster {
namespace {

using test::FakeGrpc;
using test::Gate;

const std::string kEmptyReply("\x0a\x04\x08\x05\x18\x07", 6);  // header: cluster 5, revision 7
constexpr Millis kShort{300};

std::unique_ptr<EtcdClient> client_to(std::vector<std::string> endpoints) {
  return client_of(EtcdOptions{.endpoints = std::move(endpoints),
                               .ca_file = test::FakeIdentity::get().ca_file()});
}

FakeGrpc::Script sound() {
  return [](FakeGrpc::Peer& peer, const test::GrpcCall&) { return peer.answer(kEmptyReply); };
}
FakeGrpc::Script silent() {
  return [](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    peer.hold();
    return false;
  };
}
/// Sends bytes, then a part again and again if there is one, then closes.
FakeGrpc::Script sending(std::string text, std::string endless = {}) {
  return [text = std::move(text), endless = std::move(endless)](FakeGrpc::Peer& peer,
                                                                const test::GrpcCall&) {
    bool there = peer.send(text);
    while (there && !endless.empty()) there = peer.send(endless);
    return false;
  };
}
FakeGrpc::Script answering(FakeGrpc::Headers headers, std::string body,
                           FakeGrpc::Headers trailers = {}) {
  return [=](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    return peer.answer(headers, body, trailers);
  };
}
/// The beginning of an answer, and then the connection's end.
FakeGrpc::Script breaking_off(std::string body) {
  return [=](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    peer.begin_answer(FakeGrpc::kOk, body);
    return false;
  };
}

TEST(EtcdTrouble, ASoundAnswerKeepsTheConnection) {
  test::GrpcCall seen;
  FakeGrpc server([&](FakeGrpc::Peer& peer, const test::GrpcCall& request) {
    seen = request;
    return peer.answer(kEmptyReply);
  });
  const auto client = client_to({server.endpoint()});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reply_to(*client, {}).revision, 7);
  EXPECT_EQ(server.accepted(), 1U);
  EXPECT_EQ(server.requests(), 5U);
  EXPECT_EQ(seen.headers[":method"], "POST");
  EXPECT_EQ(seen.headers[":path"], "/etcdserverpb.KV/Txn");
  EXPECT_EQ(seen.headers["content-type"], "application/grpc");
  EXPECT_EQ(seen.headers["te"], "trailers");
  EXPECT_FALSE(seen.headers.contains("expect"));
  EXPECT_EQ(seen.body, std::string(5, '\0')) << "a frame, and a request that asks nothing";
}

struct Wrong {
  const char* name;
  FakeGrpc::Script script;
  const char* trouble;  ///< curl has several words for what is no HTTP/2, or no end of it: empty
};

std::vector<Wrong> wrong_answers() {
  const auto endless_body = [](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    bool there = peer.begin_answer(FakeGrpc::kOk, "");
    while (there) there = peer.more(std::string(65536, 'x'));
    return false;
  };
  const auto endless_header = [](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    while (peer.interim({{":status", "103"}, {"a", std::string(1'000, 'b')}})) continue;
    return false;
  };
  const FakeGrpc::Headers no_leader{{":status", "200"},
                                    {"content-type", "application/grpc"},
                                    {"grpc-status", "14"},
                                    {"grpc-message", "etcdserver: no leader"}};
  const std::string sound = FakeGrpc::Peer::framed(kEmptyReply);
  std::string compressed = sound;
  compressed[0] = '\1';
  return {
      {"closed", sending(""), ""},
      {"garbage", sending("\x16\x03\x01garbage that no frame begins with\r\n\r\n"), ""},
      {"endless garbage", sending("", std::string(65536, 'x')), ""},
      {"HTTP/1", sending("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), ""},
      {"a body that breaks off", breaking_off(sound.substr(0, 7)), ""},
      {"no trailer", answering(FakeGrpc::kOk, sound), "no gRPC status"},
      {"half a message", answering(FakeGrpc::kOk, sound.substr(0, 7), FakeGrpc::kDone),
       "isn't one message"},
      {"two messages", answering(FakeGrpc::kOk, sound + sound, FakeGrpc::kDone),
       "isn't one message"},
      {"no message", answering(FakeGrpc::kOk, "", FakeGrpc::kDone), "isn't one message"},
      {"compressed", answering(FakeGrpc::kOk, compressed, FakeGrpc::kDone), "not compressed"},
      {"no message of etcd's",
       answering(FakeGrpc::kOk, FakeGrpc::Peer::framed("\xff"), FakeGrpc::kDone),
       "message of etcd's"},
      {"another answer", answering(FakeGrpc::kOk, FakeGrpc::Peer::framed(""), FakeGrpc::kDone),
       "no header"},
      {"endless body", endless_body, "larger than 4 MiB"},
      {"endless header", endless_header, "its header than 64 KiB"},
      {"no leader", answering(no_leader, ""), "gRPC status 14: etcdserver: no leader"},
      {"a message that isn't fit to print",
       answering(FakeGrpc::kOk, "",
                 {{"grpc-status", "3"}, {"grpc-message", "a%0A%1b[2J%C3%A9%zz%"}}),
       "gRPC status 3: a??[2J??%zz%"},
      {"a status beside a failure", answering({{":status", "500"}}, sound, FakeGrpc::kDone),
       "HTTP status 500"},
      {"204", answering({{":status", "204"}}, ""), "HTTP status 204"},
      {"401", answering({{":status", "401"}, {"www-authenticate", "Basic"}}, "no"),
       "HTTP status 401"},
  };
}

TEST(EtcdTrouble, EveryWrongAnswerIsNamed) {
  for (const Wrong& wrong : wrong_answers()) {
    SCOPED_TRACE(wrong.name);
    FakeGrpc server(wrong.script);
    const auto client = client_to({server.endpoint()});
    const TxnAnswer answer = ask(*client, {});
    EXPECT_TRUE(says(answer, "etcd " + server.endpoint() + ": "));
    EXPECT_TRUE(says(answer, wrong.trouble));
    EXPECT_EQ(server.requests(), 1U);
    EXPECT_LT(answer.trouble.size(), 400U);
    EXPECT_TRUE(std::ranges::all_of(answer.trouble, [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

TEST(EtcdTrouble, AnAnswerThatBreaksOffIsNoMatterOfTheCertificate) {
  FakeGrpc server(breaking_off(FakeGrpc::Peer::framed(kEmptyReply).substr(0, 7)));
  const TxnAnswer answer = ask(*client_to({server.endpoint()}), {});
  EXPECT_FALSE(answer.trouble.empty());
  EXPECT_EQ(answer.trouble.find("certificate"), std::string::npos) << answer.trouble;
}

TEST(EtcdTrouble, NobodyThereIsNamed) {
  std::string endpoint;
  {
    FakeGrpc server(sound());
    endpoint = server.endpoint();
  }
  EXPECT_TRUE(says(ask(*client_to({endpoint}), {}), "connect"));
}

TEST(EtcdTrouble, PatienceEndsWhateverComes) {
  const std::pair<const char*, FakeGrpc::Script> cases[] = {
      {"silence", silent()},
      {"a body that stops",
       [](FakeGrpc::Peer& peer, const test::GrpcCall&) {
         peer.begin_answer(FakeGrpc::kOk, "x");
         peer.hold();
         return false;
       }},
      {"a body that trickles",
       [](FakeGrpc::Peer& peer, const test::GrpcCall&) {
         bool there = peer.begin_answer(FakeGrpc::kOk, "x");
         while (there) {
           there = peer.more("x");
           std::this_thread::sleep_for(std::chrono::milliseconds(5));
         }
         return false;
       }},
  };
  for (const auto& [name, script] : cases) {
    SCOPED_TRACE(name);
    FakeGrpc server(script);
    const auto client = client_to({server.endpoint()});
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(says(ask(*client, {}, kShort), "no answer within 300 ms"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
    EXPECT_EQ(server.requests(), 1U);
  }
}

TEST(EtcdTrouble, RedirectsAreNotFollowed) {
  FakeGrpc other(sound());
  FakeGrpc server(
      answering({{":status", "301"}, {"location", other.endpoint() + "/etcdserverpb.KV/Txn"}}, ""));
  EXPECT_TRUE(says(ask(*client_to({server.endpoint()}), {}), "HTTP status 301"));
  EXPECT_EQ(other.accepted(), 0U);
}

TEST(EtcdTrouble, TheEnvironmentNamesNoProxy) {
  FakeGrpc proxy(sound());
  for (const char* each : {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"}) {
    setenv(each, proxy.endpoint().c_str(), 1);
  }
  FakeGrpc server(sound());
  reply_to(*client_to({server.endpoint()}), {});
  for (const char* each : {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"}) unsetenv(each);
  EXPECT_EQ(proxy.accepted(), 0U);
}

// curl would send it again on a new connection.
TEST(EtcdTrouble, ATransactionIsNeverSentTwice) {
  std::atomic<bool> second{false};
  FakeGrpc server([&](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    return !second.exchange(true) && peer.answer(kEmptyReply);
  });
  const auto client = client_to({server.endpoint()});
  reply_to(*client, {});
  EXPECT_TRUE(says(ask(*client, {}), "closed"));
  EXPECT_EQ(server.requests(), 2U);
}

TEST(EtcdTrouble, ASlowOneDelaysNoOther) {
  Gate gate;
  std::atomic<bool> first{true};
  FakeGrpc server([&](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    if (first.exchange(false)) gate.pass();
    return peer.answer(kEmptyReply);
  });
  const auto client = client_to({server.endpoint()});
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
  FakeGrpc server(silent());
  const auto client = client_to({server.endpoint()});
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
  FakeGrpc server([&](FakeGrpc::Peer& peer, const test::GrpcCall&) {
    gate.pass();
    return peer.answer(kEmptyReply);
  });
  const auto client = client_to({server.endpoint()});
  const size_t count = EtcdClient::kMostUnderWay + 10;
  for (size_t i = 0; i < count; ++i) client->send(i, {}, kAmple);
  while (server.requests() < EtcdClient::kMostUnderWay) client->wait(Millis{1});
  gate.open();
  for (size_t i = 0; i < count; ++i) EXPECT_TRUE(next_answer(*client).reply);
  EXPECT_EQ(server.accepted(), EtcdClient::kMostUnderWay);
}

TEST(EtcdTrouble, AFailureLeavesTheEndpointItWasOn) {
  FakeGrpc bad(sending(""));
  FakeGrpc good(sound());
  const auto client = client_to({bad.endpoint(), good.endpoint()});
  EXPECT_TRUE(says(ask(*client, {}), bad.endpoint()));
  for (int i = 0; i < 3; ++i) reply_to(*client, {});
  EXPECT_EQ(bad.requests(), 1U);
  EXPECT_EQ(good.requests(), 3U);
}

TEST(EtcdTrouble, AnOldFailureOnAnEndpointThatWasLeftChangesNothing) {
  Gate gate;
  std::atomic<bool> first{true};
  FakeGrpc left([&](FakeGrpc::Peer&, const test::GrpcCall&) {
    if (first.exchange(false)) gate.pass();
    return false;
  });
  FakeGrpc good(sound());
  FakeGrpc third(sound());
  const auto client = client_to({left.endpoint(), good.endpoint(), third.endpoint()});
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
  FakeGrpc one(sending(""));
  FakeGrpc two(sending(""));
  const auto client = client_to({one.endpoint(), two.endpoint()});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(says(ask(*client, {}), one.endpoint()));
    EXPECT_TRUE(says(ask(*client, {}), two.endpoint()));
  }
}

TEST(EtcdTrouble, WakingEndsAWait) {
  FakeGrpc server(silent());
  const auto client = client_to({server.endpoint()});
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
  const auto client = client_to({"http://127.0.0.1:1"});
  client->wait(Millis{0});
  client->wait(Millis{20});
  EXPECT_EQ(client->take(), std::nullopt);
}

}  // namespace
}  // namespace jvpn::cluster
