#include "tools/jvpn/doctor/needs.h"

#include <algorithm>

#include "control/admin/profile_file.h"

namespace jvpn::doctor {
namespace {

/// The value of `iface=` among a vdev's arguments; empty: there is none.
std::string device_of(const std::string& vdev) {
  const size_t at = vdev.find(",iface=");
  if (at == std::string::npos) return {};
  const size_t begin = at + std::string(",iface=").size();
  return vdev.substr(begin, vdev.find(',', begin) - begin);
}

bool uses_gcm(const CryptoProfile& crypto) {
  return std::ranges::any_of(crypto.suites,
                             [](Suite suite) { return suite != Suite::kChaCha20Poly1305; });
}

void add_port(const PortProfile& port, size_t workers, Needs& needs) {
  if (!port.pci.empty()) {
    needs.nics.push_back({port.name, port.pci});
    needs.pci = true;
    return;
  }
  const std::string name = vdev_name(port.vdev);
  if (name.starts_with("net_tap")) needs.tun = true;
  const bool xdp = name.starts_with("net_af_xdp");
  if (!xdp && !name.starts_with("net_af_packet")) return;
  const auto driver = xdp ? KernelPort::Driver::kAfXdp : KernelPort::Driver::kAfPacket;
  const size_t queues = port.queues == 0 ? workers : port.queues;
  needs.kernel_ports.push_back({port.name, driver, device_of(port.vdev), port.mtu, queues});
}

Needs needs_of_gateway(const GatewayProfile& profile) {
  Needs needs;
  needs.huge_megabytes = profile.memory.hugepages ? profile.memory.megabytes : 0;
  needs.control = profile.cores.control;
  needs.workers = profile.cores.workers;
  needs.polls = profile.cores.idle == IdleMode::kPoll;
  needs.gcm = uses_gcm(profile.crypto);
  for (const PortProfile& port : profile.ports) add_port(port, needs.workers.size(), needs);
  return needs;
}

}  // namespace

Result<Needs> needs_of_profile(const std::string& path) {
  const auto text = admin::read_text_file(path);
  if (!text) return text.error();
  const auto role = profile_role(*text, path);
  if (!role) return role.error();
  Needs needs;
  if (*role == ProfileRole::kClient) {
    const auto profile = parse_client_profile(*text, path);
    if (!profile) return profile.error();
    needs.gateway = false;
    needs.tun = true;
    needs.gcm = uses_gcm(profile->crypto);
  } else {
    const auto profile = parse_gateway_profile(*text, path);
    if (!profile) return profile.error();
    needs = needs_of_gateway(*profile);
  }
  needs.profile = path;
  return needs;
}

Needs needs_of_any() {
  Needs needs;
  needs.huge_megabytes = MemoryProfile().megabytes;
  needs.tun = true;
  needs.pci = true;
  return needs;
}

}  // namespace jvpn::doctor
