// The client against etcd itself.
#include "control/cluster/etcd_client.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "tests/cluster/etcd_rig.h"
#include "tests/support/etcd_server.h"

namespace jvpn::cluster {
namespace {

using test::EtcdServers;
using test::must;

Op range(const std::string& key, const std::string& end, int64_t limit) {
  return {.kind = Op::Kind::kGet, .key = key, .end = end, .limit = limit};
}

/// One member for all of these; keys of each test begin with its name.
class Etcd : public testing::Test {
 protected:
  static void SetUpTestSuite() { servers_ = must(EtcdServers::start({})).release(); }
  static void TearDownTestSuite() {
    delete servers_;
    servers_ = nullptr;
  }

  std::string key(const std::string& name) const {
    return testing::UnitTest::GetInstance()->current_test_info()->name() + ("/" + name);
  }

  static EtcdServers* servers_;
  std::unique_ptr<EtcdClient> client_ = client_of(servers_->endpoints());
};
EtcdServers* Etcd::servers_ = nullptr;

TEST_F(Etcd, PutsGetsAndDeletes) {
  const TxnReply put = reply_to(*client_, writing(key("a"), "one"));
  EXPECT_TRUE(put.succeeded);
  EXPECT_NE(put.cluster, 0U);
  EXPECT_EQ(put.found.size(), 1U);

  const TxnReply got = reply_to(*client_, reading(key("a")));
  ASSERT_EQ(got.found.size(), 1U);
  ASSERT_EQ(got.found[0].size(), 1U);
  EXPECT_EQ(got.found[0][0].key, key("a"));
  EXPECT_EQ(got.found.at(0).at(0).value, "one");
  EXPECT_EQ(got.found[0][0].modified, put.revision);
  EXPECT_EQ(got.revision, put.revision) << "reading doesn't count";
  EXPECT_EQ(got.cluster, put.cluster);

  const TxnReply gone = reply_to(*client_, {{}, {Op::erase(key("a"))}, {}});
  EXPECT_GT(gone.revision, put.revision);
  EXPECT_TRUE(reply_to(*client_, reading(key("a"))).found.at(0).empty());
}

TEST_F(Etcd, BytesOfAllKindsComeBack) {
  std::string bytes(256, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i);
  const std::string name = key(bytes);
  reply_to(*client_, {{}, {Op::put(name, bytes), Op::put(key("empty"), "")}, {}});
  const TxnReply got = reply_to(*client_, {{}, {Op::get(name), Op::get(key("empty"))}, {}});
  ASSERT_EQ(got.found.size(), 2U);
  ASSERT_EQ(got.found[0].size(), 1U);
  EXPECT_EQ(got.found[0][0].key, name);
  EXPECT_EQ(got.found.at(0).at(0).value, bytes);
  ASSERT_EQ(got.found[1].size(), 1U);
  EXPECT_EQ(got.found[1][0].value, "");
}

TEST_F(Etcd, RangesEndAndAreLimited) {
  Txn fill;
  for (const char* each : {"a", "b", "c", "d"}) fill.then.push_back(Op::put(key(each), each));
  reply_to(*client_, fill);
  const TxnReply got = reply_to(
      *client_,
      {{},
       {range(key("a"), key("d"), 0), range(key("b"), key("z"), 2), range(key("x"), key("z"), 0)},
       {}});
  ASSERT_EQ(got.found.size(), 3U);
  const auto values = [&](size_t i) {
    std::string all;
    for (const KeyValue& each : got.found[i]) all += each.value;
    return all;
  };
  EXPECT_EQ(values(0), "abc");
  EXPECT_EQ(values(1), "bc");
  EXPECT_EQ(values(2), "");
}

TEST_F(Etcd, ComparesChooseTheBranch) {
  const auto guarded = [&](Revision a, Revision b) {
    return Txn{{{key("a"), a}, {key("b"), b}},
               {Op::put(key("a"), "then")},
               {Op::get(key("a")), Op::get(key("b"))}};
  };
  const TxnReply created = reply_to(*client_, guarded(0, 0));
  EXPECT_TRUE(created.succeeded);
  EXPECT_EQ(created.found.size(), 1U);

  const TxnReply again = reply_to(*client_, guarded(0, 0));
  EXPECT_FALSE(again.succeeded);
  EXPECT_EQ(again.revision, created.revision) << "nothing was written";
  ASSERT_EQ(again.found.size(), 2U);
  ASSERT_EQ(again.found[0].size(), 1U);
  EXPECT_EQ(again.found[0][0].modified, created.revision);
  EXPECT_TRUE(again.found[1].empty());

  EXPECT_FALSE(reply_to(*client_, guarded(created.revision, 1)).succeeded);
  const TxnReply swapped = reply_to(*client_, guarded(created.revision, 0));
  EXPECT_TRUE(swapped.succeeded);
  EXPECT_GT(swapped.revision, created.revision);
}

TEST_F(Etcd, TakesAsManyOperationsAsItSays) {
  Txn full;
  for (size_t i = 0; i < kMostTxnOps; ++i) {
    full.compares.push_back({key(fmt::format("{:03}", i)), 0});
    full.then.push_back(Op::put(key(fmt::format("{:03}", i)), "v"));
    full.otherwise.push_back(Op::get(key(fmt::format("{:03}", i))));
  }
  EXPECT_TRUE(reply_to(*client_, full).succeeded);
  const TxnReply got = reply_to(*client_, full);
  EXPECT_FALSE(got.succeeded);
  ASSERT_EQ(got.found.size(), kMostTxnOps);
  EXPECT_TRUE(std::ranges::all_of(got.found, [](const auto& each) { return each.size() == 1; }));

  full.then.push_back(Op::put(key("more"), "v"));
  EXPECT_TRUE(says(ask(*client_, full), "too many operations"));
}

TEST_F(Etcd, CarriesLargeTransactions) {
  Txn fill;
  for (int i = 0; i < 127; ++i) {
    fill.then.push_back(
        Op::put(key(fmt::format("{:03}", i)), std::string(1024, char('a' + i % 26))));
  }
  EXPECT_TRUE(reply_to(*client_, fill).succeeded);
  const TxnReply got = reply_to(*client_, {{}, {range(key(""), key("z"), 0)}, {}});
  ASSERT_EQ(got.found.size(), 1U);
  ASSERT_EQ(got.found[0].size(), 127U);
  EXPECT_EQ(got.found[0][30].value, std::string(1024, 'e'));

  // More than etcd's --max-request-bytes.
  const TxnAnswer huge = ask(*client_, writing(key("huge"), std::string(1'600'000, 'x')));
  EXPECT_TRUE(says(huge, "request is too large"));
  EXPECT_TRUE(says(huge, servers_->endpoint(0)));
}

TEST_F(Etcd, AnswersManyAtOnce) {
  const size_t count = EtcdClient::kMostUnderWay + EtcdClient::kMostWaiting;
  for (size_t i = 0; i < count; ++i) {
    client_->send(i, writing(key("k"), std::to_string(i)), kAmple);
  }
  EXPECT_EQ(client_->in_flight(), count);
  std::set<uint64_t> numbers;
  std::set<Revision> revisions;
  for (size_t i = 0; i < count; ++i) {
    const TxnAnswer answer = next_answer(*client_);
    ASSERT_TRUE(answer.reply) << answer.trouble;
    numbers.insert(answer.number);
    revisions.insert(answer.reply->revision);
  }
  EXPECT_EQ(numbers.size(), count);
  EXPECT_EQ(revisions.size(), count);
  EXPECT_EQ(client_->take(), std::nullopt);
}

/// Three members.
class EtcdCluster : public testing::Test {
 protected:
  /// The first reply of several tries: what is on its way to a leader that has gone is lost, and
  /// nobody answers until there is another.
  TxnReply reply_in_time(const Txn& txn) {
    for (int i = 0; i < 20; ++i) {
      const TxnAnswer answer = ask(*client_, txn, Millis{3000});
      if (answer.reply) return *answer.reply;
    }
    ADD_FAILURE() << "no reply";
    return {};
  }

