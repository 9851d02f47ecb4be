// The route table against a model that tries every prefix, over random additions, replacements
// and removals. JVPN_SEED replays a run. Needs DPDK's environment (tests/packet/main.cc).
#include "common/route_table.h"

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/handles.h"
#include "tests/support/must.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

/// Longest match by trying all.
class Model {
 public:
  void add(const Prefix& prefix, Target target) { routes_[prefix] = target; }
  void remove(const Prefix& prefix) { routes_.erase(prefix); }
  Target lookup(const IpAddress& address) const {
    const Prefix* best = nullptr;
    Target target;
    for (const auto& [prefix, to] : routes_) {
      if (!prefix.contains(address) || (best != nullptr && best->length > prefix.length)) continue;
      best = &prefix;
      target = to;
    }
    return target;
  }
  const std::map<Prefix, Target>& routes() const { return routes_; }

 private:
  std::map<Prefix, Target> routes_;
};

class RouteTableTest : public testing::Test {
 public:
  explicit RouteTableTest(RouteTable::Sizes sizes = {})
      : table_(test::must(RouteTable::create(sizes, rcu_.get()))) {}

 protected:
  void add(const Prefix& prefix, Target target) {
    const auto added = table_->add(prefix, target);
    EXPECT_TRUE(added.ok()) << (added.ok() ? "" : added.error().message);
    model_.add(prefix, target);
  }
  void add(const char* prefix, Target target) { add(Prefix::parse(prefix).value(), target); }
  void remove(const Prefix& prefix) {
    table_->remove(prefix);
    model_.remove(prefix);
  }
  void remove(const char* prefix) { remove(Prefix::parse(prefix).value()); }

  Target lookup(const IpAddress& address) const {
    if (address.is_v6()) return table_->lookup_v6(address.bytes.data());
    uint32_t word;
    __builtin_memcpy(&word, address.bytes.data(), sizeof word);
    return table_->lookup_v4(word);
  }
  Target lookup(const char* text) const { return lookup(IpAddress::parse(text).value()); }

  /// An address in a small corner of the space, so that prefixes overlap.
  IpAddress random_address(bool v4) {
    IpAddress address;
    address.family = v4 ? Family::kIpv4 : Family::kIpv6;
    const auto draw = [&](unsigned choices) { return static_cast<uint8_t>(random_() % choices); };
    address.bytes[0] = v4 ? 10 : 0xFD;
    for (size_t i = 1; i < (v4 ? 4U : 16U); ++i) address.bytes[i] = draw(i < 4 ? 3 : 2);
    if (random_() % 8 == 0) address.bytes[v4 ? 3 : 15] = draw(256);
    return address;
  }
  Prefix random_prefix() {
    const bool v4 = random_() % 2 == 0;
    const uint64_t length = random_() % (v4 ? 33 : 129);
    return Prefix{random_address(v4), static_cast<uint8_t>(length)}.network();
  }
  Target random_target() {
    switch (random_() % 4) {
      case 0:
        return Target::next_hop(static_cast<uint32_t>(random_() % kMaxNextHops));
      case 1:
        return Target::glean(static_cast<uint16_t>(random_() % kMaxPorts));
      case 2:
        return Target::local(static_cast<uint16_t>(random_() % kMaxPorts));
      default:
        return Target::peer(PeerId{static_cast<uint32_t>(random_() % kMaxPeers)});
    }
  }
  void compare_random();
  void compare_bulk(bool v4);

  Rcu rcu_ = test::must(make_rcu(1));
  std::unique_ptr<RouteTable> table_;
  Model model_;
  std::mt19937_64 random_{test::run_seed()};
};

void RouteTableTest::compare_random() {
  for (int i = 0; i < 200; ++i) {
    const IpAddress address = random_address(random_() % 2 == 0);
    EXPECT_EQ(lookup(address).bits, model_.lookup(address).bits) << to_string(address);
  }
  compare_bulk(true);
  compare_bulk(false);
}

