// What DPDK's AF_PACKET driver does that a gateway can't use. Main lcore, before ports are made.
#pragma once

#include <cstdint>
#include <string>

namespace jvpn {

/// The largest MTU whose frames fit those of an AF_PACKET port's ring, which `vdev` sizes.
uint32_t af_packet_mtu(const std::string& vdev);
/// The arguments of a vdev whose ring takes frames of that MTU.
std::string af_packet_arguments(uint32_t mtu);
/// The bytes that a packet buffer of such a port must hold.
uint32_t af_packet_room(const std::string& vdev);

/// Has fragments of the inside come one by one on AF_PACKET ports, as they do on any other.
void keep_fragments_apart();

}  // namespace jvpn
