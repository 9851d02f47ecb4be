#include "dataplane/port.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <utility>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/exchange.h"
#include "common/limits.h"
#include "common/wire.h"
#include "dataplane/af_packet.h"
#include "dataplane/xdp_program.h"

namespace jvpn {
namespace {

constexpr uint64_t kRssFields = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP;
constexpr unsigned kPoolCache = 256;
constexpr uint16_t kDefaultDataRoom = 2048;

/// Drivers whose queues come in pairs, as many as the vdev's arguments say: one left unpolled would
/// swallow its share of the packets.
constexpr std::array<std::string_view, 3> kPairedDrivers{"net_af_packet", "net_af_xdp", "net_ring"};

struct QueueCounts {
  uint16_t rx = 0;
  uint16_t tx = 0;
};

Error port_error(const PortProfile& profile, const std::string& what) {
  return Error{"port " + profile.name + ": " + what};
}

Error call_error(const PortProfile& profile, const std::string& what, int error) {
  return port_error(profile, what + ": " + rte_strerror(-error));
}

/// The device's name within DPDK: the PCI address, or the vdev's before its arguments.
std::string device_name(const PortProfile& profile) {
  if (!profile.pci.empty()) return profile.pci;
  return vdev_name(profile.vdev);
}

Error no_device(const PortProfile& profile) {
  const std::string why = profile.pci.empty()
                              ? "; its driver's own lines above say why it could not be made"
                              : "; is it bound to a driver for DPDK (dpdk-devbind.py --status)?";
  return port_error(profile, "DPDK has no device " + device_name(profile) + why);
}

bool is_paired(const rte_eth_dev_info& device) {
  const std::string_view driver(device.driver_name);
  return std::find(kPairedDrivers.begin(), kPairedDrivers.end(), driver) != kPairedDrivers.end();
}

/// How a driver's arguments set its number of queues.
std::string queue_argument(std::string_view driver) {
  if (driver == "net_af_xdp") return "queue_count=";
  if (driver == "net_af_packet") return "qpairs=";
  return "queues=";
}

Error too_few_queues(const PortProfile& profile, const rte_eth_dev_info& device, uint16_t workers) {
  const std::string mend = profile.vdev.empty() ? "give it fewer workers or another NIC"
                                                : "write " + queue_argument(device.driver_name) +
                                                      std::to_string(workers) + " in its vdev";
  return port_error(profile, "expected a transmit queue for each of " + std::to_string(workers) +
                                 " workers, the device has " +
                                 std::to_string(device.max_tx_queues) + ": " + mend);
}

Result<QueueCounts> count_queues(const PortProfile& profile, const rte_eth_dev_info& device,
                                 uint16_t workers) {
  if (device.max_tx_queues < workers) return too_few_queues(profile, device, workers);
  if (profile.queues > device.max_rx_queues)
    return port_error(profile, "queues: expected at most " + std::to_string(device.max_rx_queues) +
                                   ", which the device has, got " + std::to_string(profile.queues));
  if (is_paired(device)) return QueueCounts{device.max_rx_queues, device.max_tx_queues};
  const uint16_t wanted = profile.queues == 0 ? workers : std::min(profile.queues, workers);
  return QueueCounts{std::max<uint16_t>(1, std::min(wanted, device.max_rx_queues)), workers};
}

Result<void> check_mtu(const PortProfile& profile, const rte_eth_dev_info& device) {
  if (std::string_view(device.driver_name) == "net_af_packet" &&
      profile.mtu > af_packet_mtu(profile.vdev))
    return port_error(
        profile, "mtu: expected at most " + std::to_string(af_packet_mtu(profile.vdev)) +
                     ", for which the ring's frames have room, got " + std::to_string(profile.mtu) +
                     ": write " + af_packet_arguments(profile.mtu) + " in its vdev");
  if (profile.mtu >= device.min_mtu && profile.mtu <= device.max_mtu) return {};
  return port_error(profile, "mtu: expected " + std::to_string(device.min_mtu) + " to " +
                                 std::to_string(device.max_mtu) + ", which the device takes, got " +
                                 std::to_string(profile.mtu));
}

/// What a profile may write, as near to `asked` as the device has it: profiles take powers of two.
uint32_t nearest_descriptors(uint32_t asked, const rte_eth_desc_lim& device) {
  const uint32_t least = std::bit_ceil(std::max<uint32_t>(device.nb_min, device.nb_align));
  return std::max(least, std::bit_floor(std::min<uint32_t>(asked, device.nb_max)));
}

/// DPDK could adjust the number, but the queue would then be another than the profile says.
Result<void> check_descriptors(const PortProfile& profile, const std::string& key, uint16_t asked,
                               const rte_eth_desc_lim& device) {
  const bool aligned = device.nb_align == 0 || asked % device.nb_align == 0;
  if (asked >= device.nb_min && asked <= device.nb_max && aligned) return {};
  return port_error(profile, key + ": expected " + std::to_string(device.nb_min) + " to " +
                                 std::to_string(device.nb_max) + " in steps of " +
                                 std::to_string(std::max<uint16_t>(1, device.nb_align)) +
                                 ", which the device has, got " + std::to_string(asked) +
                                 ": write " + key + ": " +
                                 std::to_string(nearest_descriptors(asked, device)));
}

Result<void> check_descriptors(const PortProfile& profile, const rte_eth_dev_info& device) {
  auto rx =
      check_descriptors(profile, "rx_descriptors", profile.rx_descriptors, device.rx_desc_lim);
  if (!rx) return rx;
  return check_descriptors(profile, "tx_descriptors", profile.tx_descriptors, device.tx_desc_lim);
}

rte_eth_conf configuration(const PortProfile& profile, const rte_eth_dev_info& device,
                           const QueueCounts& queues) {
  rte_eth_conf configuration{};
  configuration.rxmode.mtu = profile.mtu;
  configuration.rxmode.offloads = device.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
  configuration.txmode.offloads =
      device.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
  const uint64_t rss = device.flow_type_rss_offloads & kRssFields;
  if (queues.rx > 1 && rss != 0) {
    configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    configuration.rx_adv_conf.rss_conf.rss_hf = rss;
  }
  return configuration;
}

Result<void> set_up_queues(const PortProfile& profile, uint16_t id, const QueueCounts& queues,
                           rte_mempool* pool) {
  const uint16_t rx = profile.rx_descriptors;
  const uint16_t tx = profile.tx_descriptors;
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(id));
  for (uint16_t queue = 0; queue < queues.rx; ++queue) {
    const int error = rte_eth_rx_queue_setup(id, queue, rx, socket, nullptr, pool);
    if (error == 0) continue;
    return call_error(profile,
                      "receive queue " + std::to_string(queue) + " of " + std::to_string(rx) +
                          " descriptors (raise limits.mbufs if memory is short)",
                      error);
  }
  for (uint16_t queue = 0; queue < queues.tx; ++queue) {
    const int error = rte_eth_tx_queue_setup(id, queue, tx, socket, nullptr);
    if (error != 0) return call_error(profile, "transmit queue " + std::to_string(queue), error);
  }
  return {};
}

/// A device that can't change its MTU keeps its own, as long as frames fit.
Result<void> set_mtu(const PortProfile& profile, uint16_t id) {
  const int error = rte_eth_dev_set_mtu(id, profile.mtu);
  if (error == 0 || error == -ENOTSUP) return {};
  return call_error(profile, "mtu " + std::to_string(profile.mtu), error);
}

/// Neighbour solicitations go to groups; a device without such a filter takes everything.
void accept_groups(uint16_t id) {
  if (rte_eth_allmulticast_enable(id) != 0) rte_eth_promiscuous_enable(id);
}

Result<PortInfo> describe(const PortProfile& profile, uint16_t number, uint16_t id,
                          const rte_eth_dev_info& device, const rte_eth_conf& configuration,
                          const QueueCounts& queues) {
  PortInfo info;
  info.number = number;
  info.dpdk_id = id;
  info.name = profile.name;
  info.role = profile.role;
  info.mtu = profile.mtu;
  info.addresses = profile.addresses;
  info.gateways = profile.gateways;
  info.routes = profile.routes;
  info.neighbors = profile.neighbors;
  info.answers_for_peers = profile.answer_for_peers;
  info.rx_queues = queues.rx;
  info.tx_queues = queues.tx;
  info.rx_ipv4_checksum = (configuration.rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
  info.tx_ipv4_checksum = (configuration.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  info.tx_udp_checksum = (configuration.txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
  const std::string_view driver = device.driver_name;
  info.from_kernel = driver == "net_af_packet" || driver == "net_af_xdp" || driver == "net_tap";
  rte_ether_addr mac{};
  if (const int error = rte_eth_macaddr_get(id, &mac); error != 0)
    return call_error(profile, "Ethernet address", error);
  std::copy(std::begin(mac.addr_bytes), std::end(mac.addr_bytes), info.mac.begin());
  return info;
}

}  // namespace

KernelInterface KernelInterface::open(unsigned index) {
  KernelInterface found;
  std::array<char, IF_NAMESIZE> name{};
  if (index == 0 || if_indextoname(index, name.data()) == nullptr) return found;
  found.name = name.data();
  found.index = index;
  found.descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return found;
}

bool KernelInterface::running() const {
  ifreq request{};
  name.copy(request.ifr_name, IF_NAMESIZE - 1);
  constexpr int kUp = IFF_UP | IFF_RUNNING;
  return ioctl(descriptor, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & kUp) == kUp;
}

bool KernelInterface::has(uint32_t command) const {
  ethtool_value value{command, 0};
  ifreq request{};
  name.copy(request.ifr_name, IF_NAMESIZE - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  return ioctl(descriptor, SIOCETHTOOL, &request) == 0 && value.data != 0;
}

/// AF_PACKET hands over what was merged, and without the size of its pieces.
std::string KernelInterface::merging() const {
  if (has(ETHTOOL_GGRO)) return "it merges packets: ethtool -K " + name + " gro off lro off";
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  name.copy(request.ifr_name, IF_NAMESIZE - 1);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  const bool asked = ioctl(descriptor, SIOCETHTOOL, &request) == 0;
  if (!asked || std::string_view(driver.driver) != "veth") return {};
  return "it is a veth, whose other end may merge packets; they are lost as `merged`. At the other "
         "end: ethtool -K INTERFACE tx off tso off gso off tx-udp-segmentation off; or use "
         "net_af_xdp here";
}

Result<Port> Port::open(const PortProfile& profile, const Needs& needs) {
  uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(device_name(profile).c_str(), &id) != 0)
    return no_device(profile);
  rte_eth_dev_info capabilities{};
  if (const int error = rte_eth_dev_info_get(id, &capabilities); error != 0)
    return call_error(profile, "device facts", error);
  const auto queues = count_queues(profile, capabilities, needs.workers);
  if (!queues) return queues.error();
  if (auto fits = check_mtu(profile, capabilities); !fits) return fits.error();
  if (auto fits = check_descriptors(profile, capabilities); !fits) return fits.error();

  const rte_eth_conf wanted = configuration(profile, capabilities, *queues);
  if (const int error = rte_eth_dev_configure(id, queues->rx, queues->tx, &wanted); error != 0)
    return call_error(profile, "configuration", error);
  auto info = describe(profile, needs.number, id, capabilities, wanted, *queues);
  if (!info) return info.error();
  Port port(*std::move(info));  // closes the device from here on
  port.kernel_ = KernelInterface::open(capabilities.if_index);
  port.info_.interface = port.kernel_.name;
  if (std::string_view(capabilities.driver_name) == "net_af_packet")
    port.info_.warning = port.kernel_.merging();
  if (auto done = set_mtu(profile, id); !done) return done.error();
  const uint32_t before = XdpProgram::attached(capabilities.if_index);
  if (auto done = set_up_queues(profile, id, *queues, needs.pool); !done) return done.error();
  if (const int error = rte_eth_dev_start(id); error != 0)
    return call_error(profile, "start", error);
  accept_groups(id);
  if (before == 0) port.xdp_program_ = XdpProgram::attached(capabilities.if_index);
  return port;
}

Port::Port(Port&& other) noexcept
    : info_(std::move(other.info_)),
      kernel_(std::exchange(other.kernel_, {})),
      xdp_program_(std::exchange(other.xdp_program_, 0)),
      open_(std::exchange(other.open_, false)) {}

Port::~Port() {
  if (kernel_.descriptor >= 0) close(kernel_.descriptor);
  if (!open_) return;
  rte_eth_dev_stop(info_.dpdk_id);
  if (xdp_program_ != 0) XdpProgram::detach(kernel_.index, xdp_program_);
  rte_eth_dev_close(info_.dpdk_id);
}

bool Port::link_up() const {
  if (kernel_.descriptor >= 0) return kernel_.running();
  rte_eth_link link{};
  return rte_eth_link_get_nowait(info_.dpdk_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

Result<rte_mempool*> make_pool(const std::string& name, uint32_t packets, uint16_t mtu) {
  const size_t frame = 14 + 4 + mtu + wire::kTransportOverhead;
  const size_t room = std::max<size_t>(kDefaultDataRoom, (frame + 63) / 64 * 64);
  rte_mempool* pool = rte_pktmbuf_pool_create(
      name.c_str(), packets, std::min(kPoolCache, packets / 8), kMbufPrivateBytes,
      static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + room), static_cast<int>(rte_socket_id()));
  if (pool != nullptr) return pool;
  return Error{"no DPDK memory for " + std::to_string(packets) + " packets of " +
               std::to_string(room) + " bytes (" + rte_strerror(rte_errno) +
               "): raise memory.megabytes or lower limits.mbufs"};
}

}  // namespace jvpn