void RouteTableTest::compare_bulk(bool v4) {
  std::vector<IpAddress> addresses(1 + random_() % 64);
  for (IpAddress& address : addresses) address = random_address(v4);
  std::vector<Target> targets(addresses.size());
  std::vector<uint32_t> words(addresses.size());
  std::vector<const uint8_t*> pointers;
  for (size_t i = 0; i < addresses.size(); ++i) {
    __builtin_memcpy(&words[i], addresses[i].bytes.data(), 4);
    pointers.push_back(addresses[i].bytes.data());
  }
  if (v4)
    table_->lookup_v4(words, targets);
  else
    table_->lookup_v6(pointers, targets);
  for (size_t i = 0; i < addresses.size(); ++i)
    EXPECT_EQ(targets[i].bits, model_.lookup(addresses[i]).bits) << to_string(addresses[i]);
}

TEST(Target, keeps_kind_and_number_in_21_bits) {
  using Kind = Target::Kind;
  EXPECT_EQ(Target{}.kind(), Kind::kNone);
  EXPECT_EQ(Target::peer(PeerId{kMaxPeers - 1}).kind(), Kind::kPeer);
  EXPECT_EQ(Target::peer(PeerId{kMaxPeers - 1}).number(), kMaxPeers - 1);
  EXPECT_EQ(Target::next_hop(kMaxNextHops - 1).kind(), Kind::kNextHop);
  EXPECT_EQ(Target::next_hop(kMaxNextHops - 1).number(), kMaxNextHops - 1);
  EXPECT_EQ(Target::glean(3).kind(), Kind::kGlean);
  EXPECT_EQ(Target::glean(3).number(), 3U);
  EXPECT_EQ(Target::local(15).kind(), Kind::kLocal);
  EXPECT_EQ(Target::local(15).number(), 15U);
}

TEST_F(RouteTableTest, matches_the_model_over_random_changes) {
  for (int round = 0; round < 30; ++round) {
    for (int change = 0; change < 20; ++change) {
      const bool removes = !model_.routes().empty() && random_() % 3 == 0;
      if (!removes) {
        add(random_prefix(), random_target());
        continue;
      }
      auto at = model_.routes().begin();
      std::advance(at, static_cast<long>(random_() % model_.routes().size()));
      remove(Prefix(at->first));
    }
    compare_random();
  }
}

TEST_F(RouteTableTest, hosts_win_over_prefixes_and_prefixes_over_the_default) {
  add("0.0.0.0/0", Target::peer(PeerId{1}));
  add("10.0.0.0/8", Target::peer(PeerId{2}));
  add("10.0.0.1/32", Target::peer(PeerId{3}));
  add("::/0", Target::peer(PeerId{4}));
  add("fd00::/8", Target::peer(PeerId{5}));
  add("fd00::1/128", Target::peer(PeerId{0}));
  EXPECT_EQ(lookup("192.0.2.1"), Target::peer(PeerId{1}));
  EXPECT_EQ(lookup("10.0.0.2"), Target::peer(PeerId{2}));
  EXPECT_EQ(lookup("10.0.0.1"), Target::peer(PeerId{3}));
  EXPECT_EQ(lookup("2001:db8::1"), Target::peer(PeerId{4}));
  EXPECT_EQ(lookup("fd00::2"), Target::peer(PeerId{5}));
  EXPECT_EQ(lookup("fd00::1"), Target::peer(PeerId{0}));
  for (const char* gone :
       {"0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::/8", "fd00::1/128"})
    remove(gone);
  for (const char* nowhere : {"192.0.2.1", "10.0.0.1", "fd00::1", "2001:db8::1"})
    EXPECT_EQ(lookup(nowhere).kind(), Target::Kind::kNone) << nowhere;
}

