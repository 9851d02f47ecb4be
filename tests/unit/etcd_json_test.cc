// etcd's JSON: what we send, byte for byte, and what we make of every kind of answer.
#include "control/cluster/etcd_json.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/seed.h"

namespace jvpn::cluster {
namespace {

Op range(std::string key, std::string end, int64_t limit) {
  return {.kind = Op::Kind::kGet, .key = std::move(key), .end = std::move(end), .limit = limit};
}

TEST(EtcdJson, Base64IsThatOfTheRfc) {
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {std::string("\0\xff\xfe", 3), "AP/+"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  std::mt19937_64 random(test::run_seed());
  for (size_t length = 0; length < 300; ++length) {
    std::string bytes(length, '\0');
    for (char& each : bytes) each = static_cast<char>(random());
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
}

TEST(EtcdJson, WhatIsNoBase64IsRefused) {
  for (const std::string_view text :
       {"A", "AA", "AAA", "=", "====", "A===", "AA=A", "=AAA", "AA==AAAA", "AAAA=", "AA A", " AAA",
        "AAA ", "AA\n=", "\nAAA", "AA-_", "AAA*", "AAAAA"}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
  EXPECT_EQ(from_base64(std::string_view("AA\0A", 4)), std::nullopt);
}

TEST(EtcdJson, TransactionsAreEncodedExactly) {
  EXPECT_EQ(encode_txn({}), R"({"compare":[],"success":[],"failure":[]})");
  const Txn txn{.compares = {{"a", 0}, {"b", INT64_MAX}},
                .then = {Op::put("k", "v"), Op::put("k", ""), Op::erase("k"), Op::get("k")},
                .otherwise = {range("a", "b", 7), range("a", "b", 0)}};
  EXPECT_EQ(
      encode_txn(txn),
      R"({"compare":[{"target":"MOD","result":"EQUAL","key":"YQ==","mod_revision":"0"},)"
      R"({"target":"MOD","result":"EQUAL","key":"Yg==","mod_revision":"9223372036854775807"}],)"
      R"("success":[{"request_put":{"key":"aw==","value":"dg=="}},)"
      R"({"request_put":{"key":"aw==","value":""}},)"
      R"({"request_delete_range":{"key":"aw=="}},)"
      R"({"request_range":{"key":"aw=="}}],)"
      R"("failure":[{"request_range":{"key":"YQ==","range_end":"Yg==","limit":"7"}},)"
      R"({"request_range":{"key":"YQ==","range_end":"Yg=="}}]})");
}

TEST(EtcdJson, AnAnswerIsCheckedWithoutTheValuesThatWereSent) {
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

std::string answer(const std::string& kvs) {
  return R"({"header":{"cluster_id":"18446744073709551615","member_id":"1","revision":"9",)"
         R"("raft_term":"2"},"succeeded":true,"responses":[{"response_put":{"header":)"
         R"({"revision":"9"}}},{"response_range":{"header":{"revision":"9"},"kvs":)" +
         kvs + R"(,"count":"2"}}]})";
}

TEST(EtcdJson, AFullAnswerIsRead) {
  const auto reply = decode_reply(
      question(), answer(R"([{"key":"YQ==","create_revision":"3","mod_revision":"4",)"
                         R"("version":"2","value":"dg=="},{"key":"YgA=","mod_revision":"9"}])"));
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

TEST(EtcdJson, WhatIsFalseOrEmptyIsLeftOut) {
  const auto failed = decode_reply(question(), R"({"header":{"cluster_id":"5","revision":"1"},)"
                                               R"("responses":[{"response_delete_range":{}}]})");
  ASSERT_TRUE(failed) << failed.error().message;
  EXPECT_FALSE(failed->succeeded);
  EXPECT_EQ(failed->found.size(), 1U);
  const auto empty = decode_reply({}, R"({"header":{"cluster_id":"5","revision":"1"}})");
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_TRUE(empty->found.empty());
  EXPECT_TRUE(decode_reply(question(), answer("null")));
}

TEST(EtcdJson, WhatWasntAskedForIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "kvs as an array"},
      {R"("a")", "kvs as an array"},
      {R"([5])", "expected an object"},
      {R"([[]])", "expected an object"},
      {R"([{"mod_revision":"4"}])", "wasn't asked for"},
      {R"([{"key":"Yw==","mod_revision":"4"}])", "wasn't asked for"},
      {R"([{"key":"YA==","mod_revision":"4"}])", "wasn't asked for"},
      {R"([{"key":"*","mod_revision":"4"}])", "base64"},
      {R"([{"key":7,"mod_revision":"4"}])", "base64"},
      {R"([{"key":"YQ==","value":["dg=="],"mod_revision":"4"}])", "base64"},
      {R"([{"key":"YQ==","value":"dg","mod_revision":"4"}])", "base64"},
      {R"([{"key":"YQ=="}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":4}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":"0"}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":"-4"}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":"10"}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":"4x"}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":" 4"}])", "mod_revision"},
      {R"([{"key":"YQ==","mod_revision":"9223372036854775808"}])", "mod_revision"},
      {R"([{"key":"Yg==","mod_revision":"4"},{"key":"YQ==","mod_revision":"4"}])", "out of order"},
      {R"([{"key":"YQ==","mod_revision":"4"},{"key":"YQ==","mod_revision":"4"}])", "out of order"},
      {R"([{"key":"YQ==","mod_revision":"4"},{"key":"YWE=","mod_revision":"4"},)"
       R"({"key":"Yg==","mod_revision":"4"}])",
       "more keys"},
  };
  for (const auto& [kvs, trouble] : cases) {
    const auto reply = decode_reply(question(), answer(kvs));
    ASSERT_FALSE(reply) << kvs;
    EXPECT_NE(reply.error().message.find(trouble), std::string::npos)
        << kvs << ": " << reply.error().message;
  }
}

TEST(EtcdJson, AnswersOfAnotherShapeAreRefused) {
  const std::string header = R"("header":{"cluster_id":"5","revision":"7"})";
  const std::pair<std::string, const char*> cases[] = {
      {"", "JSON object"},
      {"garbage", "JSON object"},
      {"[]", "JSON object"},
      {"5", "JSON object"},
      {"null", "JSON object"},
      {"{", "JSON object"},
      {"{} {}", "JSON object"},
      {R"({"a":1e999})", "JSON object"},
      {"{\"a\":\"\xff\"}", "JSON object"},
      {"{}", "no header"},
      {R"({"header":7})", "no header"},
      {R"({"header":[]})", "no header"},
      {R"({"header":{"revision":"7"}})", "cluster_id"},
      {R"({"header":{"cluster_id":5,"revision":"7"}})", "cluster_id"},
      {R"({"header":{"cluster_id":"0","revision":"7"}})", "cluster_id"},
      {R"({"header":{"cluster_id":"-5","revision":"7"}})", "cluster_id"},
      {R"({"header":{"cluster_id":"18446744073709551616","revision":"7"}})", "cluster_id"},
      {R"({"header":{"cluster_id":"5"}})", "revision"},
      {R"({"header":{"cluster_id":"5","revision":"0"}})", "revision"},
      {R"({"header":{"cluster_id":"5","revision":"-7"}})", "revision"},
      {R"({"header":{"cluster_id":"5","revision":""}})", "revision"},
      {R"({"header":{"cluster_id":"5","revision":"7.0"}})", "revision"},
      {R"({"header":{"cluster_id":"5","revision":7}})", "revision"},
      {"{" + header + R"(,"succeeded":"true"})", "succeeded"},
      {"{" + header + R"(,"succeeded":1})", "succeeded"},
      {"{" + header + "}", "expected 1 responses, got 0"},
      {"{" + header + R"(,"succeeded":true})", "expected 2 responses, got 0"},
      {"{" + header + R"(,"responses":{}})", "as an array"},
      {"{" + header + R"(,"responses":[{},{}]})", "expected 1 responses, got 2"},
      {"{" + header + R"(,"responses":[{}]})", "response_delete_range"},
      {"{" + header + R"(,"responses":[7]})", "response_delete_range"},
      {"{" + header + R"(,"responses":[{"response_put":{}}]})", "response_delete_range"},
      {"{" + header + R"(,"responses":[{"response_delete_range":[]}]})", "response_delete_range"},
  };
  for (const auto& [text, trouble] : cases) {
    const auto reply = decode_reply(question(), text);
    ASSERT_FALSE(reply) << text;
    EXPECT_NE(reply.error().message.find(trouble), std::string::npos)
        << text << ": " << reply.error().message;
  }
}

TEST(EtcdJson, NeitherDepthNorNumberTakesMemory) {
  const size_t large = size_t{16} << 20;
  for (const std::string& text :
       {std::string(large, '['), std::string(large, '{'), "[" + std::string(large, ',') + "]",
        R"({"header":)" + std::string(large, '['), "\"" + std::string(large, '[')}) {
    EXPECT_FALSE(decode_reply(question(), text));
    EXPECT_EQ(failure_message(text), "");
  }
  std::string many = R"({"a":[)";
  while (many.size() < large) many += "{},";
  EXPECT_FALSE(decode_reply(question(), many + "{}]}"));
  // What looks like structure inside a string is none.
  const std::string text = R"({"header":{"cluster_id":"5","revision":"7"},"a":")" +
                           std::string(1'000'000, '[') + R"(\"[[,,"})";
  EXPECT_TRUE(decode_reply({}, text));
}

TEST(EtcdJson, EveryCutAndEverySpoiledByteEndsWithAnAnswer) {
  const std::string good = answer(R"([{"key":"YQ==","mod_revision":"4","value":"dg=="}])");
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

TEST(EtcdJson, FailuresSayWhatEtcdSays) {
  EXPECT_EQ(failure_message(R"({"error":"e","message":"m","code":3})"), "m");
  EXPECT_EQ(failure_message(R"({"error":"e","code":3})"), "e");
  EXPECT_EQ(failure_message(R"({"message":7,"error":{"a":1}})"), "");
  for (const char* text : {"", "404 page not found\n", "[]", "{}", "\"message\""}) {
    EXPECT_EQ(failure_message(text), "");
  }
}

}  // namespace
}  // namespace jvpn::cluster
