#include "common/address_use.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace jvpn {
namespace {

Prefix net(const char* text) {
  return *Prefix::parse(text);
}

std::string search(const AddressUse& use, const char* pool, std::vector<IpAddress> kept = {}) {
  AddressSearch search(net(pool), std::move(kept));
  while (!search.ended())
    if (const auto found = search.go_on(use, 3)) return to_string(*found);
  return "none";
}

TEST(AddressUse, TellsWhoHasANetworkAndWhatCoversAnAddress) {
  AddressUse use;
  use.add(net("10.77.0.0/24"), 1);
  use.add(net("10.77.0.9/32"), 2);
  EXPECT_EQ(use.owner(net("10.77.0.9/32")), 2U);
  EXPECT_FALSE(use.owner(net("10.77.0.8/32")));
  EXPECT_EQ(use.covering(*IpAddress::parse("10.77.0.9")), net("10.77.0.0/24"));
  use.remove(net("10.77.0.0/24"), 2);
  EXPECT_TRUE(use.owner(net("10.77.0.0/24"))) << "another's";
  use.remove(net("10.77.0.0/24"), 1);
  EXPECT_EQ(use.covering(*IpAddress::parse("10.77.0.9")), net("10.77.0.9/32"));
  EXPECT_FALSE(use.covering(*IpAddress::parse("10.77.0.8")));
  use.add(net("10.77.0.9/32"), 3);
  use.remove(net("10.77.0.9/32"), 2);
  EXPECT_EQ(use.owner(net("10.77.0.9/32")), 3U) << "it went over to another before";
}

TEST(AddressSearch, GivesTheNextOneAndThenWhatWasLeft) {
  struct Case {
    const char* pool;
    std::vector<const char*> used;
    const char* found;
  };
  for (const Case& each :
       std::vector<Case>{{"10.77.0.0/24", {}, "10.77.0.1/32"},
                         {"10.77.0.0/24", {"10.77.0.1/32", "10.77.0.4/32"}, "10.77.0.5/32"},
                         {"10.77.0.0/30", {"10.77.0.2/32"}, "10.77.0.1/32"},
                         {"10.77.0.0/30", {"10.77.0.1/32", "10.77.0.2/32"}, "none"},
                         {"10.77.0.0/31", {"10.77.0.0/32"}, "10.77.0.1/32"},
                         {"10.77.0.7/32", {}, "10.77.0.7/32"},
                         {"10.77.0.7/32", {"10.77.0.0/16"}, "none"},
                         {"10.77.0.0/24", {"10.77.0.0/25"}, "10.77.0.128/32"},
                         {"10.77.0.0/24", {"10.77.0.0/25", "10.77.0.3/32"}, "10.77.0.128/32"},
                         {"10.77.0.0/24", {"10.77.0.128/25"}, "10.77.0.1/32"},
                         {"255.255.255.0/24", {"255.255.255.254/32"}, "255.255.255.1/32"},
                         {"fd77::/64", {}, "fd77::1/128"},
                         {"fd77::/64", {"fd77::ffff/128"}, "fd77::1:0/128"},
                         {"fd77::/126", {"fd77::3/128"}, "fd77::1/128"},
                         {"fd77::/64", {"10.0.0.0/8", "fd77::1/128"}, "fd77::2/128"}}) {
    AddressUse use;
    for (const char* used : each.used) use.add(net(used), 0);
    EXPECT_EQ(search(use, each.pool), each.found) << each.pool;
  }
  EXPECT_EQ(search({}, "10.77.0.0/24", {*IpAddress::parse("10.77.0.1")}), "10.77.0.2/32");
}

TEST(AddressSearch, FillsAPoolWithoutGivingAnAddressTwice) {
  AddressUse use;
  std::set<std::string> given;
  for (int round = 1;; ++round) {
    const std::string found = search(use, "10.77.4.0/26");
    if (found == "none") break;
    ASSERT_TRUE(given.insert(found).second) << found;
    use.add(net(found.c_str()), 0);
    if (round % 7 != 0 || round > 70) continue;
    use.remove(net(given.begin()->c_str()), 0);  // a gap, which is filled in the end
    given.erase(given.begin());
  }
  EXPECT_EQ(given.size(), 62U);
}

}  // namespace
}  // namespace jvpn
