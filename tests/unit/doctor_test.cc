// `jvpn doctor` on made-up machines: each check good on the one that lacks nothing, and bad after
// one change of it.
#include "tools/jvpn/doctor/doctor.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/host_tree.h"

namespace jvpn::test {
namespace {

using doctor::Finding;
using doctor::Needs;
using doctor::Report;
using doctor::Verdict;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const Finding* find(const Report& report, const std::string& check, const std::string& of) {
  const auto at = std::ranges::find_if(
      report, [&](const Finding& each) { return each.check == check && each.of == of; });
  return at == report.end() ? nullptr : &*at;
}

struct Bad {
  const char* check;
  const char* of;
  std::function<void(HostTree&, Needs&)> change;
  Verdict verdict;
  const char* what;  ///< is in what it says
  const char* mend;  ///< is in one of its commands
};

const std::string kNic = "/sys/bus/pci/devices/0000:3b:00.0";
const std::string kPages = "/sys/kernel/mm/hugepages/hugepages-2048kB";

const std::vector<Bad>& bad_machines() {
  using enum Verdict;
  static const std::vector<Bad> all = {
      {"hugepages", "", [](HostTree& at, Needs&) { at.put(kPages + "/nr_hugepages", "100"); },
       kMissing, "200 MiB reserved",
       "echo 512 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"},
      {"hugepages", "", [](HostTree& at, Needs&) { at.put(kPages + "/free_hugepages", "12"); },
       kMissing, "other programs have the rest", "echo 1100 > "},
      {"hugepages", "", [](HostTree& at, Needs&) { at.remove("/sys/kernel/mm/hugepages"); },
       kMissing, "this kernel has none", "hugepages: false"},
      {"hugepages", "node0",
       [](HostTree& at, Needs&) {
         at.put("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "10");
       },
       kBetter, "20 MiB on the workers' node of 1024",
       "echo 512 > /sys/devices/system/node/node0/"},
      {"memlock", "",
       [](HostTree& at, Needs&) {
         at.put("/proc/self/limits", "Max locked memory  8388608  8388608");
       },
       kBetter, "8192 KiB", "ulimit -l unlimited"},
      {"cpus", "1,12-13",
       [](HostTree&, Needs& needs) {
         needs.workers = {12, 13};
       },
       kMissing, "12-13 not online", "of 0-7"},
      {"cpus", "1-3",
       [](HostTree& at, Needs&) {
         at.put("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "2,3");
       },
       kBetter, "2-3 are threads of one core", "lscpu"},
      {"isolation", "2-3",
       [](HostTree& at, Needs&) { at.put("/sys/devices/system/cpu/isolated", ""); }, kBetter,
       "may run on 2-3", "isolcpus=2-3 nohz_full=2-3 rcu_nocbs=2-3"},
      {"isolation", "2-3",
       [](HostTree& at, Needs&) { at.remove("/sys/devices/system/cpu/nohz_full"); }, kBetter,
       "tick interrupts 2-3", "nohz_full=2-3"},
      {"cpu flags", "",
       [](HostTree& at, Needs&) {
         at.put("/proc/cpuinfo", "flags : ssse3 sse4_1 sse4_2 pclmulqdq");
       },
       kMissing, "without aes", "-cpu host"},
      {"cpu flags", "",
       [](HostTree& at, Needs&) { at.put("/proc/cpuinfo", "flags : aes pclmulqdq"); }, kMissing,
       "DPDK doesn't start", "-cpu host"},
      {"cpu flags", "",
       [](HostTree& at, Needs&) {
         at.put("/proc/cpuinfo",
                "flags : ssse3 sse4_1 sse4_2 aes pclmulqdq avx512f avx512bw avx512vl");
       },
       kBetter, "without vaes, vpclmulqdq", "another machine"},
      {"clock", "", [](HostTree& at, Needs&) { at.put("/proc/cpuinfo", "flags : constant_tsc"); },
       kMissing, "isn't invariant", "+invtsc"},
      {"clock", "",
       [](HostTree& at, Needs&) {
         at.put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
       },
       kBetter, "uses hpet", "echo tsc > "},
      {"iommu", "", [](HostTree& at, Needs&) { at.remove("/sys/class/iommu"); }, kMissing,
       "vfio-pci refuses", "intel_iommu=on iommu=pt"},
      {"iommu", "",
       [](HostTree& at, Needs&) {
         at.remove("/sys/class/iommu");
         at.put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
       },
       kBetter, "wherever they want", "iommu=pt"},
      {"vfio-pci", "", [](HostTree& at, Needs&) { at.remove("/sys/bus/pci/drivers/vfio-pci"); },
       kMissing, "not loaded", "modprobe vfio-pci"},
      {"driver", "wan0", [](HostTree& at, Needs&) { at.link(kNic + "/driver", "/drivers/ixgbe"); },
       kMissing, "ixgbe has 0000:3b:00.0", "dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0"},
      {"driver", "wan0",
       [](HostTree& at, Needs&) { at.link(kNic + "/driver", "/drivers/igb_uio"); }, kBetter,
       "without an IOMMU", "--bind=vfio-pci"},
      {"driver", "wan0", [](HostTree& at, Needs&) { at.remove(kNic + "/driver"); }, kMissing,
       "no driver has", "--bind=vfio-pci"},
      {"driver", "wan0", [](HostTree& at, Needs&) { at.remove(kNic); }, kMissing,
       "no device 0000:3b:00.0", "--status-dev net"},
      {"iommu group", "wan0",
       [](HostTree& at, Needs&) {
         at.put("/sys/kernel/iommu_groups/12/devices/0000:3b:00.3", "");
         at.link("/sys/bus/pci/devices/0000:3b:00.3/driver", "/drivers/ixgbe");
       },
       kMissing, "ixgbe has 0000:3b:00.3 of", "--bind=vfio-pci 0000:3b:00.3"},
      {"pcie", "wan0", [](HostTree& at, Needs&) { at.put(kNic + "/current_link_width", "4"); },
       kBetter, "x4 at 8.0 GT/s PCIe, of x8", "lspci -vvs 0000:3b:00.0"},
      {"numa", "lan",
       [](HostTree& at, Needs&) { at.put("/sys/bus/pci/devices/0000:3b:00.1/numa_node", "1"); },
       kBetter, "workers on 2-3 are not", "workers of 4-7"},
      {"queues", "wan0",
       [](HostTree& at, Needs&) {
         at.put(kNic + "/net/eth0/mtu", "1500");
         at.put("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0");
       },
       kBetter, "1 for 2 workers", "ethtool -l eth0"},
      {"interface", "xdp", [](HostTree& at, Needs&) { at.remove("/sys/class/net/eth2"); }, kMissing,
       "no interface eth2", "ip -brief link"},
      {"interface", "xdp",
       [](HostTree& at, Needs&) { at.put("/sys/class/net/eth2/flags", "0x1002"); }, kMissing,
       "eth2 is down", "ip link set dev eth2 up"},
      {"interface", "xdp", [](HostTree& at, Needs&) { at.put("/sys/class/net/eth2/mtu", "1400"); },
       kMissing, "MTU 1400", "ip link set dev eth2 mtu 1500"},
      {"queues", "xdp", [](HostTree& at, Needs&) { at.remove("/sys/class/net/eth2/queues/rx-1"); },
       kMissing, "1 of eth2, 2 needed", "ethtool -L eth2 combined 2"},
      {"af_xdp", "xdp", [](HostTree& at, Needs&) { at.put("/proc/net/protocols", "TCP 1"); },
       kMissing, "no AF_XDP", "net_af_packet0,iface=eth2"},
      {"af_xdp", "xdp",
       [](HostTree& at, Needs&) { at.put("/proc/sys/net/core/bpf_jit_enable", "0"); }, kBetter,
       "interpreted", "sysctl -w net.core.bpf_jit_enable=1"},
      {"af_xdp", "xdp",
       [](HostTree& at, Needs&) {
         at.link("/sys/class/net/eth2/device/driver", "/drivers/virtio_net");
       },
       kBetter, "virtio_net copies", "ice"},
      {"tun", "", [](HostTree& at, Needs&) { at.remove("/dev/net/tun"); }, kMissing,
       "no /dev/net/tun", "modprobe tun"},
  };
  return all;
}

TEST(Doctor, FindsEachFaultByItselfAndNamesItsMend) {
  for (const Bad& bad : bad_machines()) {
    SCOPED_TRACE(std::string(bad.check) + ", " + bad.what);
    HostTree tree;
    Needs needs = HostTree::needs();
    const Report before = doctor::examine(tree.host(), needs);
    if (const Finding* const good = find(before, bad.check, bad.of)) {
      EXPECT_EQ(good->verdict, Verdict::kGood) << good->what;
    }
    bad.change(tree, needs);
    const Report after = doctor::examine(tree.host(), needs);
    const Finding* const found = find(after, bad.check, bad.of);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->verdict, bad.verdict) << found->what;
    EXPECT_NE(found->what.find(bad.what), std::string::npos) << found->what;
    EXPECT_TRUE(std::ranges::any_of(found->mend, [&](const doctor::Mend& mend) {
      return to_string(mend).find(bad.mend) != std::string::npos;
    })) << (found->mend.empty() ? "no mend" : to_string(found->mend.front()));
  }
}

TEST(Doctor, AMachineThatLacksNothingIsGoodThroughout) {
  const HostTree tree;
  const Report report = doctor::examine(tree.host(), HostTree::needs());
  EXPECT_GE(report.size(), 18U);
  for (const Finding& each : report) {
    EXPECT_EQ(each.verdict, Verdict::kGood) << each.check << " of " << each.of << ": " << each.what;
    EXPECT_TRUE(each.mend.empty()) << each.check;
  }
}

TEST(Doctor, DemandsNothingThatTheProfileDoesntNeed) {
  HostTree tree;
  tree.remove("");  // no file at all
  Needs client;
  client.profile = "client.yaml";
  client.gateway = false;
  client.tun = true;
  const Report report = doctor::examine(tree.host(), client);
  for (const char* check :
       {"hugepages", "cpus", "isolation", "clock", "iommu", "vfio-pci", "driver"})
    EXPECT_EQ(find(report, check, ""), nullptr) << check;
  EXPECT_EQ(find(report, "tun", "")->verdict, Verdict::kMissing);
  Needs lab;
  lab.profile = "lab.yaml";
  lab.workers = {1};
  EXPECT_EQ(find(doctor::examine(tree.host(), lab), "isolation", "1"), nullptr)
      << "it doesn't poll";
  for (const Finding& each : doctor::examine(tree.host(), doctor::needs_of_any()))
    EXPECT_NE(each.verdict, Verdict::kMissing) << each.check;
}

std::string shipped(const char* name) {
  const char* const root = std::getenv("JVPN_SOURCE_ROOT");
  return std::string(root == nullptr ? "." : root) + "/tools/profiles/" + name;
}

TEST(Doctor, ReadsWhatAProfileNeeds) {
  const auto server = doctor::needs_of_profile(shipped("nic-server.yaml"));
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_EQ(server->huge_megabytes, 1'024U);
  EXPECT_EQ(server->workers, (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_TRUE(server->polls && server->gcm && server->pci && !server->tun);
  ASSERT_EQ(server->nics.size(), 2U);
  EXPECT_EQ(server->nics[1].port, "lan");
  EXPECT_EQ(server->nics[1].pci, "0000:3b:00.1");
  const auto client = doctor::needs_of_profile(shipped("client.yaml"));
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_TRUE(client->tun && !client->gateway && client->huge_megabytes == 0);
  EXPECT_FALSE(doctor::needs_of_profile("/no/such/profile"));

  std::string text = text_of(shipped("nic-server.yaml"));
  const std::string pci = "pci: 0000:3b:00.0 ";
  text.replace(text.find(pci), pci.size(), "vdev: \"net_af_xdp0,iface=eth7,queue_count=2\" ");
  HostTree tree;
  tree.put("/profile.yaml", text);
  const auto xdp = doctor::needs_of_profile(tree.path("/profile.yaml"));
  ASSERT_TRUE(xdp) << xdp.error().message;
  ASSERT_EQ(xdp->kernel_ports.size(), 1U);
  EXPECT_EQ(xdp->kernel_ports[0].device, "eth7");
  EXPECT_EQ(xdp->kernel_ports[0].queues, 3U);
}

TEST(Doctor, ARunningGatewaysHugepagesAndLimitsAreItsOwn) {
  HostTree tree;
  tree.put(kPages + "/free_hugepages", "0");
  tree.put("/proc/77/comm", "jvpnd");
  tree.put("/proc/77/limits", "Max locked memory  65536  65536  bytes");
  tree.put("/proc/77/status", "Name: jvpnd\nCapEff:\t0000000000004000");
  const Report report = doctor::examine(tree.host(), HostTree::needs());
  EXPECT_EQ(find(report, "hugepages", "")->verdict, Verdict::kGood);
  EXPECT_EQ(find(report, "memlock", "")->what, "64 KiB, of jvpnd; CAP_IPC_LOCK lifts it");
}

TEST(Doctor, ANicWithoutAnIommuIsNotTakenFromItsDriver) {
  HostTree tree;
  tree.remove("/sys/class/iommu");
  tree.link(kNic + "/driver", "/drivers/ixgbe");
  const Report report = doctor::examine(tree.host(), HostTree::needs());
  const auto& mend = find(report, "driver", "wan0")->mend.front();
  EXPECT_EQ(mend.kind, doctor::Mend::Kind::kByHand);
}

TEST(Doctor, PrintsAnAlignedTableAndJson) {
  const Report report = {
      {.check = "tun", .what = "/dev/net/tun"},
      {.check = "vfio-pci",
       .verdict = Verdict::kMissing,
       .what = "not loaded",
       .mend = {doctor::run({"modprobe", "vfio-pci"}, "modprobe -r vfio-pci")}},
      {.check = "pcie", .of = "wan\x1b", .verdict = Verdict::kBetter, .what = "x4"}};
  EXPECT_EQ(doctor::render(report, HostTree::needs(), false),
            R"(VERDICT          CHECK     OF     WHAT
good             tun              /dev/net/tun
missing          vfio-pci         not loaded
                           mend:  modprobe vfio-pci
could be better  pcie      wan?   x4

1 good, 1 could be better, 1 missing (for gw.yaml)
)");
  EXPECT_NE(doctor::render(report, HostTree::needs(), true).find("\033[31mmissing"),
            std::string::npos);
  const nlohmann::json json = doctor::to_json(report, HostTree::needs());
  EXPECT_EQ(json["missing"], 1);
  EXPECT_EQ(json["findings"][1]["mend"][0], "modprobe vfio-pci");
  EXPECT_EQ(json["findings"][2]["verdict"], "could_be_better");
}

TEST(Doctor, ReadsCpuListsAsTheKernelWritesThem) {
  EXPECT_EQ(doctor::cpus_of("0-2,8"), (std::vector<uint32_t>{0, 1, 2, 8}));
  for (const char* nothing : {"", "(null)", "-", ","})
    EXPECT_TRUE(doctor::cpus_of(nothing).empty());
  EXPECT_EQ(doctor::cpus_of("5-"), std::vector<uint32_t>());
  EXPECT_LE(doctor::cpus_of("0-4294967295").size(), 8'193U);
  EXPECT_EQ(doctor::to_list({3, 1, 2, 9, 1}), "1-3,9");
  EXPECT_EQ(doctor::to_list({}), "");
}

}  // namespace
}  // namespace jvpn::test
