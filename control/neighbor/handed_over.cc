// gone → (a packet) ask → wait → heard → send; forgotten after kFor.
#include "control/neighbor/handed_over.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/ip_header.h"
#include "control/neighbor/link_frames.h"

namespace jvpn::neighbor {

HandedOver::~HandedOver() {
  for (auto& [key, address] : addresses_)
    for (rte_mbuf* frame : address.frames) rte_pktmbuf_free(frame);
}

void HandedOver::gone(Millis now, PeerId peer) {
  const bool answers =
      std::ranges::any_of(ports_, [](const PortInfo& port) { return port.answers_for_peers; });
  if (!answers) return;
  until_[peer.value] = now + kFor;
  sessions_.set_forwards(true);
}

void HandedOver::back(PeerId peer) {
  if (until_.erase(peer.value) == 0) return;
  for (auto at = addresses_.begin(); at != addresses_.end();)
    at = at->second.peer == peer ? forget(at) : std::next(at);
}

void HandedOver::forward(Millis now, uint16_t port, rte_mbuf* packet) {
  const auto* ip = rte_pktmbuf_mtod(packet, const uint8_t*);
  const auto view = view_ip({ip, rte_pktmbuf_data_len(packet)});
  const auto peer = view ? lan_.peer_of(port, view->destination) : std::nullopt;
  const auto until = peer ? until_.find(peer->value) : until_.end();
  if (until == until_.end() || now >= until->second) return drop(packet);
  const uint16_t type = is_ipv4(ip) ? kEtherTypeIpv4 : kEtherTypeIpv6;
  const Key key{port, view->destination};
  auto at = addresses_.find(key);
  if (at == addresses_.end() && addresses_.size() >= kAddresses) return drop(packet);
  auto* const link =
      reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(packet, uint16_t{kEthernetHeaderBytes}));
  if (link == nullptr) return drop(packet);
  write_ethernet(link, EtherAddress{}, ports_[port].mac, type);
  packet->ol_flags = 0;
  if (at == addresses_.end()) {
    const Millis again = (ask(now, key) ? now : window_) + kAskAgain;
    at = addresses_.emplace(key, Address{*peer, {}, again, {}}).first;
    next_look_ = std::min(next_look_, again);
  }
  Address& address = at->second;
  if (address.mac) return send(port, *address.mac, packet);
  if (address.frames.size() >= kPacketsPerAddress || waiting_ >= kPackets) return drop(packet);
  address.frames.push_back(packet);
  ++waiting_;
}

void HandedOver::heard(uint16_t port, const IpAddress& of, const EtherAddress& mac) {
  const auto at = addresses_.find({port, of});
  const bool group = (mac[0] & 1) != 0;
  if (at == addresses_.end() || group || mac == ports_[port].mac) return;
  at->second.mac = mac;
  std::vector<rte_mbuf*> frames;
  frames.swap(at->second.frames);
  JVPN_ASSERT(waiting_ >= frames.size(), "waiting_ counts the packets of all addresses");
  waiting_ -= frames.size();
  counters_.waited += frames.size();
  for (rte_mbuf* frame : frames) send(port, mac, frame);
}

void HandedOver::advance(Millis now) {
  if (until_.empty() || now < next_look_) return;
  for (auto at = addresses_.begin(); at != addresses_.end();) {
    const auto until = until_.find(at->second.peer.value);
    const bool over = until == until_.end() || now >= until->second;
    at = over ? forget(at) : std::next(at);
  }
  std::erase_if(until_, [&](const auto& each) { return now >= each.second; });
  if (until_.empty()) sessions_.set_forwards(false);
  next_look_ = now + kAskAgain;
  auto at = addresses_.upper_bound(latest_);
  for (size_t looked = 0; looked < addresses_.size(); ++looked, ++at) {
    if (at == addresses_.end()) at = addresses_.begin();
    Address& address = at->second;
    if (address.mac) continue;
    if (now >= address.ask_at) {
      const bool asked = ask(now, at->first);
      if (asked) latest_ = at->first;
      address.ask_at = (asked ? now : window_) + kAskAgain;
    }
    next_look_ = std::min(next_look_, address.ask_at);
  }
}

bool HandedOver::may_ask(Millis now) {
  if (now >= window_ + kAskAgain) {
    window_ = now;
    asked_ = 0;
  }
  if (asked_ == kAtOnce) return false;
  ++asked_;
  return true;
}

bool HandedOver::ask(Millis now, const Key& key) {
  if (!may_ask(now)) return false;
  const auto& [port, address] = key;
  const auto source = source_for(ports_[port], address);
  JVPN_ASSERT(source.has_value(), "a port answers in families that it has an address of");
  ++counters_.questions;
  const EtherAddress& own = ports_[port].mac;
  if (address.is_v4()) {
    send_arp(injector_, port, kEverybody,
             {ArpMessage::Operation::kRequest, own, *source, {}, address});
    return true;
  }
  const IpAddress group = solicited_node_group(address);
  send_nd(injector_, port, ethernet_group_of(group),
          {.type = NdMessage::Type::kSolicitation,
           .source = *source,
           .destination = group,
           .target = address,
           .link_layer = own});
  return true;
}

void HandedOver::send(uint16_t port, const EtherAddress& mac, rte_mbuf* frame) {
  std::memcpy(rte_pktmbuf_mtod(frame, uint8_t*), mac.data(), mac.size());
  ++counters_.forwarded;
  injector_.transmit(port, frame);
}

void HandedOver::drop(rte_mbuf* packet) {
  ++counters_.dropped;
  rte_pktmbuf_free(packet);
}

HandedOver::Addresses::iterator HandedOver::forget(Addresses::iterator at) {
  const std::vector<rte_mbuf*>& frames = at->second.frames;
  JVPN_ASSERT(waiting_ >= frames.size(), "waiting_ counts the packets of all addresses");
  waiting_ -= frames.size();
  for (rte_mbuf* frame : frames) drop(frame);
  return addresses_.erase(at);
}

}  // namespace jvpn::neighbor