TEST_F(RouteTableTest, removed_entries_make_room_again) {
  for (int round = 0; round < 5; ++round) {
    for (uint32_t host = 0; host < 4'096; ++host) {
      const Prefix prefix{
          IpAddress::v4({10, static_cast<uint8_t>(round), static_cast<uint8_t>(host >> 8),
                         static_cast<uint8_t>(host)}),
          32};
      EXPECT_TRUE(table_->add(prefix, Target::peer(PeerId{host})).ok()) << to_string(prefix);
      EXPECT_EQ(lookup(prefix.address), Target::peer(PeerId{host}));
    }
    for (uint32_t host = 0; host < 4'096; ++host)
      table_->remove({IpAddress::v4({10, static_cast<uint8_t>(round),
                                     static_cast<uint8_t>(host >> 8), static_cast<uint8_t>(host)}),
                      32});
  }
}

/// Hosts, IPv4 prefixes and IPv6 prefixes, while a worker asks for them.
TEST_F(RouteTableTest, answers_stay_right_while_routes_change) {
  add("10.0.0.0/8", Target::peer(PeerId{1}));
  add("10.1.0.1/32", Target::peer(PeerId{3}));
  add("fd00::/16", Target::peer(PeerId{5}));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> asked{0};
  std::atomic<uint64_t> wrong{0};
  std::thread worker([&] {
    rte_rcu_qsbr_thread_register(rcu_.get(), 0);
    rte_rcu_qsbr_thread_online(rcu_.get(), 0);
    for (IpAddress moving = IpAddress::v4({10, 2, 3, 0}); !stop; ++moving.bytes[3]) {
      const uint32_t at = lookup(moving).bits;
      const uint32_t at6 = lookup("fd00:100::").bits;
      wrong +=
          lookup("10.1.0.1").bits != 3 || (at != 1 && at != 2 && at != 4) || (at6 != 5 && at6 != 6);
      ++asked;
      rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    }
    rte_rcu_qsbr_thread_offline(rcu_.get(), 0);
    rte_rcu_qsbr_thread_unregister(rcu_.get(), 0);
  });
  constexpr unsigned kRounds = test::rounds(2'000);
  for (unsigned round = 0; round < kRounds || asked < kRounds; ++round) {
    const Prefix host{IpAddress::v4({10, 2, 3, static_cast<uint8_t>(round)}), 32};
    add(host, Target::peer(PeerId{2}));
    add("10.2.3.128/25", Target::peer(PeerId{4}));
    if (round % 2 == 0) remove("10.2.3.128/25");
    remove(host);
    add("fd00:100::/24", Target::peer(PeerId{5 + round % 2}));
    if (round % 4 == 3) remove("fd00:100::/24");
  }
  stop = true;
  worker.join();
  EXPECT_EQ(wrong, 0U);
}

class SmallRouteTable : public RouteTableTest {
 protected:
  SmallRouteTable() : RouteTableTest({8, 8, 0, 2}) {}
};

TEST_F(SmallRouteTable, says_when_it_is_full) {
  EXPECT_FALSE(table_->add(Prefix::parse("10.0.0.0/8").value(), Target{}).ok())
      << "no IPv4 prefix table was asked for";
  add("0.0.0.0/0", Target::peer(PeerId{7}));
  EXPECT_EQ(lookup("10.0.0.1"), Target::peer(PeerId{7}));
  add("fd01::/16", Target::peer(PeerId{1}));
  add("fd02::/16", Target::peer(PeerId{2}));
  const auto third = table_->add(Prefix::parse("fd03::/16").value(), Target{});
  ASSERT_FALSE(third.ok());
  EXPECT_NE(third.error().message.find("fd03::/16"), std::string::npos) << third.error().message;
  add("fd01::/16", Target::peer(PeerId{3}));
  EXPECT_EQ(lookup("fd01::1"), Target::peer(PeerId{3}));
}

}  // namespace
}  // namespace jvpn
