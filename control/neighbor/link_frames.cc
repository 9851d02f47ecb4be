#include "control/neighbor/link_frames.h"

#include <span>

namespace jvpn::neighbor {
namespace {

IpAddress all_nodes() {
  return {Family::kIpv6, {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

}  // namespace

bool send_arp(publish::Injector& injector, uint16_t port, const EtherAddress& destination,
              const ArpMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector.allocate(kArpFrameBytes, data);
  if (frame == nullptr) return false;
  write_arp_frame(data.first<kArpFrameBytes>(), destination, message);
  return injector.transmit(port, frame);
}

bool send_nd(publish::Injector& injector, uint16_t port, const EtherAddress& destination,
             const NdMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector.allocate(kNdFrameBytes, data);
  if (frame == nullptr) return false;
  write_nd_frame(data.first<kNdFrameBytes>(), destination, message);
  return injector.transmit(port, frame);
}

bool send_advertisement(publish::Injector& injector, const PortInfo& port, const EtherAddress& from,
                        const NdMessage& solicitation, const IpAddress& source, bool override) {
  const bool probe = is_unspecified(solicitation.source);
  const IpAddress destination = probe ? all_nodes() : solicitation.source;
  const EtherAddress ethernet =
      probe ? ethernet_group_of(destination) : solicitation.link_layer.value_or(from);
  return send_nd(injector, port.number, ethernet,
                 {.type = NdMessage::Type::kAdvertisement,
                  .solicited = !probe,
                  .override = override,
                  .source = source,
                  .destination = destination,
                  .target = solicitation.target,
                  .link_layer = port.mac});
}

bool announce_address(publish::Injector& injector, const PortInfo& port, const IpAddress& address,
                      const IpAddress& source) {
  if (address.is_v4())
    return send_arp(injector, port.number, kEverybody,
                    {ArpMessage::Operation::kRequest, port.mac, address, {}, address});
  return send_nd(injector, port.number, ethernet_group_of(all_nodes()),
                 {.type = NdMessage::Type::kAdvertisement,
                  .override = true,
                  .source = source,
                  .destination = all_nodes(),
                  .target = address,
                  .link_layer = port.mac});
}

std::optional<IpAddress> source_for(const PortInfo& port, const IpAddress& target) {
  std::optional<IpAddress> any;
  for (const Prefix& own : port.addresses) {
    if (own.contains(target)) return own.address;
    if (!any && own.address.family == target.family) any = own.address;
  }
  return any;
}

}  // namespace jvpn::neighbor
