// The data plane as jvpnd uses it: created from a profile, workers on their own lcores, stopped in
// time; and what it says when a profile can't work.
#include "dataplane/dataplane.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>

#include "common/tunnel_header.h"
#include "dataplane/eal.h"
#include "tests/packet/packet_builder.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

using Clock = std::chrono::steady_clock;

struct RingPort {
  explicit RingPort(const std::string& name, unsigned queues) {
    for (unsigned queue = 0; queue < queues; ++queue) {
      const std::string suffix = name + std::to_string(queue);
      rx.push_back(rte_ring_create(("r" + suffix).c_str(), 512, SOCKET_ID_ANY, 0));
      tx.push_back(rte_ring_create(("t" + suffix).c_str(), 512, SOCKET_ID_ANY, 0));
    }
    rte_eth_from_rings(name.c_str(), rx.data(), queues, tx.data(), queues, 0);
  }
  ~RingPort() {
    for (auto* rings : {&rx, &tx})
      for (rte_ring* ring : *rings) rte_ring_free(ring);
  }
  std::vector<rte_ring*> rx;
  std::vector<rte_ring*> tx;
};

GatewayProfile profile_for(const std::vector<std::string>& ports, size_t workers) {
  GatewayProfile profile;
  profile.cores.workers.assign(workers, 0);
  profile.cores.idle = IdleMode::kAdaptive;
  profile.limits.sessions = 16;
  profile.limits.mbufs = 4'095;
  profile.limits.control_mbufs = 511;
  for (const std::string& name : ports) {
    PortProfile port;
    port.name = name;
    port.vdev = "net_ring_" + name;
    port.role = profile.ports.empty() ? PortRole::kOutside : PortRole::kInside;
    port.addresses = {
        Prefix::parse(profile.ports.empty() ? "192.0.2.1/24" : "10.0.0.1/24").value()};
    profile.ports.push_back(port);
  }
  return profile;
}

template <typename Condition>
bool within_a_second(Condition condition) {
  const auto end = Clock::now() + std::chrono::seconds(1);
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(Dataplane, workers_run_on_their_lcores_and_stop_within_a_second) {
  RingPort wan("dwan", 2);
  RingPort lan("dlan", 2);
  auto created = Dataplane::create(profile_for({"dwan", "dlan"}, 2),
                                   {.mac1 = {}, .routes = {.prefixes_v4 = 0}});
  ASSERT_TRUE(created.ok()) << created.error().message;
  Dataplane& dataplane = **created;
  ASSERT_EQ(dataplane.workers(), 2U);
  ASSERT_EQ(dataplane.ports().size(), 2U);
  EXPECT_EQ(dataplane.ports()[1].name, "dlan");
  EXPECT_EQ(dataplane.ports()[1].number, 1);
  EXPECT_TRUE(dataplane.link_up(0));
  ASSERT_TRUE(dataplane.start().ok());

  // A frame of control's goes out by the worker that is asked.
  rte_mbuf* packet = rte_pktmbuf_alloc(dataplane.control_pool());
  const Bytes frame = ethernet_frame({}, {}, kArpType, Bytes(28));
  std::copy(frame.begin(), frame.end(), reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, 42)));
  note_of(packet) = PacketNote{};
  note_of(packet).port = 1;
  ASSERT_EQ(rte_ring_sp_enqueue(dataplane.rings(1).inject, packet), 0);
  EXPECT_TRUE(within_a_second([&] { return rte_ring_count(lan.tx[1]) == 1; }));

  // An ARP request comes in on the other worker's queue and reaches control.
  void* sent = nullptr;
  rte_ring_dequeue(lan.tx[1], &sent);
  rte_ring_enqueue(wan.rx[0], sent);
  const size_t slow = static_cast<size_t>(PuntClass::kSlowPath);
  EXPECT_TRUE(within_a_second([&] { return rte_ring_count(dataplane.rings(0).punt[slow]) == 1; }));

  // Asleep or not, workers hold up no grace period.
  constexpr uint64_t kLongIdle = 4'096;  // polls: asleep, where the profile lets them
  EXPECT_TRUE(within_a_second([&] { return dataplane.counters(0).idle_polls.load() > kLongIdle; }));
  const auto before = Clock::now();
  for (int i = 0; i < 100; ++i) rte_rcu_qsbr_synchronize(dataplane.rcu(), RTE_QSBR_THRID_INVALID);
  EXPECT_LT(Clock::now() - before, std::chrono::seconds(1));

  const auto stopping = Clock::now();
  dataplane.stop();
  EXPECT_LT(Clock::now() - stopping, std::chrono::seconds(1));
  EXPECT_EQ(dataplane.counters(1).tx_packets.load(), 1U);
  EXPECT_EQ(dataplane.counters(0).punted.load(), 1U);
  EXPECT_GT(dataplane.counters(0).idle_polls.load(), 0U);
  ASSERT_TRUE(dataplane.start().ok()) << "it starts again";
}

struct BadProfile {
  const char* name;
  GatewayProfile profile;
  const char* expected;  ///< in the message
};

TEST(Dataplane, says_what_is_wrong) {
  RingPort one("dwan1", 1);
  RingPort two("dwan2", 1);
  RingPort three("dwan3", 1);
  GatewayProfile hungry = profile_for({"dwan3"}, 1);
  hungry.limits.mbufs = 100'000'000;
  const std::vector<BadProfile> cases{
      {"no device", profile_for({"missing"}, 1), "port missing: DPDK has no device"},
      {"too few queues", profile_for({"dwan1"}, 2),
       "port dwan1: expected a transmit queue for each of 2"},
      {"no workers", profile_for({"dwan1"}, 0), "cores.workers"},
      {"no ports", profile_for({}, 1), "ports: expected 1 to"},
      {"no memory", hungry, "limits.mbufs"},
  };
  for (const BadProfile& test : cases) {
    const auto created =
        Dataplane::create(test.profile, {.mac1 = {}, .routes = {.prefixes_v4 = 0}});
    ASSERT_FALSE(created.ok()) << test.name;
    EXPECT_NE(created.error().message.find(test.expected), std::string::npos)
        << test.name << ": " << created.error().message;
  }
}

TEST(EalArguments, follow_the_profile) {
  GatewayProfile profile = profile_for({"w"}, 2);
  profile.cores.control = 3;
  profile.cores.workers = {5, 5};
  profile.memory.megabytes = 384;
  profile.eal_args = {"--log-level=8"};
  EXPECT_EQ(
      eal_arguments(profile),
      (std::vector<std::string>{
          "jvpnd", "--lcores=0@3,1@5,2@5", "--main-lcore=0", "--proc-type=primary", "-m", "384",
          "--in-memory", "--vdev=net_ring_w", "--no-pci", "--iova-mode=va", "--log-level=8"}));
  profile.memory.hugepages = false;
  profile.ports[0].vdev.clear();
  profile.ports[0].pci = "0000:3b:00.0";
  EXPECT_EQ(eal_arguments(profile),
            (std::vector<std::string>{"jvpnd", "--lcores=0@3,1@5,2@5", "--main-lcore=0",
                                      "--proc-type=primary", "-m", "384", "--no-huge",
                                      "--no-shconf", "-a", "0000:3b:00.0", "--log-level=8"}));
}

}  // namespace
}  // namespace jvpn::test
