// Ports upon interfaces of the kernel, and tunnel devices.
#include <array>

#include <fmt/format.h>

#include "tools/jvpn/doctor/checks.h"

namespace jvpn::doctor {
namespace {

/// Of drivers that hand packets to AF_XDP without a copy.
constexpr std::array kZeroCopy = {"i40e", "ice",   "idpf",      "igb",
                                  "igc",  "ixgbe", "mlx5_core", "stmmac"};

std::string of_device(const KernelPort& port, const char* name) {
  return fmt::format("/sys/class/net/{}/{}", port.device, name);
}

void check_interface(const Host& host, const KernelPort& port, Report& report) {
  Finding finding{.check = "interface", .of = port.port};
  const auto flags = host.line(of_device(port, "flags"));
  // Hexadecimal; the lowest bit is IFF_UP.
  const bool up =
      !flags.empty() && (std::stoul("0" + flags.substr(flags.size() - 1), nullptr, 16) & 1) != 0;
  const auto mtu = host.number(of_device(port, "mtu")).value_or(0);
  finding.what = fmt::format("{} is up, MTU {}", port.device, mtu);
  if (!up) {
    finding.verdict = Verdict::kMissing;
    finding.what = port.device + " is down";
    finding.mend.push_back(by_hand(fmt::format("ip link set dev {} up", port.device)));
  } else if (mtu < port.mtu) {
    finding.verdict = Verdict::kMissing;
    finding.what += fmt::format(", the profile says {}", port.mtu);
    finding.mend.push_back(
        by_hand(fmt::format("ip link set dev {} mtu {}", port.device, port.mtu)));
  }
  report.push_back(std::move(finding));
}

void check_device_queues(const Host& host, const KernelPort& port, Report& report) {
  size_t queues = 0;
  for (const std::string& each : host.names(of_device(port, "queues")))
    queues += each.starts_with("rx-") ? 1U : 0U;
  Finding finding{.check = "queues",
                  .of = port.port,
                  .what = fmt::format("{} of {}, {} needed", queues, port.device, port.queues)};
  if (queues < port.queues) {
    finding.verdict = Verdict::kMissing;
    finding.mend.push_back(
        by_hand(fmt::format("ethtool -L {} combined {}", port.device, port.queues)));
  }
  report.push_back(std::move(finding));
}

void check_af_xdp(const Host& host, const KernelPort& port, Report& report) {
  Finding finding{.check = "af_xdp", .of = port.port};
  const std::string protocols = '\n' + host.text("/proc/net/protocols");
  const std::string driver = host.link_name(of_device(port, "device/driver"));
  bool zero_copy = false;
  for (const char* const each : kZeroCopy) zero_copy = zero_copy || driver == each;
  if (protocols.find("\nXDP ") == std::string::npos) {
    finding.verdict = Verdict::kMissing;
    finding.what = "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)";
    finding.mend.push_back(
        by_hand(fmt::format("in the profile: vdev: \"net_af_packet0,iface={}\"", port.device)));
  } else if (host.line("/proc/sys/net/core/bpf_jit_enable") == "0") {
    finding.verdict = Verdict::kBetter;
    finding.what = "XDP programs are interpreted";
    finding.mend.push_back(
        run({"sysctl", "-w", "net.core.bpf_jit_enable=1"}, "sysctl -w net.core.bpf_jit_enable=0"));
  } else if (!zero_copy) {
    finding.verdict = Verdict::kBetter;
    finding.what =
        fmt::format("{} copies each packet",
                    driver.empty() ? std::string("a virtual interface") : "driver " + driver);
    finding.mend.push_back(by_hand("a NIC that vfio-pci takes, or one of i40e, ice, ixgbe, mlx5"));
  } else {
    finding.what = fmt::format("driver {} copies nothing", driver);
  }
  report.push_back(std::move(finding));
}

}  // namespace

void check_kernel_ports(const Host& host, const Needs& needs, Report& report) {
  for (const KernelPort& port : needs.kernel_ports) {
    if (port.device.empty() || !host.exists(of_device(port, ""))) {
      report.push_back({.check = "interface",
                        .of = port.port,
                        .verdict = Verdict::kMissing,
                        .what = fmt::format("there is no interface {}", port.device),
                        .mend = {by_hand("ip -brief link   # lists them")}});
      continue;
    }
    check_interface(host, port, report);
    if (port.driver != KernelPort::Driver::kAfXdp) continue;
    check_device_queues(host, port, report);
    check_af_xdp(host, port, report);
  }
}

void check_tun(const Host& host, const Needs& needs, Report& report) {
  if (!needs.tun) return;
  Finding finding{.check = "tun", .what = "/dev/net/tun"};
  if (!host.exists("/dev/net/tun")) {
    finding.verdict = Verdict::kMissing;
    finding.what = "there is no /dev/net/tun";
    if (host.exists("/sys/class/misc/tun"))
      finding.mend.push_back(by_hand("mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200"));
    else
      finding.mend.push_back(run({"modprobe", "tun"}, "modprobe -r tun"));
  }
  report.push_back(std::move(finding));
}

}  // namespace jvpn::doctor
