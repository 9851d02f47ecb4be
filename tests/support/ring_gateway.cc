#include "tests/support/ring_gateway.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <rte_eth_ring.h>

#include "common/dpdk_name.h"

namespace jvpn::test {
namespace {

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "in-memory gateway: %s\n", what);
  std::abort();
}

Result<std::vector<Ring>> make_rings(size_t count, uint32_t frames) {
  std::vector<Ring> rings;
  for (size_t made = 0; made < count; ++made) {
    auto ring = make_ring("port", frames);
    if (!ring) return ring.error();
    rings.push_back(*std::move(ring));
  }
  return rings;
}

uint16_t receive_burst(void* ring, rte_mbuf** packets, uint16_t count) {
  return static_cast<uint16_t>(rte_ring_sc_dequeue_burst(
      static_cast<rte_ring*>(ring), reinterpret_cast<void**>(packets), count, nullptr));
}
uint16_t send_burst(void* ring, rte_mbuf** packets, uint16_t count) {
  return static_cast<uint16_t>(rte_ring_sp_enqueue_burst(
      static_cast<rte_ring*>(ring), reinterpret_cast<void**>(packets), count, nullptr));
}

/// DPDK's driver of rings counts what all queues carry in the same lines. A NIC's queues share
/// none, so workers take from the rings and give to them without that driver. The port is started.
void pass_by_driver(uint16_t port, PortRings& rings) {
  auto& calls = rte_eth_fp_ops[port];
  calls.rx_pkt_burst = receive_burst;
  calls.rxq.data = reinterpret_cast<void**>(rings.rx_queues.data());
  calls.tx_pkt_burst = send_burst;
  calls.txq.data = reinterpret_cast<void**>(rings.tx_queues.data());
}

}  // namespace

std::vector<Punted> take_all(rte_ring* ring) {
  std::vector<Punted> taken;
  void* entry = nullptr;
  while (rte_ring_sc_dequeue(ring, &entry) == 0) {
    auto* packet = static_cast<rte_mbuf*>(entry);
    const auto* data = rte_pktmbuf_mtod(packet, const uint8_t*);
    taken.push_back({note_of(packet), Bytes(data, data + rte_pktmbuf_data_len(packet))});
    rte_pktmbuf_free(packet);
  }
  return taken;
}

rte_mbuf* make_packet(rte_mempool* pool, const Bytes& bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool);
  require(packet != nullptr, "no packet is left");
  char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes.size()));
  require(data != nullptr, "a packet is too small for the frame");
  std::ranges::copy(bytes, reinterpret_cast<uint8_t*>(data));
  return packet;
}

PortProfile port_of(const char* name, PortRole role, std::vector<Prefix> addresses) {
  PortProfile port;
  port.name = name;
  port.role = role;
  port.addresses = std::move(addresses);
  return port;
}

GatewayProfile wan_and_lan(size_t workers) {
  GatewayProfile profile;
  profile.listen_port = kListenPort;
  profile.cores.workers.assign(workers, 0);
  profile.ports = {port_of("wan", PortRole::kOutside, {{address("192.0.2.1"), 24}}),
                   port_of("lan", PortRole::kInside, {{address("10.0.0.1"), 24}})};
  return profile;
}

Result<PortRings> make_ring_port(PortProfile& port, size_t number, size_t workers,
                                 uint32_t frames) {
  auto rx = make_rings(workers, frames);
  if (!rx) return rx.error();
  auto tx = make_rings(workers, frames);
  if (!tx) return tx.error();
  PortRings rings{*std::move(rx), *std::move(tx)};
  for (size_t queue = 0; queue < workers; ++queue) {
    rings.rx_queues.push_back(rings.rx[worker_of_queue(number, queue, workers)].get());
    rings.tx_queues.push_back(rings.tx[queue].get());
  }
  port.name = unique_dpdk_name(port.name);
  port.vdev = "net_ring_" + port.name;
  const auto queues = static_cast<unsigned>(workers);
  if (rte_eth_from_rings(port.name.c_str(), rings.rx_queues.data(), queues, rings.tx_queues.data(),
                         queues, 0) < 0)
    return Error{"DPDK can't make a port of rings: " + port.name};
  return rings;
}

