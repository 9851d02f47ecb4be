#include "common/ip.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace jvpn {
namespace {

struct AddressCase {
  const char* text;
  const char* canonical;  // nullptr: refused
};

constexpr AddressCase kAddresses[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"", nullptr},
    {"192.0.2", nullptr},
    {"192.0.2.256", nullptr},
    {"192.0.2.1 ", nullptr},
    {" 192.0.2.1", nullptr},
    {"192.0.2.01", nullptr},
    {"2001:db8::1::2", nullptr},
    {"2001:db8::g", nullptr},
    {"[::1]", nullptr},
    {"fe80::1%eth0", nullptr},
    {"gateway", nullptr},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", nullptr},
};

TEST(IpAddress, ParsesAndPrints) {
  for (const AddressCase& c : kAddresses) {
    const auto address = IpAddress::parse(c.text);
    ASSERT_EQ(address.has_value(), c.canonical != nullptr) << c.text;
    if (!address) continue;
    EXPECT_EQ(to_string(*address), c.canonical);
    EXPECT_EQ(IpAddress::parse(to_string(*address)), address);
  }
}

TEST(IpAddress, RefusesTextAfterAZeroByte) {
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0x", 10)));
}

TEST(IpAddress, KnowsItsFamily) {
  const IpAddress v4 = IpAddress::v4({10, 0, 0, 1});
  const IpAddress v6 = IpAddress::v6({0x20, 0x01});
  EXPECT_TRUE(v4.is_v4() && !v4.is_v6());
  EXPECT_TRUE(v6.is_v6() && !v6.is_v4());
  EXPECT_EQ(v4.bits(), 32);
  EXPECT_EQ(v6.bits(), 128);
  EXPECT_EQ(IpAddress{}.bits(), 0);
  EXPECT_EQ(to_string(IpAddress{}), "none");
  EXPECT_NE(IpAddress::v4({0, 0, 0, 0}), IpAddress::v6({}));
}

TEST(Endpoint, ParsesAndPrints) {
  for (const char* text : {"192.0.2.1:51900", "[2001:db8::1]:1", "0.0.0.0:0", "[::]:65535"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(to_string(*endpoint), text);
  }
  EXPECT_EQ(Endpoint::parse("192.0.2.1:51900")->port, 51900);
}

TEST(Endpoint, RefusesWhatIsNone) {
  for (const char* text :
       {"", ":", "192.0.2.1", "192.0.2.1:", ":51900", "192.0.2.1:65536", "192.0.2.1:-1",
        "192.0.2.1:+1", "192.0.2.1:01", "192.0.2.1:1x", "192.0.2.1: 1", "2001:db8::1:51900",
        "[2001:db8::1]", "[2001:db8::1]51900", "[192.0.2.1]:51900", "[]:1", "[:1", "host:51900",
        "192.0.2.1:99999999999999999999"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(Prefix, ParsesAndPrints) {
  for (const char* text :
       {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::1/64", "fd00::/128"}) {
    const auto prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(to_string(*prefix), text);
  }
  EXPECT_EQ(to_string(*Prefix::parse("10.1.2.3")), "10.1.2.3/32");
  EXPECT_EQ(to_string(*Prefix::parse("fd00::1")), "fd00::1/128");
}

TEST(Prefix, RefusesWhatIsNone) {
  for (const char* text :
       {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08",
        "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "fd00::/129", "10.0.0.0/4294967304", "x/8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

struct ContainsCase {
  const char* prefix;
  const char* address;
  bool contains;
};

constexpr ContainsCase kContains[] = {
    {"10.0.0.0/8", "10.255.255.255", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"10.99.0.1/24", "10.99.0.254", true},  // host bits of the prefix don't count
    {"10.64.0.0/10", "10.127.255.255", true},
    {"10.64.0.0/10", "10.128.0.0", false},
    {"10.64.0.0/10", "10.63.255.255", false},
    {"192.0.2.1/32", "192.0.2.1", true},
    {"192.0.2.1/32", "192.0.2.0", false},
    {"192.0.2.0/31", "192.0.2.1", true},
    {"0.0.0.0/0", "255.255.255.255", true},
    {"0.0.0.0/0", "::", false},
    {"::/0", "0.0.0.0", false},
    {"::/0", "ffff::", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"fd00::1/128", "fd00::1", true},
    {"fd00::1/127", "fd00::", true},
    {"fd00::1/128", "fd00::", false},
};

TEST(Prefix, Contains) {
  for (const ContainsCase& c : kContains) {
    EXPECT_EQ(Prefix::parse(c.prefix)->contains(*IpAddress::parse(c.address)), c.contains)
        << c.prefix << " " << c.address;
  }
  EXPECT_FALSE(Prefix{}.contains(IpAddress{}));
}

TEST(Prefix, NetworkClearsHostBits) {
  constexpr std::pair<const char*, const char*> cases[] = {
      {"10.99.0.1/24", "10.99.0.0/24"},     {"10.255.255.255/9", "10.128.0.0/9"},
      {"255.255.255.255/0", "0.0.0.0/0"},   {"192.0.2.1/32", "192.0.2.1/32"},
      {"2001:db8::1/64", "2001:db8::/64"},  {"ffff:ffff::/17", "ffff:8000::/17"},
      {"fd00::ffff/127", "fd00::fffe/127"},
  };
  for (const auto& [from, to] : cases) {
    EXPECT_EQ(to_string(Prefix::parse(from)->network()), to);
  }
}

TEST(Prefix, IsHostAtFullLength) {
  EXPECT_TRUE(Prefix::parse("10.0.0.1")->is_host());
  EXPECT_TRUE(Prefix::parse("fd00::1/128")->is_host());
  EXPECT_FALSE(Prefix::parse("10.0.0.0/31")->is_host());
}

}  // namespace
}  // namespace jvpn
