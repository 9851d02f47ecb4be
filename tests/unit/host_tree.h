// A made-up /sys and /proc in a folder of its own: a server with a two-port NIC that lacks nothing.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tools/jvpn/doctor/host.h"
#include "tools/jvpn/doctor/needs.h"

namespace jvpn::test {

class HostTree {
 public:
  HostTree() : root_(made()) {
    memory();
    cpus();
    nic("0000:3b:00.0", "12");
    nic("0000:3b:00.1", "13");
    kernel_interface();
  }
  ~HostTree() { remove(""); }
  HostTree(const HostTree&) = delete;
  HostTree& operator=(const HostTree&) = delete;

  doctor::Host host() const { return doctor::Host(root_.string()); }
  std::string path(const std::string& name) const { return at(name).string(); }
  void put(const std::string& path, const std::string& text) {
    const auto file = at(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  void link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories(at(path).parent_path());
    remove(path);
    std::filesystem::create_symlink(target, at(path));
  }
  void remove(const std::string& path) { std::filesystem::remove_all(at(path)); }

  /// What the good machine's profile needs: poll-mode workers on CPUs 2 and 3.
  static doctor::Needs needs() {
    doctor::Needs needs;
    needs.profile = "gw.yaml";
    needs.huge_megabytes = 1'024;
    needs.nics = {{"wan0", "0000:3b:00.0"}, {"lan", "0000:3b:00.1"}};
    needs.kernel_ports = {{"xdp", doctor::KernelPort::Driver::kAfXdp, "eth2", 1'500, 2}};
    needs.control = 1;
    needs.workers = {2, 3};
    needs.polls = true;
    needs.tun = true;
    needs.pci = true;
    return needs;
  }

 private:
  static std::filesystem::path made() {
    std::string name = testing::TempDir() + "/host_tree.XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    return name;
  }
  std::filesystem::path at(const std::string& path) const {
    return path.empty() ? root_ : root_ / path.substr(1);
  }

  void memory() {
    for (const char* folder : {"/sys/kernel/mm", "/sys/devices/system/node/node0"}) {
      const std::string pages = std::string(folder) + "/hugepages/hugepages-2048kB";
      put(pages + "/nr_hugepages", "600");
      put(pages + "/free_hugepages", "600");
    }
    put("/sys/devices/system/node/node0/cpulist", "0-3");
    put("/sys/devices/system/node/node1/cpulist", "4-7");
    put("/proc/self/limits",
        "Max cpu time  unlimited  unlimited\nMax locked memory  unlimited  unlimited  bytes");
    put("/proc/self/status", "CapEff:\t0000000000000000");
  }

  void cpus() {
    put("/proc/cpuinfo",
        "processor : 0\nvendor_id : GenuineIntel\nflags : tsc constant_tsc nonstop_tsc ssse3 "
        "sse4_1 "
        "sse4_2 aes pclmulqdq vaes vpclmulqdq avx512f avx512bw avx512vl");
    put("/sys/devices/system/cpu/online", "0-7");
    put("/sys/devices/system/cpu/isolated", "2-3");
    put("/sys/devices/system/cpu/nohz_full", "2-3");
    for (int cpu = 0; cpu < 4; ++cpu)
      put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          std::to_string(cpu));
    put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc");
    put("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet");
  }

  void nic(const std::string& pci, const std::string& group) {
    const std::string device = "/sys/bus/pci/devices/" + pci;
    put("/sys/class/iommu/dmar0/name", "dmar0");
    put("/sys/bus/pci/drivers/vfio-pci/bind", "");
    put(device + "/class", "0x020000");
    put(device + "/numa_node", "0");
    for (const char* which : {"current", "max"}) {
      put(device + "/" + which + "_link_width", "8");
      put(device + "/" + which + "_link_speed", "8.0 GT/s PCIe");
    }
    link(device + "/driver", "/sys/bus/pci/drivers/vfio-pci");
    link(device + "/iommu_group", "/sys/kernel/iommu_groups/" + group);
    put("/sys/kernel/iommu_groups/" + group + "/devices/" + pci, "");
  }

  void kernel_interface() {
    put("/sys/class/net/eth2/flags", "0x1003");
    put("/sys/class/net/eth2/mtu", "1500");
    put("/sys/class/net/eth2/queues/rx-0/rps_cpus", "0");
    put("/sys/class/net/eth2/queues/rx-1/rps_cpus", "0");
    link("/sys/class/net/eth2/device/driver", "/sys/bus/pci/drivers/ice");
    put("/proc/net/protocols", "protocol  size\nXDP       1088");
    put("/proc/sys/net/core/bpf_jit_enable", "1");
    put("/proc/net/route", "Iface\tDestination\tGateway\tFlags");
    put("/dev/net/tun", "");
  }

  std::filesystem::path root_;
};

}  // namespace jvpn::test