Result<RingGateway> RingGateway::create(GatewayProfile profile, const MacKey& mac1, Tables tables,
                                        uint32_t port_ring) {
  RingGateway gateway;
  for (PortProfile& port : profile.ports) {
    auto rings =
        make_ring_port(port, gateway.rings_.size(), profile.cores.workers.size(), port_ring);
    if (!rings) return rings.error();
    gateway.rings_.push_back(*std::move(rings));
  }
  auto dataplane = Dataplane::create(profile, mac1, std::move(tables));
  if (!dataplane) return dataplane.error();
  gateway.dataplane_ = *std::move(dataplane);
  for (const PortInfo& port : gateway.dataplane_->ports())
    pass_by_driver(port.dpdk_id, gateway.rings_[port.number]);
  gateway.profile_ = std::move(profile);
  return gateway;
}

RingGateway::~RingGateway() {
  if (dataplane_) packets_out();
}

void RingGateway::receive(uint16_t port, const Bytes& frame, size_t worker) {
  const int refused = rte_ring_sp_enqueue(rx_ring(port, worker), make_packet(pool(), frame));
  require(refused == 0, "a port's receive ring is full");
}

size_t RingGateway::poll() {
  size_t packets = 0;
  for (size_t number = 0; number < workers(); ++number) packets += worker(number).poll_once();
  return packets;
}

std::vector<Bytes> RingGateway::sent(uint16_t port) {
  std::vector<Bytes> frames;
  for (const Ring& ring : rings_[port].tx)
    for (Punted& packet : take_all(ring.get())) frames.push_back(std::move(packet.bytes));
  return frames;
}

uint64_t RingGateway::drops(Drop reason) const {
  uint64_t count = 0;
  for (size_t number = 0; number < workers(); ++number)
    count += dataplane_->counters(number).drops[static_cast<size_t>(reason)].load();
  return count;
}

uint64_t RingGateway::all_drops() const {
  uint64_t count = 0;
  for (size_t reason = 0; reason < kDropCount; ++reason) count += drops(static_cast<Drop>(reason));
  return count;
}

std::string RingGateway::drop_text() const {
  std::string text;
  for (size_t reason = 0; reason < kDropCount; ++reason) {
    const uint64_t count = drops(static_cast<Drop>(reason));
    if (count != 0) text += std::string(kDropInfo[reason].name) + "=" + std::to_string(count) + " ";
  }
  return text;
}

uint64_t RingGateway::total(std::atomic<uint64_t> WorkerCounters::*counter) const {
  uint64_t sum = 0;
  for (size_t number = 0; number < workers(); ++number)
    sum += (dataplane_->counters(number).*counter).load();
  return sum;
}

uint64_t RingGateway::received() const {
  uint64_t sum = 0;
  for (size_t worker = 0; worker < dataplane_->workers(); ++worker)
    sum += dataplane_->counters(worker).received();
  return sum;
}

size_t RingGateway::packets_out() {
  for (const PortRings& port : rings_) {
    for (const auto* direction : {&port.rx, &port.tx})
      for (const Ring& ring : *direction) take_all(ring.get());
  }
  for (size_t number = 0; number < workers(); ++number) {
    const WorkerRings& rings = dataplane_->rings(number);
    for (rte_ring* ring : rings.punt) take_all(ring);
    take_all(rings.inject);
    for (rte_ring* ring : rings.handoff)
      if (ring != nullptr) take_all(ring);
  }
  return rte_mempool_in_use_count(pool()) + rte_mempool_in_use_count(dataplane_->control_pool());
}

}  // namespace jvpn::test
