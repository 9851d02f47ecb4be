// The data plane as jvpnd uses it: created from a profile, workers on their own lcores, stopped in
// time; and what it says when a profile can't work.
#include "dataplane/dataplane.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "common/tunnel_header.h"
#include "dataplane/af_packet.h"
#include "dataplane/eal.h"
#include "tests/support/must.h"
#include "tests/support/ring_gateway.h"

namespace {

/// Stands for a NIC's own, as rings have none; nothing when it is zero.
rte_eth_desc_lim pretended{};

}  // namespace

/// DPDK's own, before it in the order of symbols.
extern "C" int rte_eth_dev_info_get(uint16_t port, rte_eth_dev_info* info) {
  static const auto real =
      reinterpret_cast<decltype(&rte_eth_dev_info_get)>(dlsym(RTLD_NEXT, "rte_eth_dev_info_get"));
  const int error = real(port, info);
  if (error == 0 && pretended.nb_max != 0) info->rx_desc_lim = info->tx_desc_lim = pretended;
  return error;
}

namespace jvpn::test {
namespace {

using Clock = std::chrono::steady_clock;

/// With the first `ports` of a WAN and a LAN.
GatewayProfile profile_for(size_t ports, size_t workers) {
  GatewayProfile profile = wan_and_lan(workers);
  profile.ports.resize(ports);
  profile.cores.idle = IdleMode::kAdaptive;
  profile.limits.sessions = 16;
  profile.limits.mbufs = 4'095;
  profile.limits.control_mbufs = 511;
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
  const RingGateway gateway =
      must(RingGateway::create(profile_for(2, 2), {}, must(Tables::create(2, 16, {64, 8, 0, 0}))));
  Dataplane& dataplane = gateway.dataplane();
  ASSERT_EQ(dataplane.workers(), 2U);
  ASSERT_EQ(dataplane.ports().size(), 2U);
  EXPECT_EQ(dataplane.ports()[1].name, gateway.profile().ports[1].name);
  EXPECT_EQ(dataplane.ports()[1].number, 1);
  EXPECT_TRUE(dataplane.link_up(0));
  ASSERT_TRUE(dataplane.start().ok());

  // A frame of control's goes out by the worker that is asked.
  rte_mbuf* packet =
      make_packet(dataplane.control_pool(), ethernet_frame({}, {}, kArpType, Bytes(28)));
  note_of(packet) = PacketNote{};
  note_of(packet).port = 1;
  ASSERT_EQ(rte_ring_sp_enqueue(dataplane.rings(1).inject, packet), 0);
  EXPECT_TRUE(within_a_second([&] { return rte_ring_count(gateway.tx_ring(kLan, 1)) == 1; }));

  // An ARP request comes in on the other worker's queue and reaches control.
  void* sent = nullptr;
  rte_ring_dequeue(gateway.tx_ring(kLan, 1), &sent);
  rte_ring_enqueue(gateway.rx_ring(kWan, 0), sent);
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
  std::string expected;  ///< in the message
};

TEST(Dataplane, says_what_is_wrong) {
  GatewayProfile missing = profile_for(1, 1);
  missing.ports[0].vdev = "net_ring_missing";
  GatewayProfile narrow = profile_for(1, 2);
  const PortRings one_queue = must(make_ring_port(narrow.ports[0], 0, 1, 512));
  GatewayProfile hungry = profile_for(1, 1);
  const PortRings unfed = must(make_ring_port(hungry.ports[0], 0, 1, 512));
  hungry.limits.mbufs = 100'000'000;
  GatewayProfile greedy = profile_for(1, 1);
  const PortRings single = must(make_ring_port(greedy.ports[0], 0, 1, 512));
  greedy.ports[0].queues = 2;
  const std::vector<BadProfile> cases{
      {"more queues than the device has", greedy, "queues: expected at most 1"},
      {"no device", missing, "port wan: DPDK has no device"},
      {"too few queues", narrow,
       "port " + narrow.ports[0].name + ": expected a transmit queue for each of 2"},
      {"no workers", profile_for(1, 0), "cores.workers"},
      {"no ports", profile_for(0, 1), "ports: expected 1 to"},
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

struct Descriptors {
  uint16_t rx;
  uint16_t tx;
  rte_eth_desc_lim device;  ///< max, min, align
  std::string finding;      ///< empty: it starts
};

TEST(Dataplane, refuses_descriptors_that_the_device_lacks) {
  const auto limits = [](uint16_t max, uint16_t min, uint16_t align) {
    rte_eth_desc_lim device{};
    device.nb_max = max;
    device.nb_min = min;
    device.nb_align = align;
    return device;
  };
  const std::vector<Descriptors> cases{
      {512, 512, limits(512, 64, 32), ""},
      {1'024, 512, limits(512, 64, 32),
       "rx_descriptors: expected 64 to 512 in steps of 32, which the device has, got 1024: write "
       "rx_descriptors: 512"},
      {512, 4'096, limits(4'080, 64, 8),
       "tx_descriptors: expected 64 to 4080 in steps of 8, which the device has, got 4096: write "
       "tx_descriptors: 2048"},
      {64, 512, limits(4'096, 100, 1),
       "rx_descriptors: expected 100 to 4096 in steps of 1, which the device has, got 64: write "
       "rx_descriptors: 128"},
      {64, 512, limits(4'096, 64, 128),
       "rx_descriptors: expected 64 to 4096 in steps of 128, which the device has, got 64: write "
       "rx_descriptors: 128"},
  };
  for (const Descriptors& test : cases) {
    GatewayProfile profile = profile_for(1, 1);
    const PortRings rings = must(make_ring_port(profile.ports[0], 0, 1, 512));
    PortProfile& port = profile.ports[0];
    port.rx_descriptors = test.rx;
    port.tx_descriptors = test.tx;
    pretended = test.device;
    const auto created = Dataplane::create(profile, {.mac1 = {}, .routes = {.prefixes_v4 = 0}});
    pretended = {};
    if (test.finding.empty())
      EXPECT_TRUE(created.ok()) << created.error().message;
    else
      EXPECT_EQ(created ? "" : created.error().message, "port " + port.name + ": " + test.finding);
  }
}

TEST(AfPacket, frames_of_the_ring_bound_the_mtu) {
  EXPECT_EQ(af_packet_mtu("net_af_packet0,iface=lan"), 2'048U - 84U);
  EXPECT_EQ(af_packet_mtu("net_af_packet0,iface=lan,framesz=16384,blocksz=16384"), 16'384U - 84U);
  EXPECT_EQ(af_packet_mtu("net_af_packet0,framesz=64"), 0U);
  EXPECT_EQ(af_packet_arguments(1'964), "framesz=2048,blocksz=4096");
  EXPECT_EQ(af_packet_arguments(9'000), "framesz=16384,blocksz=16384");
  EXPECT_GE(af_packet_mtu("net_af_packet0," + af_packet_arguments(9'216)), 9'216U);
}

TEST(Hugepages, what_is_missing_is_named_with_its_mend) {
  namespace fs = std::filesystem;
  std::string name = testing::TempDir() + "/pages.XXXXXX";
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const auto put = [&](const char* size, int reserved, int free) {
    const fs::path at = fs::path(name) / (std::string("hugepages-") + size);
    fs::create_directory(at);
    std::ofstream(at / "nr_hugepages") << reserved << '\n';
    std::ofstream(at / "free_hugepages") << free << '\n';
  };
  EXPECT_NE(lacking_hugepages(name, 64).find("this kernel has no hugepages"), std::string::npos);
  put("1048576kB", 0, 0);
  put("2048kB", 100, 20);
  const std::string lacking = lacking_hugepages(name, 1'024);
  for (const std::string& part :
       {std::string("1024 MiB needed (memory.megabytes), 40 MiB free in " + name),
        std::string("`jvpn setup PROFILE`"), std::string("`jvpn doctor PROFILE`"),
        "`echo 592 > " + name + "/hugepages-2048kB/nr_hugepages`",
        std::string("memory: {hugepages: false}")})
    EXPECT_NE(lacking.find(part), std::string::npos) << part << " in " << lacking;
  EXPECT_EQ(lacking_hugepages(name, 40), "");
  put("1048576kB", 1, 1);
  EXPECT_EQ(lacking_hugepages(name, 1'024), "");
  fs::remove_all(name);
}

TEST(Cpus, what_is_not_online_is_named_with_what_is) {
  CoresProfile cores;
  cores.control = 1;
  cores.workers = {2, 3};
  EXPECT_EQ(lacking_cpus(cores, "0-3"), "");
  EXPECT_EQ(lacking_cpus(cores, "1,2-3,7"), "");
  EXPECT_EQ(lacking_cpus(cores, "0-2,4-7"),
            "cores: CPU 3 isn't online; online are 0-2,4-7: name others in the profile");
  EXPECT_NE(lacking_cpus(cores, "2-3").find("CPU 1 isn't"), std::string::npos);
  EXPECT_NE(lacking_cpus(cores, "").find("CPU 2 isn't"), std::string::npos);
}

TEST(EalArguments, follow_the_profile) {
  GatewayProfile profile = profile_for(1, 2);
  profile.ports[0].vdev = "net_ring_w";
  profile.cores.control = 3;
  profile.cores.workers = {5, 5};
  profile.memory.megabytes = 384;
  profile.eal_args = {"--log-level=8"};
  EXPECT_EQ(
      eal_arguments(profile),
      (std::vector<std::string>{
          "jvpnd", "--lcores=0@3,1@5,2@5", "--main-lcore=0", "--proc-type=primary", "-m", "384",
          "--in-memory", "--vdev=net_ring_w", "--no-pci", "--iova-mode=va", "--log-level=8"}));
  profile.memory.attachable = true;  // files are left, and a name for them
  profile.node = "gw7";
  EXPECT_EQ(eal_arguments(profile)[6], "--file-prefix=gw7");
  profile.memory = {.hugepages = false, .attachable = false, .megabytes = 384};
  profile.ports[0].vdev.clear();
  profile.ports[0].pci = "0000:3b:00.0";
  EXPECT_EQ(eal_arguments(profile),
            (std::vector<std::string>{"jvpnd", "--lcores=0@3,1@5,2@5", "--main-lcore=0",
                                      "--proc-type=primary", "-m", "384", "--no-huge",
                                      "--no-shconf", "-a", "0000:3b:00.0", "--log-level=8"}));
}

}  // namespace
}  // namespace jvpn::test