  std::unique_ptr<EtcdServers> servers_ = must(EtcdServers::start({.members = 3}));
  std::unique_ptr<EtcdClient> client_ = client_of(servers_->endpoints());
};

TEST_F(EtcdCluster, AKilledMemberIsLeftForAnother) {
  const TxnReply first = reply_to(*client_, writing("k", "1"));
  servers_->kill(0);
  EXPECT_TRUE(says(ask(*client_, writing("lost", "2")), servers_->endpoint(0)));
  const TxnReply next = reply_in_time(writing("k", "3"));
  EXPECT_EQ(next.cluster, first.cluster);
  EXPECT_GT(next.revision, first.revision);
  EXPECT_TRUE(reply_in_time(reading("lost")).found.at(0).empty())
      << "what was sent to a dead member isn't sent to another";

  servers_->kill(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(ask(*client_, writing("k", "4"), Millis{500}).reply) << "one of three decides";
  }
  ASSERT_TRUE(servers_->restart(0));
  EXPECT_TRUE(reply_in_time(writing("k", "5")).succeeded);
}

TEST_F(EtcdCluster, AStoppedMemberTakesNoMoreThanPatience) {
  reply_to(*client_, writing("k", "1"));
  servers_->stop(0);
  const TxnAnswer held = ask(*client_, writing("k", "2"), Millis{500});
  EXPECT_TRUE(says(held, servers_->endpoint(0) + ": no answer within 500 ms"));
  EXPECT_TRUE(reply_in_time(writing("k", "3")).succeeded);
  servers_->proceed(0);
  EXPECT_TRUE(reply_in_time(writing("k", "4")).succeeded);
}

class EtcdTls : public testing::Test {
 protected:
  static void SetUpTestSuite() { servers_ = must(EtcdServers::start({.tls = true})).release(); }
  static void TearDownTestSuite() {
    delete servers_;
    servers_ = nullptr;
  }
  static EtcdOptions options(const EtcdServers& servers, const std::string& ca,
                             const std::string& client) {
    const std::string folder = servers.directory() + "/";
    EtcdOptions made{.endpoints = servers.endpoints(), .ca_file = folder + ca};
    if (client.empty()) return made;
    made.certificate_file = folder + client + ".pem";
    made.key_file = folder + client + ".key";
    return made;
  }

