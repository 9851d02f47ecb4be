// What neighbours tell and ask: whose address it is decides learn() in neighbors.cc; what we tell
// and answer is written here.
#include "common/ip_header.h"
#include "control/neighbor/handed_over.h"
#include "control/neighbor/link_frames.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/peer_proxy.h"

namespace jvpn::neighbor {

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
  if (!is_peers(port, message->sender, message->sender_mac) && on_link(port, message->sender))
    learn(now, {port, message->sender}, message->sender_mac);
  if (message->operation != ArpMessage::Operation::kRequest) return;
  if (!own.owns(message->target)) {
    if (peers_ != nullptr) peers_->answer(port, *message);
    return;
  }
  send_arp(injector_, port, message->sender_mac,
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
  if (message->type == NdMessage::Type::kSolicitation)
    return on_solicitation(now, port, from, *message);
  if (ports_[port].owns(message->target)) {
    ++counters_.conflicts;
    return;
  }
  if (is_peers(port, message->target, message->link_layer)) return;
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

void Neighbors::on_solicitation(Millis now, uint16_t port, const EtherAddress& from,
                                const NdMessage& message) {
  const PortInfo& own = ports_[port];
  if (message.link_layer && on_link(port, message.source) && !own.owns(message.source) &&
      !is_peers(port, message.source, message.link_layer))
    learn(now, {port, message.source}, *message.link_layer);
  if (!own.owns(message.target)) {
    if (peers_ != nullptr) peers_->answer(port, from, message);
    return;
  }
  send_advertisement(injector_, own, from, message, message.target, true);
  ++counters_.answers;
}

/// Nobody on the link has a peer's address, whatever is said there; but for the gateway that has
/// just taken its session.
bool Neighbors::is_peers(uint16_t port, const IpAddress& address,
                         const std::optional<EtherAddress>& mac) {
  if (peers_ == nullptr || !peers_->claimed(port, address)) return false;
  if (handed_over_ != nullptr && mac) handed_over_->heard(port, address, *mac);
  return true;
}

void Neighbors::announce() {
  for (const PortInfo& port : ports_)
    for (const Prefix& own : port.addresses)
      announce_address(injector_, port, own.address, own.address);
}

}  // namespace jvpn::neighbor
