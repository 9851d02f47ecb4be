// NICs of the PCI bus, and what hands them to a program.
#include <algorithm>

#include <fmt/format.h>

#include "tools/jvpn/doctor/checks.h"

namespace jvpn::doctor {
namespace {

constexpr const char* kDevices = "/sys/bus/pci/devices";
constexpr const char* kUnsafe = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

bool has_iommu(const Host& host) {
  return !host.names("/sys/class/iommu").empty();
}

bool goes_without_iommu(const Host& host) {
  return host.line(kUnsafe) == "Y";
}

/// Drivers of NICs that DPDK uses without taking the device from the kernel.
bool shares_with_kernel(const std::string& driver) {
  return driver.starts_with("mlx") || driver == "mana" || driver == "gve";
}

Mend bind_to_vfio(const std::string& pci, const std::string& before) {
  Mend mend = run({"dpdk-devbind.py", "--bind=vfio-pci", pci},
                  before.empty() ? "dpdk-devbind.py --unbind " + pci
                                 : fmt::format("dpdk-devbind.py --bind={} {}", before, pci));
  mend.nic = pci;
  return mend;
}

void check_driver(const Host& host, const Nic& nic, const std::string& driver, Report& report) {
  Finding finding{
      .check = "driver", .of = nic.port, .what = fmt::format("{} has {}", driver, nic.pci)};
  if (driver == "vfio-pci" || shares_with_kernel(driver)) {
    report.push_back(std::move(finding));
    return;
  }
  if (driver == "igb_uio" || driver == "uio_pci_generic") {
    finding.verdict = Verdict::kBetter;
    finding.what += ", without an IOMMU's protection and interrupts for each queue";
  } else {
    finding.verdict = Verdict::kMissing;
    finding.what =
        driver.empty() ? fmt::format("no driver has {}", nic.pci) : finding.what + ": DPDK can't";
  }
  Mend mend = bind_to_vfio(nic.pci, driver);
  // Nothing tells whether a program of DPDK runs on it.
  if (finding.verdict == Verdict::kBetter)
    mend = by_hand(to_string(mend) + "   # once no program uses it");
  // It would leave the kernel's driver, and vfio-pci couldn't take it.
  if (!has_iommu(host) && !goes_without_iommu(host))
    mend = by_hand(to_string(mend) + "   # once there is an IOMMU");
  finding.mend.push_back(std::move(mend));
  report.push_back(std::move(finding));
}

/// vfio hands over whole groups: drivers of the kernel must not have another device of it.
void check_group(const Host& host, const Nic& nic, Report& report) {
  const std::string group = host.link_name(fmt::format("{}/{}/iommu_group", kDevices, nic.pci));
  if (group.empty()) return;
  Finding finding{.check = "iommu group", .of = nic.port, .what = "group " + group};
  for (const std::string& other :
       host.names(fmt::format("/sys/kernel/iommu_groups/{}/devices", group))) {
    const std::string at = fmt::format("{}/{}", kDevices, other);
    const std::string driver = host.link_name(at + "/driver");
    const bool bridge = host.line(at + "/class").starts_with("0x0604");
    if (other == nic.pci || driver.empty() || driver == "vfio-pci" || bridge) continue;
    finding.verdict = Verdict::kMissing;
    finding.what += fmt::format(", which {} has {} of", driver, other);
    finding.mend.push_back(by_hand(fmt::format("dpdk-devbind.py --bind=vfio-pci {}", other)));
  }
  report.push_back(std::move(finding));
}

/// The link to the bus may have come up narrower or slower than both its ends can.
void check_link(const Host& host, const Nic& nic, Report& report) {
  const auto of = [&](const char* name) {
    return host.line(fmt::format("{}/{}/{}", kDevices, nic.pci, name));
  };
  const std::string width = of("current_link_width");
  const std::string speed = of("current_link_speed");
  if (width.empty() || speed.empty() || width == "0") return;
  Finding finding{.check = "pcie", .of = nic.port, .what = fmt::format("x{} at {}", width, speed)};
  if (width != of("max_link_width") || speed != of("max_link_speed")) {
    finding.verdict = Verdict::kBetter;
    finding.what += fmt::format(", of x{} at {}", of("max_link_width"), of("max_link_speed"));
    finding.mend.push_back(
        by_hand(fmt::format("lspci -vvs {} | grep Lnk   # then another slot", nic.pci)));
  }
  report.push_back(std::move(finding));
}

void check_numa(const Host& host, const Needs& needs, const Nic& nic, Report& report) {
  const auto node = host.number(fmt::format("{}/{}/numa_node", kDevices, nic.pci)).value_or(-1);
  if (node < 0 || needs.workers.empty()) return;
  const std::string near = host.line(fmt::format("/sys/devices/system/node/node{}/cpulist", node));
  const auto cpus = cpus_of(near);
  std::vector<uint32_t> far;
  for (const uint32_t worker : needs.workers)
    if (std::ranges::find(cpus, worker) == cpus.end()) far.push_back(worker);
  Finding finding{
      .check = "numa", .of = nic.port, .what = fmt::format("node {}, as its workers", node)};
  if (!far.empty()) {
    finding.verdict = Verdict::kBetter;
    finding.what = fmt::format("node {}, workers on {} are not: packets cross between nodes", node,
                               to_list(far));
    finding.mend.push_back(by_hand("in the profile: cores: workers of " + near));
  }
  report.push_back(std::move(finding));
}

/// A kernel driver tells its queues; vfio-pci has none, and jvpnd says at its start what it got.
void check_queues(const Host& host, const Needs& needs, const Nic& nic, Report& report) {
  for (const std::string& interface : host.names(fmt::format("{}/{}/net", kDevices, nic.pci))) {
    size_t queues = 0;
    for (const std::string& each : host.names(fmt::format("/sys/class/net/{}/queues", interface)))
      queues += each.starts_with("rx-") ? 1U : 0U;
    Finding finding{.check = "queues",
                    .of = nic.port,
                    .what = fmt::format("{} for {} workers", queues, needs.workers.size())};
    if (queues < needs.workers.size()) {
      finding.verdict = Verdict::kBetter;
      finding.what += fmt::format(", as {} is set now", interface);
      finding.mend.push_back(by_hand(fmt::format(
          "ethtool -l {}   # how many the NIC has; no more workers than that", interface)));
    }
    report.push_back(std::move(finding));
  }
}

}  // namespace

void check_iommu(const Host& host, const Needs& needs, Report& report) {
  if (!needs.pci) return;
  Finding finding{.check = "iommu", .what = "on"};
  if (!has_iommu(host)) {
    const bool unsafe = goes_without_iommu(host);
    finding.verdict = unsafe ? Verdict::kBetter : Verdict::kMissing;
    finding.what = unsafe ? "none: vfio goes without, and NICs write wherever they want"
                          : "none: vfio-pci refuses NICs";
    finding.mend.push_back(at_boot(host.is_intel() ? "intel_iommu=on iommu=pt" : "iommu=pt"));
    finding.mend.push_back(by_hand("when it stays so: switch VT-d or AMD-Vi on in the firmware"));
    if (!unsafe && host.has_cpu_flag("hypervisor"))
      finding.mend.push_back(by_hand(
          fmt::format("in a VM without a virtual IOMMU: modprobe vfio && echo Y > {}", kUnsafe)));
  }
  report.push_back(std::move(finding));
}

void check_vfio(const Host& host, const Needs& needs, Report& report) {
  if (!needs.pci) return;
  Finding finding{.check = "vfio-pci", .what = "loaded"};
  if (!host.exists("/sys/bus/pci/drivers/vfio-pci")) {
    finding.verdict = Verdict::kMissing;
    finding.what = "not loaded";
    finding.mend.push_back(run({"modprobe", "vfio-pci"}, "modprobe -r vfio-pci"));
    finding.mend.push_back(
        by_hand("echo vfio-pci > /etc/modules-load.d/jvpn-vfio.conf   # after the next boot, too"));
  }
  report.push_back(std::move(finding));
}

void check_nics(const Host& host, const Needs& needs, Report& report) {
  for (const Nic& nic : needs.nics) {
    const std::string at = fmt::format("{}/{}", kDevices, nic.pci);
    if (!host.exists(at)) {
      report.push_back({.check = "driver",
                        .of = nic.port,
                        .verdict = Verdict::kMissing,
                        .what = fmt::format("there is no device {}", nic.pci),
                        .mend = {by_hand("dpdk-devbind.py --status-dev net   # lists them")}});
      continue;
    }
    const std::string driver = host.link_name(at + "/driver");
    check_driver(host, nic, driver, report);
    if (!shares_with_kernel(driver)) check_group(host, nic, report);
    check_link(host, nic, report);
    check_numa(host, needs, nic, report);
    check_queues(host, needs, nic, report);
  }
}

}  // namespace jvpn::doctor
