// etcd's messages: what we send, byte for byte, and what we make of every kind of answer.
#include "control/cluster/etcd_messages.h"

#include <functional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "control/cluster/etcd.pb.h"
#include "tests/support/seed.h"

namespace jvpn::cluster {
namespace {

Op range(std::string key, std::string end, int64_t limit) {
  return {.kind = Op::Kind::kGet, .key = std::move(key), .end = std::move(end), .limit = limit};
}

// As the encoding of protocol buffers and etcd's rpc.proto have it: tag, length, content.
TEST(EtcdMessages, TransactionsAreEncodedExactly) {
  using namespace std::string_literals;
  EXPECT_EQ(encode_txn({}), "");
  const Txn txn{.compares = {{"a", 0}, {"b", 300}},
                .then = {Op::put("k", "v"), Op::put("k", ""), Op::erase("k"), Op::get("k")},
                .otherwise = {range("a", "b", 7), range("a", "b", 0)}};
  EXPECT_EQ(encode_txn(txn),
            "\x0a\x07\x10\x02\x1a\x01"s
            "a\x30\x00"s
            "\x0a\x08\x10\x02\x1a\x01"s
            "b\x30\xac\x02"s
            "\x12\x08\x12\x06\x0a\x01"s
            "k\x12\x01v"s
            "\x12\x05\x12\x03\x0a\x01"s
            "k"s
            "\x12\x05\x1a\x03\x0a\x01"s
            "k"s
            "\x12\x05\x0a\x03\x0a\x01"s
            "k"s
            "\x1a\x0a\x0a\x08\x0a\x01"s
            "a\x12\x01"s
            "b\x18\x07"s
            "\x1a\x08\x0a\x06\x0a\x01"s
            "a\x12\x01"s
            "b"s);
}

TEST(EtcdMessages, AnAnswerIsCheckedWithoutTheValuesThatWereSent) {
  const Txn bare = without_values(
      {.compares = {{"a", 1}}, .then = {Op::put("k", "large")}, .otherwise = {range("a", "b", 7)}});
  ASSERT_EQ(bare.then.size(), 1U);
  EXPECT_EQ(bare.then[0].key, "k");
  EXPECT_EQ(bare.then[0].value, "");
  ASSERT_EQ(bare.otherwise.size(), 1U);
  EXPECT_EQ(bare.otherwise[0].end, "b");
  EXPECT_EQ(bare.otherwise[0].limit, 7);
}

/// What is asked in the tests below: in `then` a put and a range, in `otherwise` a deletion.
Txn question() {
  return {.compares = {},
          .then = {Op::put("k", "v"), range("a", "c", 2)},
          .otherwise = {Op::erase("k")}};
}

/// A sound answer: the range found one key.
etcd::TxnResponse sound_answer() {
  etcd::TxnResponse answer;
  answer.mutable_header()->set_cluster_id(UINT64_MAX);
  answer.mutable_header()->set_revision(9);
  answer.set_succeeded(true);
  answer.add_responses()->mutable_response_put();
  etcd::KeyValue& found = *answer.add_responses()->mutable_response_range()->add_kvs();
  found.set_key("a");
  found.set_value("v");
  found.set_mod_revision(4);
  return answer;
}

etcd::RangeResponse& range_of(etcd::TxnResponse& answer) {
  return *answer.mutable_responses(1)->mutable_response_range();
}
void add_key(etcd::TxnResponse& answer, std::string key, int64_t modified) {
  etcd::KeyValue& found = *range_of(answer).add_kvs();
  found.set_key(std::move(key));
  found.set_mod_revision(modified);
}

TEST(EtcdMessages, AFullAnswerIsRead) {
  etcd::TxnResponse answer = sound_answer();
  add_key(answer, std::string("b\0", 2), 9);
  const auto reply = decode_reply(question(), answer.SerializeAsString());
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_TRUE(reply->succeeded);
  EXPECT_EQ(reply->revision, 9);
  EXPECT_EQ(reply->cluster, UINT64_MAX);
  ASSERT_EQ(reply->found.size(), 2U);
  EXPECT_TRUE(reply->found[0].empty());
  ASSERT_EQ(reply->found[1].size(), 2U);
  EXPECT_EQ(reply->found[1][0].key, "a");
  EXPECT_EQ(reply->found[1][0].value, "v");
  EXPECT_EQ(reply->found[1][0].modified, 4);
  EXPECT_EQ(reply->found[1][1].key, std::string("b\0", 2));
  EXPECT_EQ(reply->found[1][1].value, "");
  EXPECT_EQ(reply->found[1][1].modified, 9);
}

TEST(EtcdMessages, WhatWeDontKnowIsPassedOver) {
  using namespace std::string_literals;
  // A header with member_id 1 and raft_term 2, and a field of a later version behind all.
  const auto reply = decode_reply({},
                                  "\x0a\x08\x08\x05\x10\x01\x18\x07\x20\x02"s
                                  "\x7a\x02hi"s);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->cluster, 5U);
  EXPECT_EQ(reply->revision, 7);
  EXPECT_FALSE(reply->succeeded);
  EXPECT_TRUE(reply->found.empty());
}

TEST(EtcdMessages, WhatWasntAskedForIsRefused) {
  using Change = std::function<void(etcd::TxnResponse&)>;
  const auto first = [](etcd::TxnResponse& answer) -> etcd::KeyValue& {
    return *range_of(answer).mutable_kvs(0);
  };
  const std::tuple<const char*, Change, const char*> cases[] = {
      {"no header", [](auto& each) { each.clear_header(); }, "no header"},
      {"no cluster", [](auto& each) { each.mutable_header()->clear_cluster_id(); }, "cluster_id"},
      {"no revision", [](auto& each) { each.mutable_header()->clear_revision(); }, "revision"},
      {"a negative revision", [](auto& each) { each.mutable_header()->set_revision(-7); },
       "revision"},
      {"the other branch", [](auto& each) { each.set_succeeded(false); },
       "expected 1 responses, got 2"},
      {"too few", [](auto& each) { each.mutable_responses()->RemoveLast(); },
       "expected 2 responses, got 1"},
      {"too many", [](auto& each) { each.add_responses(); }, "expected 2 responses, got 3"},
      {"an answer to something else",
       [](auto& each) { each.mutable_responses(0)->mutable_response_range(); },
       "responses[0]: the answer to another operation"},
      {"an empty response", [](auto& each) { each.mutable_responses(1)->Clear(); },
       "responses[1]: the answer to another operation"},
      {"a key behind the range", [&](auto& each) { first(each).set_key("c"); }, "wasn't asked for"},
      {"a key before it", [&](auto& each) { first(each).set_key("`"); }, "wasn't asked for"},
      {"no key", [&](auto& each) { first(each).clear_key(); }, "wasn't asked for"},
      {"never modified", [&](auto& each) { first(each).clear_mod_revision(); }, "mod_revision"},
      {"modified before time", [&](auto& each) { first(each).set_mod_revision(-4); },
       "mod_revision"},
      {"modified in the future", [&](auto& each) { first(each).set_mod_revision(10); },
       "mod_revision"},
      {"the same twice", [](auto& each) { add_key(each, "a", 4); }, "out of order"},
      {"backwards",
       [&](auto& each) {
         first(each).set_key("b");
         add_key(each, "a", 4);
       },
       "out of order"},
      {"more than asked for",
       [](auto& each) {
         add_key(each, "aa", 4);
         add_key(each, "b", 4);
       },
       "more keys"},
  };
  for (const auto& [name, change, trouble] : cases) {
    SCOPED_TRACE(name);
    etcd::TxnResponse answer = sound_answer();
    change(answer);
    const auto reply = decode_reply(question(), answer.SerializeAsString());
    ASSERT_FALSE(reply);
    EXPECT_NE(reply.error().message.find(trouble), std::string::npos) << reply.error().message;
  }
}

TEST(EtcdMessages, OtherBytesAreRefused) {
  for (const std::string& bytes :
       {std::string("garbage"), std::string("\x0a"), std::string("\x0a\xff\xff\xff\xff\x7f"),
        std::string(1000, '\x1a'), std::string(size_t{4} << 20, '\xff')}) {
    const auto reply = decode_reply(question(), bytes);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "the answer isn't a message of etcd's");
  }
}

TEST(EtcdMessages, EveryCutAndEverySpoiledByteEndsWithAnAnswer) {
  const std::string good = sound_answer().SerializeAsString();
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(decode_reply(question(), good.substr(0, length))) << length;
  }
  std::mt19937_64 random(test::run_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string spoiled = good;
    for (int i = 0; i < 3; ++i) spoiled[random() % spoiled.size()] = static_cast<char>(random());
    const auto reply = decode_reply(question(), spoiled);
    if (reply) {
      EXPECT_EQ(reply->found.size(), reply->succeeded ? 2U : 1U);
      EXPECT_GE(reply->revision, 1);
    }
  }
}

}  // namespace
}  // namespace jvpn::cluster
