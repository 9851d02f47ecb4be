// What the tests of the etcd client share.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "control/cluster/etcd_client.h"
#include "tests/support/must.h"

namespace jvpn::cluster {

// No answer of a sound test takes so long.
inline constexpr Millis kAmple{30'000};

inline std::unique_ptr<EtcdClient> client_of(EtcdOptions options) {
  return test::must(EtcdClient::create(std::move(options)));
}
inline std::unique_ptr<EtcdClient> client_of(std::vector<std::string> endpoints) {
  return client_of(EtcdOptions{.endpoints = std::move(endpoints)});
}

/// The next answer, whatever it is of; waits for it.
inline TxnAnswer next_answer(EtcdClient& client) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (std::chrono::steady_clock::now() < end) {
    if (auto answer = client.take()) return *std::move(answer);
    client.wait(kAmple);
  }
  ADD_FAILURE() << "a transaction without an answer";
  return {};
}

/// Sends it alone, and waits.
inline TxnAnswer ask(EtcdClient& client, const Txn& txn, Millis patience = kAmple) {
  static uint64_t number = 1000;
  client.send(++number, txn, patience);
  TxnAnswer answer = next_answer(client);
  EXPECT_EQ(answer.number, number);
  EXPECT_EQ(answer.reply.has_value(), answer.trouble.empty()) << answer.trouble;
  EXPECT_EQ(client.in_flight(), 0U);
  return answer;
}

/// The same, with a reply.
inline TxnReply reply_to(EtcdClient& client, const Txn& txn) {
  TxnAnswer answer = ask(client, txn);
  EXPECT_TRUE(answer.reply) << answer.trouble;
  return answer.reply.value_or(TxnReply{});
}

inline Txn reading(const std::string& key) {
  return {.compares = {}, .then = {Op::get(key)}, .otherwise = {}};
}
inline Txn writing(const std::string& key, const std::string& value) {
  return {.compares = {}, .then = {Op::put(key, value)}, .otherwise = {}};
}

inline testing::AssertionResult says(const TxnAnswer& answer, const std::string& words) {
  if (answer.reply) return testing::AssertionFailure() << "there is a reply";
  if (answer.trouble.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << answer.trouble << "' lacks '" << words << "'";
}

}  // namespace jvpn::cluster
