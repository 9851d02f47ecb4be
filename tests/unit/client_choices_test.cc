// What the client reads or picks without a kernel: the interface to release, the path to dial.
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/rooms.h"
#include "tools/client/control/interface_name.h"
#include "tools/client/underlays/dialer.h"

namespace jvpn {
namespace {

Endpoint gateway_at(const char* text) {
  return *Endpoint::parse(text);
}

// --- whose guards to release ---

TEST(InterfaceNameTest, NothingElseOfAProfileMatters) {
  const auto read = [](const std::string& text) {
    const std::string path = testing::TempDir() + "jvpn_interface_name.yaml";
    std::ofstream(path) << text;
    const auto name = read_interface_name(path);
    std::remove(path.c_str());
    return name ? *name : "error: " + name.error().message;
  };
  EXPECT_EQ(read("role: client\ninterface: {name: jvpn7, mtu: many, color: 3}\n"
                 "crypto: {private_key_file: /nowhere}\n"),
            "jvpn7");
  EXPECT_EQ(read("interface: {name: jvpn7}\ninterface: {name: jvpn8}\n").find("error"),
            std::string::npos);
  for (const char* bad : {"", "interface: jvpn7\n", "interface: {name: [a]}\n", "[1, 2", "- x\n",
                          "interface: {name: sixteen_letters_}\n", "interface: {name: ''}\n"})
    EXPECT_EQ(read(bad).rfind("error: ", 0), 0U) << bad;
  EXPECT_FALSE(read_interface_name("/nowhere/client.yaml"));
}

// --- which path to dial ---

TEST(DialerTest, EveryEndpointOverEveryUnderlayRoundAndRound) {
  const std::vector<Endpoint> endpoints{gateway_at("192.0.2.1:1"), gateway_at("[2001:db8::1]:2")};
  Dialer dialer(2, endpoints, Millis{5'000}, [](size_t n, const Endpoint& remote) -> Result<Path> {
    if (n == 0 && remote.address.is_v6()) return Error{"no IPv6 on 0"};
    return Path{static_cast<uint16_t>(n), {}, remote};
  });
  EXPECT_EQ(dialer.due(), Millis{0});
  std::vector<std::pair<int, uint16_t>> tried;
  for (uint64_t t = 0; t < 4; ++t) {
    const auto path = dialer.next(Millis{t});
    ASSERT_TRUE(path);
    tried.emplace_back(path->interface, path->remote.port);
    EXPECT_EQ(dialer.due(), Millis{t + 5'000});
  }
  const std::vector<std::pair<int, uint16_t>> expected{{0, 1}, {1, 1}, {1, 2}, {0, 1}};
  EXPECT_EQ(tried, expected);
  dialer.attached();
  EXPECT_EQ(dialer.due(), Millis{UINT64_MAX});
}

TEST(DialerTest, NoWayOutIsTriedAgainSoon) {
  Dialer dialer(1, {gateway_at("192.0.2.1:1")}, Millis{5'000},
                [](size_t, const Endpoint&) -> Result<Path> { return Error{"no route"}; });
  EXPECT_FALSE(dialer.next(Millis{10}));
  EXPECT_EQ(dialer.due(), Millis{1'010});
  EXPECT_EQ(dialer.findings(), std::vector<std::string>{"no route"});
}

}  // namespace
}  // namespace jvpn
