// What an operator is told of a store in etcd, by its thread and etcd's own process.
#include <gtest/gtest.h>

#include "control/cluster/etcd_ownership.h"
#include "control/session/system_sources.h"
#include "tests/support/etcd_server.h"

namespace jvpn::test {
namespace {

constexpr Millis kPatient{20'000};

/// Whether it holds within a while, with control at work.
template <typename Condition>
bool comes(cluster::EtcdOwnership& store, Condition holds) {
  const Millis until = session::boottime_now() + kPatient;
  while (!holds() && session::boottime_now() < until)
    store.note_alive(session::boottime_now(), true);
  return holds();
}

TEST(EtcdStatus, TellsWhoAnswersHowFastAndWhyNobodyDoes) {
  auto servers = EtcdServers::start({.members = 1});
  ASSERT_TRUE(servers) << servers.error().message;
  cluster::EtcdOwnershipOptions options;
  options.etcd.endpoints = (*servers)->endpoints();
  options.node = "gw1";
  options.prefix = "told";
  options.safe = Millis{1'000};
  auto store = cluster::EtcdOwnership::open(std::move(options), generate_secret_key());
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_TRUE(comes(**store, [&] { return !(*store)->silent(); }));
  session::OwnershipStatus status = (*store)->status();
  EXPECT_STREQ(status.kind, "etcd");
  EXPECT_EQ(status.endpoints, (*servers)->endpoints());
  EXPECT_EQ(status.endpoint, (*servers)->endpoint(0));
  EXPECT_EQ(status.trouble, "");
  EXPECT_GT(status.transactions, 0U);
  EXPECT_GT(status.p50_us, 0U);
  EXPECT_GE(status.p99_us, status.p50_us);

  (*servers)->kill(0);
  ASSERT_TRUE(comes(**store, [&] { return (*store)->silent(); }));
  status = (*store)->status();
  EXPECT_NE(status.trouble.find((*servers)->endpoint(0)), std::string::npos) << status.trouble;
}

}  // namespace
}  // namespace jvpn::test
