// `jvpn setup`: what it does, asks and tells, and whose NIC it never touches.
#include "tools/jvpn/doctor/setup.h"

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "tests/unit/host_tree.h"
#include "tools/jvpn/doctor/doctor.h"

namespace jvpn::test {
namespace {

using doctor::Mend;
using doctor::Step;

const std::string kCardAddress = "0000:3b:00.0";
const std::string kCard = "/sys/bus/pci/devices/" + kCardAddress;

std::vector<std::string> no_addresses(const std::string&) {
  return {};
}

/// wan0 is the kernel's, as eth0.
void give_to_kernel(HostTree& tree) {
  tree.link(kCard + "/driver", "/sys/bus/pci/drivers/ixgbe");
  tree.put(kCard + "/net/eth0/mtu", "1500");
  tree.put("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0");
  tree.put("/sys/class/net/eth0/queues/rx-1/rps_cpus", "0");
}

/// Notes what was done and said.
struct Played {
  std::vector<std::string> done{};
  std::string told{};
  bool answer = true;
  std::string fails{};   ///< this command
  std::string in_use{};  ///< by now

  doctor::Hands hands() {
    return {.carry_out = [this](const Mend& mend) -> Result<void> {
              const std::string command = to_string(mend);
              done.push_back(command);
              if (command == fails) return Error{"no"};
              return {};
            },
            .may = [this](const Step&) { return answer; },
            .tell = [this](const std::string& line) { told += line + '\n'; },
            .in_use = [this](const std::string&) { return in_use; }};
  }
};

std::vector<Step> steps_of(const HostTree& tree) {
  return doctor::plan(tree.host(), no_addresses, doctor::examine(tree.host(), HostTree::needs()));
}

TEST(Setup, DoesWhatDoctorNamesAndTellsHowToTakeItBack) {
  HostTree tree;
  tree.put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
  tree.remove("/sys/bus/pci/drivers/vfio-pci");
  give_to_kernel(tree);
  Played played;
  EXPECT_TRUE(doctor::carry_out(steps_of(tree), played.hands()));
  const std::string pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
  EXPECT_EQ(played.done,
            (std::vector<std::string>{"echo 512 > " + pages, "modprobe vfio-pci",
                                      "dpdk-devbind.py --bind=vfio-pci " + kCardAddress}));
  const size_t told = played.told.find("\n  modprobe vfio-pci\n");
  EXPECT_NE(told, std::string::npos) << played.told;
  EXPECT_TRUE(
      played.told.ends_with("These take it back, in this order:\n  dpdk-devbind.py --bind=ixgbe " +
                            kCardAddress + "\n  modprobe -r vfio-pci\n  echo 0 > " + pages + "\n"))
      << played.told;
}

TEST(Setup, AskedNotToItDoesNothing) {
  HostTree tree;
  tree.remove("/sys/bus/pci/drivers/vfio-pci");
  Played played{.answer = false};
  EXPECT_TRUE(doctor::carry_out(steps_of(tree), played.hands()));
  EXPECT_TRUE(played.done.empty());
  EXPECT_NE(played.told.find("left as it is"), std::string::npos);
}

TEST(Setup, EndsAtTheFirstFailureAndTellsWhatWasDone) {
  HostTree tree;
  tree.put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
  tree.remove("/sys/bus/pci/drivers/vfio-pci");
  give_to_kernel(tree);
  Played played{.fails = "modprobe vfio-pci"};
  EXPECT_FALSE(doctor::carry_out(steps_of(tree), played.hands()));
  EXPECT_EQ(played.done.size(), 2U) << "the NIC stays where it is";
  EXPECT_NE(played.told.find("failed: no"), std::string::npos);
  EXPECT_NE(played.told.find("half of it was done, this takes it back: modprobe -r"),
            std::string::npos);
  EXPECT_NE(played.told.find("\n  echo 0 > "), std::string::npos);
  EXPECT_EQ(played.told.find("\n  modprobe -r"), std::string::npos);
}

TEST(Setup, NeverTouchesANicInUse) {
  struct Used {
    std::function<void(HostTree&)> change;
    const char* why;
  };
  const std::vector<Used> all = {
      {[](HostTree& at) {
         at.put("/proc/net/route", "Iface\tDestination\neth0\t00000000\t0101A8C0");
       },
       "routes lead through eth0"},
      {[](HostTree& at) {
         at.put("/proc/net/ipv6_route",
                "00000000 00 00000000 00 fe80 00000400 1 0 00000003     eth0");
       },
       "routes lead through eth0"},
      {[](HostTree& at) {  // the last of a full table
         std::string table = "Iface\tDestination\n";
         while (table.size() < 1'000'000) table += "eth9\t00000000\t0101A8C0\t0003\n";
         at.put("/proc/net/route", table + "eth0\t00000000\t0101A8C0");
       },
       "routes lead through eth0"},
      {[](HostTree& at) { at.link("/sys/class/net/eth0/master", "../bond0"); },
       "eth0 is part of bond0"},
      {[](HostTree& at) { at.link("/sys/class/net/eth0/upper_vlan7", "../vlan7"); },
       "eth0 carries vlan7"},
      {[](HostTree& at) { at.remove(kCard + "/net"); }, "isn't to be seen from here"},
      {[](HostTree& at) { at.put(kCard + "/class", "0x010802"); }, "no network card"},
  };
  for (const Used& used : all) {
    SCOPED_TRACE(used.why);
    HostTree tree;
    give_to_kernel(tree);
    EXPECT_EQ(doctor::nic_in_use(tree.host(), no_addresses, kCardAddress), "");
    used.change(tree);
    Played played;
    EXPECT_FALSE(doctor::carry_out(steps_of(tree), played.hands()));
    EXPECT_TRUE(played.done.empty());
    EXPECT_NE(played.told.find(used.why), std::string::npos) << played.told;
    EXPECT_EQ(doctor::script_of(steps_of(tree)).find("\ndpdk-devbind"), std::string::npos);
  }
  HostTree tree;
  give_to_kernel(tree);
  const auto addressed = [](const std::string& interface) {
    return std::vector<std::string>{interface == "eth0" ? "192.0.2.7" : ""};
  };
  EXPECT_NE(
      doctor::nic_in_use(tree.host(), addressed, kCardAddress).find("has the address 192.0.2.7"),
      std::string::npos);
}

TEST(Setup, LooksAgainRightBeforeItTakesANic) {
  HostTree tree;
  give_to_kernel(tree);
  Played played{.in_use = "eth0 has an address by now"};
  EXPECT_FALSE(doctor::carry_out(steps_of(tree), played.hands()));
  EXPECT_TRUE(played.done.empty());
  EXPECT_NE(played.told.find("by now"), std::string::npos);
}

TEST(Setup, TheScriptHasCommandsWhatIsByHandAndTheWayBack) {
  HostTree tree;
  tree.remove("/sys/bus/pci/drivers/vfio-pci");
  tree.put("/sys/devices/system/cpu/isolated", "");
  const std::string script = doctor::script_of(steps_of(tree));
  EXPECT_TRUE(script.starts_with("#!/bin/sh -e\n"));
  EXPECT_NE(script.find("\nmodprobe vfio-pci\n"), std::string::npos) << script;
  EXPECT_NE(script.find("\n# by hand: sed -i "), std::string::npos) << script;
  EXPECT_TRUE(script.ends_with("in this order:\n# modprobe -r vfio-pci\n")) << script;
}

TEST(Setup, LoopbacksAddressesAreSeen) {
  const auto addresses = doctor::kernel_addresses("lo");
  EXPECT_NE(std::ranges::find(addresses, "127.0.0.1"), addresses.end());
  EXPECT_TRUE(doctor::kernel_addresses("no-such-interface").empty());
}

}  // namespace
}  // namespace jvpn::test
