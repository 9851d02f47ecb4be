// What keeps a client's host closed, on a real kernel in a namespace of the test's own. Time is a
// variable.
#include "tools/client/control/guard_keeper.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "tests/unit/private_network.h"
#include "tools/client/tunnel/routing.h"

namespace jvpn {
namespace {

using client::control::GuardKeeper;
using client::tunnel::guard_metric;
using client::tunnel::TunnelInterface;
using Routes = std::set<std::string>;

std::unique_ptr<TunnelInterface> tunnel_to(const char* prefix) {
  auto tunnel = TunnelInterface::create("jvpn0", std::vector{*Prefix::parse(prefix)}, {});
  EXPECT_TRUE(tunnel) << tunnel.error().message;
  return std::move(tunnel).value();
}

/// Takes what the kernel announces, which is there before the command that caused it ends.
void take(GuardKeeper& keeper, Millis now) {
  pollfd one{keeper.descriptor(), POLLIN, 0};
  EXPECT_GT(::poll(&one, 1, 5'000), 0) << "not announced";
  keeper.take(now);
}

const std::string kGuard =
    "unreachable 10.99.0.0/24 metric " + std::to_string(guard_metric("jvpn0"));

bool closed() {
  return output_of("ip route show proto 190").find("unreachable 10.99.0.0/24") != std::string::npos;
}

TEST_F(PrivateNetwork, AGuardThatCantBeSetIsTriedAgain) {
  run([] {
    const auto tunnel = tunnel_to("10.99.0.0/24");
    GuardKeeper keeper(*tunnel);
    keeper.look(Millis{0});
    EXPECT_EQ(keeper.due(), kNever);

    // Somebody else's route in its very place: the kernel refuses ours.
    output_of("ip route del " + kGuard + "; ip route add " + kGuard + " proto static");
    take(keeper, Millis{1'000});
    Millis retry = GuardKeeper::kFirstRetry;
    Millis now{1'000};
    for (int attempt = 0; attempt < 12; ++attempt) {
      EXPECT_FALSE(closed());
      ASSERT_EQ(keeper.due(), now + retry);
      keeper.advance(keeper.due() - Millis{1});
      ASSERT_EQ(keeper.due(), now + retry) << "too early";
      now = keeper.due();
      keeper.advance(now);
      retry = std::min(retry + retry, GuardKeeper::kLongestRetry);
    }
    EXPECT_EQ(retry, GuardKeeper::kLongestRetry);

    output_of("ip route del " + kGuard + " proto static");
    keeper.advance(keeper.due());
    EXPECT_TRUE(closed());
    EXPECT_EQ(keeper.due(), kNever);

    output_of("ip route del " + kGuard + "; ip route add " + kGuard + " proto static");
    take(keeper, now);
    EXPECT_EQ(keeper.due(), now + GuardKeeper::kFirstRetry) << "a success begins anew";
  });
}

TEST_F(PrivateNetwork, ARouteThatComesLaterIsNoticed) {
  run([] {
    output_of("ip route add 10.99.0.0/24 dev wan0 metric 100");
    const auto tunnel = tunnel_to("10.99.0.0/24");
    GuardKeeper keeper(*tunnel);
    EXPECT_EQ(keeper.competing(), Routes{});
    keeper.look(Millis{0});
    EXPECT_EQ(keeper.competing(), Routes{"10.99.0.0/24 metric 100"});

    output_of("ip route add 10.99.0.0/24 dev wan0 metric 50");
    take(keeper, Millis{1});
    EXPECT_EQ(keeper.competing(), (Routes{"10.99.0.0/24 metric 100", "10.99.0.0/24 metric 50"}));

    output_of("ip route del 10.99.0.0/24 dev wan0 metric 100");
    take(keeper, Millis{2});
    EXPECT_EQ(keeper.competing(), Routes{"10.99.0.0/24 metric 50"});
    EXPECT_TRUE(closed());
  });
}

}  // namespace
}  // namespace jvpn
