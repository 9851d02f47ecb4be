// Link, address and route changes of a real kernel, as the watch announces them and as an underlay
// finds them: wan0 (192.0.2.2/24, 2001:db8::2/64, default route) beside far0, its other end.
#include "tools/client/underlays/link_watch.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/support/rooms.h"
#include "tests/unit/private_network.h"
#include "tools/client/underlays/udp_socket.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn {
namespace {

const Endpoint kGateway4 = *Endpoint::parse("198.51.100.1:51900");
const Endpoint kNeighbor4 = *Endpoint::parse("192.0.2.9:51900");
const Endpoint kNeighbor6 = *Endpoint::parse("[2001:db8::9]:51900");

/// Waits for an announcement of a change at the watched devices.
bool announced(LinkWatch& watch) {
  pollfd one{watch.fd(), POLLIN, 0};
  for (int i = 0; i < 20; ++i)
    if (::poll(&one, 1, 500) > 0 && watch.take()) return true;
  return false;
}

/// Takes what is announced already, and what the kernel still adds in the background.
void settle(LinkWatch& watch) {
  pollfd one{watch.fd(), POLLIN, 0};
  while (::poll(&one, 1, 200) > 0) (void)watch.take();
}

std::unique_ptr<LinkWatch> watch_wan0() {
  auto watch = LinkWatch::open({"wan0", "wwan9"});
  EXPECT_TRUE(watch) << watch.error().message;
  settle(**watch);
  return std::move(watch).value();
}

Underlay wan0(std::optional<IpAddress> source = std::nullopt) {
  return Underlay(0, {"wan0", "wan0", source}, std::nullopt);
}

std::string lost(const Underlay& underlay, const Path& path) {
  const auto usable = underlay.usable(path);
  return usable ? "" : usable.error().message;
}

bool names(const std::string& message, const char* cause) {
  return message.find(cause) != std::string::npos;
}

struct Loss {
  const char* name;
  const char* command;
  const char* back;
  const char* cause;
};

TEST_F(PrivateNetwork, EveryLossIsAnnouncedAndNamedAndEndsAgain) {
  for (const Loss& loss : {
           Loss{"down", "ip link set wan0 down",
                "ip link set wan0 up; ip route add default via 192.0.2.9", "it is down"},
           Loss{"carrier", "ip link set far0 down", "ip link set far0 up", "no carrier"},
           Loss{"address", "ip addr del 192.0.2.2/24 dev wan0",
                "ip addr add 192.0.2.2/24 dev wan0; ip route add default via 192.0.2.9",
                "address 192.0.2.2 was removed"},
           Loss{"route", "ip route del default", "ip route add default via 192.0.2.9",
                "no route to 198.51.100.1:51900"},
       }) {
    SCOPED_TRACE(loss.name);
    run([&loss] {
      const auto watch = watch_wan0();
      Underlay underlay = wan0();
      const auto path = underlay.path_to(kGateway4);
      ASSERT_TRUE(path) << path.error().message;
      EXPECT_EQ(lost(underlay, *path), "");
      output_of(loss.command);
      EXPECT_TRUE(announced(*watch));
      settle(*watch);
      EXPECT_TRUE(names(lost(underlay, *path), loss.cause)) << lost(underlay, *path);
      EXPECT_FALSE(underlay.path_to(kGateway4));
      output_of(loss.back);
      EXPECT_TRUE(announced(*watch));
      settle(*watch);
      const auto again = underlay.path_to(kGateway4);
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(*again, *path);
      EXPECT_EQ(lost(underlay, *path), "");
    });
  }
}

TEST_F(PrivateNetwork, Ipv6AddressThatGoesTakesItsPathAlong) {
  run([] {
    const auto watch = watch_wan0();
    Underlay underlay = wan0();
    const auto path4 = underlay.path_to(kNeighbor4);
    const auto path6 = underlay.path_to(kNeighbor6);
    ASSERT_TRUE(path4) << path4.error().message;
    ASSERT_TRUE(path6) << path6.error().message;
    output_of("ip addr del 2001:db8::2/64 dev wan0");
    EXPECT_TRUE(announced(*watch));
    EXPECT_TRUE(names(lost(underlay, *path6), "address 2001:db8::2 was removed"));
    EXPECT_EQ(lost(underlay, *path4), "");
  });
}

TEST_F(PrivateNetwork, DeviceThatReturnsGetsNewSockets) {
  run([] {
    const auto watch = watch_wan0();
    Underlay underlay = wan0();
    const auto path = underlay.path_to(kNeighbor4);
    ASSERT_TRUE(path) << path.error().message;
    output_of("ip link del wan0");
    EXPECT_TRUE(announced(*watch));
    settle(*watch);
    EXPECT_TRUE(names(lost(underlay, *path), "wan0"));
    EXPECT_FALSE(underlay.path_to(kNeighbor4));
    EXPECT_EQ(underlay.socket(Family::kIpv4), nullptr);

    output_of(
        "ip link add wan0 type veth peer name far0; ip link set far0 up; ip link set wan0 up");
    output_of("ip addr add 192.0.2.2/24 dev wan0; ip addr add 192.0.2.9/24 dev far0");
    EXPECT_TRUE(announced(*watch)) << "the returned device isn't watched";
    settle(*watch);
    const auto again = underlay.path_to(kNeighbor4);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_NE(again->local.port, path->local.port);
    EXPECT_NE(lost(underlay, *path), "") << "the old path's socket is gone";
    output_of("ip addr flush dev wan0");
    EXPECT_TRUE(announced(*watch)) << "its addresses aren't watched";
  });
}

TEST_F(PrivateNetwork, RemovedDeviceIsNotMistakenForItsSuccessor) {
  run([] {
    Underlay underlay = wan0();
    const auto path = underlay.path_to(kNeighbor4);
    ASSERT_TRUE(path) << path.error().message;
    output_of("ip link del wan0; ip link add wan0 type veth peer name far0");
    output_of("ip link set far0 up; ip link set wan0 up; ip addr add 192.0.2.2/24 dev wan0");
    EXPECT_TRUE(names(lost(underlay, *path), "was removed"));
  });
}

TEST_F(PrivateNetwork, OtherDevicesAreNotAnnounced) {
  run([] {
    output_of("ip link add other0 type veth peer name other1");
    const auto watch = watch_wan0();
    output_of("ip link set other0 addrgenmode none; ip link set other1 addrgenmode none");
    output_of(
        "ip link set other0 up; ip link set other1 up; ip addr add 203.0.113.1/24 dev other0");
    output_of("ip route add 203.0.114.0/24 via 203.0.113.9");
    pollfd one{watch->fd(), POLLIN, 0};
    ASSERT_GT(::poll(&one, 1, 5'000), 0);
    bool changed = false;
    while (::poll(&one, 1, 300) > 0) changed = watch->take() || changed;
    EXPECT_FALSE(changed);
    output_of("ip link set other0 down; ip link set other0 name wwan9");
    EXPECT_TRUE(announced(*watch)) << "renamed to a watched name";
  });
}

TEST_F(PrivateNetwork, AnotherDevicesAddressIsNoWayOut) {
  run([] {
    output_of(
        "ip link add wan1 type veth peer name far1; ip link set far1 up; ip link set wan1 up");
    for (int i = 0; i < 100 && !device_ready("wan1"); ++i) ::usleep(20'000);
    Underlay underlay(1, {"wan1", "wan1", std::nullopt}, std::nullopt);
    const auto path = underlay.path_to(kNeighbor4);
    ASSERT_FALSE(path);
    EXPECT_TRUE(names(path.error().message, "wan1: no address")) << path.error().message;
  });
}

TEST_F(PrivateNetwork, PacketsOverTheDevicesMtuDontEndSegmentation) {
  run([] {
    auto socket = UdpSocket::open({"wan0", Family::kIpv4, std::nullopt, std::nullopt, 0});
    ASSERT_TRUE(socket) << socket.error().message;
    const SocketAddress to = SocketAddress::from(kNeighbor4, 0);
    std::vector<uint8_t> bytes(5'000);
    const auto packet = [&](size_t at, size_t size) { return std::span(bytes).subspan(at, size); };
    // A run of three, whose last is shorter and fits; then two that fit.
    const std::vector<std::span<uint8_t>> packets{packet(0, 1'400), packet(1'400, 1'400),
                                                  packet(2'800, 600), packet(3'500, 500),
                                                  packet(4'000, 500)};
    output_of("ip link set wan0 mtu 1000");
    const auto sent = socket->send(to, packets);
    EXPECT_EQ(sent.taken, 5U);
    EXPECT_EQ(sent.too_big, 2U);
    EXPECT_EQ(sent.failed, 0U);
    EXPECT_TRUE(socket->segments());
  });
}

}  // namespace
}  // namespace jvpn
