// What neighbours tell and ask: whose address it is decides learn() in neighbors.cc; what we tell
// and answer is written here.
#include <algorithm>

#include "common/ip_header.h"
#include "control/neighbor/neighbors.h"

namespace jvpn::neighbor {
namespace {

IpAddress all_nodes() {
  return {Family::kIpv6, {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

}  // namespace

void Neighbors::on_arp(Millis now, uint16_t port, std::span<const uint8_t> bytes) {
  const auto message = parse_arp(bytes);
  if (!message || port >= ports_.size()) {
    ++counters_.ignored;
    return;
  }
  const PortInfo& own = ports_[port];
  if (ports_[port].owns(message->sender)) {
    if (message->sender_mac != own.mac) ++counters_.conflicts;
    return;
  }
  if (on_link(port, message->sender)) learn(now, {port, message->sender}, message->sender_mac);
  if (message->operation != ArpMessage::Operation::kRequest || !ports_[port].owns(message->target))
    return;
  send_arp(port, message->sender_mac,
           {ArpMessage::Operation::kReply, own.mac, message->target, message->sender_mac,
            message->sender});
  ++counters_.answers;
}

void Neighbors::on_nd(Millis now, uint16_t port, const EtherAddress& from,
                      std::span<const uint8_t> bytes) {
  const auto message = parse_nd(bytes);
  if (!message || port >= ports_.size()) {
    ++counters_.ignored;
    return;
  }
  if (message->type == NdMessage::Type::kSolicitation) {
    if (message->link_layer && on_link(port, message->source) &&
        !ports_[port].owns(message->source))
      learn(now, {port, message->source}, *message->link_layer);
    if (ports_[port].owns(message->target)) advertise(port, from, *message);
    return;
  }
  if (ports_[port].owns(message->target)) {
    ++counters_.conflicts;
    return;
  }
  const NeighborKey key{port, message->target};
  const Entry* entry = find(key);
  if (entry == nullptr || (!message->link_layer && !(message->solicited && entry->known()))) {
    ++counters_.ignored;
    return;
  }
  const EtherAddress mac = message->link_layer.value_or(entry->mac);
  // Without the override flag a different address is no news (RFC 4861 §7.2.5).
  if (entry->known() && mac != entry->mac && !message->override) {
    ++counters_.ignored;
    return;
  }
  learn(now, key, mac);
}

void Neighbors::advertise(uint16_t port, const EtherAddress& to, const NdMessage& solicitation) {
  const bool probe = is_unspecified(solicitation.source);
  const IpAddress destination = probe ? all_nodes() : solicitation.source;
  const EtherAddress ethernet =
      probe ? ethernet_group_of(destination) : solicitation.link_layer.value_or(to);
  send_nd(port, ethernet,
          {.type = NdMessage::Type::kAdvertisement,
           .solicited = !probe,
           .override = true,
           .source = solicitation.target,
           .destination = destination,
           .target = solicitation.target,
           .link_layer = ports_[port].mac});
  ++counters_.answers;
}

void Neighbors::announce() {
  for (const PortInfo& port : ports_) {
    for (const Prefix& own : port.addresses) {
      const IpAddress& address = own.address;
      if (address.is_v4()) {
        send_arp(port.number, kEverybody,
                 {ArpMessage::Operation::kRequest, port.mac, address, {}, address});
      } else {
        send_nd(port.number, ethernet_group_of(all_nodes()),
                {.type = NdMessage::Type::kAdvertisement,
                 .override = true,
                 .source = address,
                 .destination = all_nodes(),
                 .target = address,
                 .link_layer = port.mac});
      }
    }
  }
}

void Neighbors::send_arp(uint16_t port, const EtherAddress& destination,
                         const ArpMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector_.allocate(kArpFrameBytes, data);
  if (frame == nullptr) return;
  write_arp_frame(data.first<kArpFrameBytes>(), destination, message);
  injector_.transmit(port, frame);
}

void Neighbors::send_nd(uint16_t port, const EtherAddress& destination, const NdMessage& message) {
  std::span<uint8_t> data;
  rte_mbuf* frame = injector_.allocate(kNdFrameBytes, data);
  if (frame == nullptr) return;
  write_nd_frame(data.first<kNdFrameBytes>(), destination, message);
  injector_.transmit(port, frame);
}

}  // namespace jvpn::neighbor
