// Frames between the peers of the in-memory gateway and the host on its LAN, as templates that are
// copied into packets and patched. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <rte_mbuf.h>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "common/wire.h"
#include "perf/pipeline/bench_sessions.h"
#include "tests/support/packet_builder.h"

namespace jvpn::perf {

/// What a peer's data message is made with.
struct BenchMessage {
  uint32_t peer;
  uint16_t port;  ///< the peer's
  ReceiverIndex index;
  uint64_t counter;
};

class FrameTemplates {
 public:
  /// `inner_bytes`: of the inner IP packets, at least IPv4 and UDP headers.
  explicit FrameTemplates(unsigned inner_bytes)
      : inner_bytes_(inner_bytes),
        inner_(test::ipv4_packet(
            lan_host(), lan_host(),
            test::udp_datagram(7, 7, test::payload_of(inner_bytes - kHeadersBytes)))),
        to_peer_(test::ip_frame(test::kPortMac, test::kHostMac, inner_)),
        to_lan_(test::ip_frame(
            test::kPortMac, test::kHostMac,
            test::ipv4_packet(
                lan_host(), gateway_outer().address,
                test::udp_datagram(test::kPeerPort, test::kListenPort,
                                   test::Bytes(wire::kTransportOverhead + inner_bytes))))) {
    std::ranges::copy(inner_, to_lan_.begin() + kInnerAt);
  }
  unsigned inner_bytes() const { return inner_bytes_; }

  /// From the host on the LAN to the one behind a peer, `flow` being its UDP source port. Fills an
  /// empty packet; returns the inner packet in it.
  uint8_t* write_to_peer(rte_mbuf* packet, uint32_t peer, uint16_t flow) const {
    uint8_t* ip = append(packet, to_peer_) + kEthernetHeaderBytes;
    write_ip(ip, lan_host(), inner_host_of(peer), kProtocolUdp, kHops,
             inner_bytes_ - kIpv4HeaderBytes);
    store_be16(ip + kIpv4HeaderBytes, flow);
    return ip;
  }

  /// The way back: the whole frame, its payload not sealed yet. Returns the plaintext in it.
  uint8_t* write_to_lan(rte_mbuf* packet, const BenchMessage& message) const {
    uint8_t* frame = append(packet, to_lan_);
    uint8_t* ip = frame + kEthernetHeaderBytes;
    write_ip(ip, outer_of(message.peer, 0).address, gateway_outer().address, kProtocolUdp, kHops,
             to_lan_.size() - kEthernetHeaderBytes - kIpv4HeaderBytes);
    store_be16(ip + kIpv4HeaderBytes, message.port);
    const wire::TransportHeader header{
        wire::MessageType::kData, {}, message.index.value, message.counter};
    std::memcpy(ip + kHeadersBytes, &header, sizeof header);
    uint8_t* inner = frame + kInnerAt;
    write_ip(inner, inner_host_of(message.peer), lan_host(), kProtocolUdp, kHops,
             inner_bytes_ - kIpv4HeaderBytes);
    return inner;
  }

 private:
  static constexpr uint32_t kHeadersBytes = kIpv4HeaderBytes + kUdpHeaderBytes;
  static constexpr uint32_t kInnerAt =
      kEthernetHeaderBytes + kHeadersBytes + sizeof(wire::TransportHeader);

  static uint8_t* append(rte_mbuf* packet, const test::Bytes& frame) {
    auto* data = rte_pktmbuf_mtod(packet, uint8_t*);
    std::memcpy(data, frame.data(), frame.size());
    packet->data_len = static_cast<uint16_t>(frame.size());
    packet->pkt_len = packet->data_len;
    return data;
  }

  unsigned inner_bytes_;
  test::Bytes inner_;
  test::Bytes to_peer_;
  test::Bytes to_lan_;
};

}  // namespace jvpn::perf