  static EtcdServers* servers_;
};
EtcdServers* EtcdTls::servers_ = nullptr;

size_t threads_of_this_process() {
  size_t count = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    count += each.exists() ? 1 : 0;
  }
  return count;
}

TEST_F(EtcdTls, CertificatesOfBothSidesConnectThem) {
  const size_t threads = threads_of_this_process();
  const auto client = client_of(options(*servers_, "ca.pem", "client"));
  const TxnReply put = reply_to(*client, writing("k", std::string(100'000, 'x')));
  EXPECT_TRUE(put.succeeded);
  EXPECT_EQ(reply_to(*client, reading("k")).found.at(0).at(0).value.size(), 100'000U);
  EXPECT_EQ(threads_of_this_process(), threads) << "one would run where the workers poll";
}

TEST_F(EtcdTls, StrangersOnEitherSideAreRefused) {
  const auto without = client_of(options(*servers_, "ca.pem", ""));
  EXPECT_TRUE(says(ask(*without, reading("k")), "certificate"));
  const auto stranger = client_of(options(*servers_, "ca.pem", "stranger"));
  EXPECT_TRUE(says(ask(*stranger, reading("k")), "certificate"));
  const auto deceived = client_of(options(*servers_, "other-ca.pem", "client"));
  EXPECT_TRUE(says(ask(*deceived, reading("k")), "SSL certificate problem"));
}

TEST_F(EtcdTls, ACertificateOfAnotherAddressIsRefused) {
  const auto elsewhere =
      must(EtcdServers::start({.tls = true, .names = "IP:127.0.0.2,DNS:localhost,DNS:127.0.0.1"}));
  const auto client = client_of(options(*elsewhere, "ca.pem", "client"));
  EXPECT_TRUE(says(ask(*client, reading("k")), "127.0.0.1"));
}

TEST_F(EtcdTls, PlainAndEncryptedDontMix) {
  EtcdOptions plain = options(*servers_, "ca.pem", "client");
  plain.endpoints[0].replace(0, 5, "http");
  EXPECT_TRUE(says(ask(*client_of(plain), reading("k")), plain.endpoints[0]));
}

TEST_F(EtcdTls, AConnectionThatWasKeptMayBreak) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto servers = must(EtcdServers::start({.tls = true}));
  const auto client = client_of(options(*servers, "ca.pem", "client"));
  reply_to(*client, writing("k", "1"));
  servers->kill(0);
  EXPECT_TRUE(says(ask(*client, writing("k", "2")), servers->endpoint(0)));
  ASSERT_TRUE(servers->restart(0));
  EXPECT_EQ(reply_to(*client, reading("k")).found.at(0).at(0).value, "1");
}

}  // namespace
}  // namespace jvpn::cluster
