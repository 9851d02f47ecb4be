// What control needs around it in tests: two ports' descriptions, a pool, an inject ring, and the
// neighbour tables and slow path between them. Time is a variable.
//
//   wan (0) 192.0.2.1/24 2001:db8::1/64, gateway 192.0.2.254 │ gateway │ lan (1) 10.0.0.1/24
//   fd00::1/64
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "common/dpdk_name.h"
#include "common/port_info.h"
#include "control/neighbor/inside_routes.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/slow_path.h"
#include "control/publish/injector.h"
#include "control/publish/reclaimer.h"
#include "dataplane/port.h"
#include "tests/support/must.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_gateway.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

inline constexpr Mac48 kWanMac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr Mac48 kLanMac{0x02, 0, 0, 0, 0, 0x02};
inline constexpr Mac48 kBroadcastMac{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

/// What control handed to a worker.
struct Injected {
  InjectAction action{};
  uint16_t port = 0;
  Bytes bytes;
};

class ControlRig : public testing::Test {
 protected:
  ControlRig() {
    ports_ = {port(0, "wan", PortRole::kOutside, kWanMac, {"192.0.2.1/24", "2001:db8::1/64"}),
              port(1, "lan", PortRole::kInside, kLanMac, {"10.0.0.1/24", "fd00::1/64"})};
    ports_[0].gateways = {address("192.0.2.254")};
    ports_[1].routes = {{Prefix::parse("10.50.0.0/16").value(), address("10.0.0.9")}};
    reclaimer_ = std::make_unique<Reclaimer>(tables_.rcu.get());
    injector_ = std::make_unique<Injector>(pool_.get(), std::vector<rte_ring*>{ring_.get()});
    neighbors_ = std::make_unique<Neighbors>(ports_, *injector_);
    inside_ = std::make_unique<InsideRoutes>(ports_, *neighbors_, *tables_.routes,
                                             *tables_.sessions, *reclaimer_);
    slow_path_ = std::make_unique<SlowPath>(ports_, *injector_, *neighbors_, *inside_, now_);
    neighbors_->on_changed([this](const NeighborKey& key, const std::optional<EtherAddress>& mac) {
      inside_->neighbor_changed(key, mac);
      changes_.push_back({key, mac});
    });
  }

  ~ControlRig() override {
    injected();
    slow_path_.reset();
    inside_.reset();
    neighbors_.reset();
    EXPECT_EQ(rte_mempool_in_use_count(pool_.get()), 0U) << "mbufs leaked";
  }

  static PortInfo port(uint16_t number, const char* name, PortRole role, const Mac48& mac,
                       std::vector<const char*> addresses) {
    PortInfo info;
    info.number = number;
    info.dpdk_id = number;
    info.name = name;
    info.role = role;
    info.mac = mac;
    for (const char* text : addresses) info.addresses.push_back(Prefix::parse(text).value());
    return info;
  }

  rte_mbuf* packet(const Bytes& bytes, const PacketNote& note) {
    rte_mbuf* made = make_packet(pool_.get(), bytes);
    note_of(made) = note;
    return made;
  }
  void punt(const Bytes& bytes, PuntReason reason, uint16_t port_number = 1, uint16_t mtu = 0) {
    PacketNote note;
    note.reason = reason;
    note.port = port_number;
    note.mtu = mtu;
    slow_path_->handle(now_, packet(bytes, note));
  }

  /// Takes everything that waits in the inject ring.
  std::vector<Injected> injected() {
    std::vector<Injected> all;
    for (Punted& taken : take_all(ring_.get()))
      all.push_back({taken.note.action, taken.note.port, std::move(taken.bytes)});
    return all;
  }

  void pass(uint64_t ms) {
    now_ = now_ + Millis{ms};
    neighbors_->advance(now_);
  }

  static Bytes arp(uint16_t operation, const Mac48& sender_mac, const char* sender,
                   const Mac48& target_mac, const char* target) {
    Bytes bytes{0, 1, 8, 0, 6, 4, 0, static_cast<uint8_t>(operation)};
    append(bytes, Bytes(sender_mac.begin(), sender_mac.end()));
    const auto from = address(sender).bytes, to = address(target).bytes;
    append(bytes, Bytes(from.begin(), from.begin() + 4));
    append(bytes, Bytes(target_mac.begin(), target_mac.end()));
    append(bytes, Bytes(to.begin(), to.begin() + 4));
    return bytes;
  }

  /// Neighbour solicitation (135) or advertisement (136), as a sound IPv6 packet.
  static Bytes nd(uint8_t type, const char* source, const char* destination, const char* target,
                  const Mac48& link_layer, uint8_t flags = 0) {
    Bytes icmp(24);
    icmp[0] = type;
    icmp[4] = flags;
    const auto bytes = address(target).bytes;
    std::copy(bytes.begin(), bytes.end(), icmp.begin() + 8);
    append(icmp, Bytes{static_cast<uint8_t>(type == 135 ? 1 : 2), 1});
    append(icmp, Bytes(link_layer.begin(), link_layer.end()));
    Bytes ip = ipv6_packet(address(source), address(destination), icmp, {kIcmpV6Protocol, 255, {}});
    fix_icmpv6(ip);
    return ip;
  }

  static Bytes echo_request(const char* from, const char* to, size_t payload = 32) {
    return test::echo_request(address(from), address(to), 7, payload);
  }

  Tables tables_ = must(Tables::create(1, 16, {}));
  Pool pool_{must(make_pool(unique_dpdk_name("rig"), 1'023, 1'500))};
  Ring ring_ = must(make_ring("inject", 256));
  std::vector<PortInfo> ports_;
  Millis now_{1'000'000};
  std::vector<std::pair<NeighborKey, std::optional<EtherAddress>>> changes_;
  std::unique_ptr<Reclaimer> reclaimer_;
  std::unique_ptr<Injector> injector_;
  std::unique_ptr<Neighbors> neighbors_;
  std::unique_ptr<InsideRoutes> inside_;
  std::unique_ptr<SlowPath> slow_path_;
};

}  // namespace jvpn::test
