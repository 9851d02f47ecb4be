#include "control/gateway/show_gateway.h"

#include <algorithm>
#include <atomic>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <rte_ethdev.h>

namespace jvpn::gateway {
namespace {

uint64_t read(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

nlohmann::json worker_json(const WorkerCounters& counters) {
  return {{"busy_polls", read(counters.busy_polls)},
          {"idle_polls", read(counters.idle_polls)},
          {"rx_packets", counters.received()},
          {"tx_packets", read(counters.tx_packets)},
          {"sealed", read(counters.sealed)},
          {"opened", read(counters.opened)},
          {"handed_off", read(counters.handed_off)},
          {"punted", read(counters.punted)},
          {"cookie_replies", read(counters.cookie_replies)},
          {"signals_lost", read(counters.signals_lost)},
          {"hold_packets", read(counters.hold_packets)},
          {"hold_bytes", read(counters.hold_bytes)},
          {"hold_resent", read(counters.hold_resent)},
          {"hold_unsettled", read(counters.hold_unsettled)},
          {"hold_crowded", read(counters.hold_crowded)}};
}

nlohmann::json port_json(const PortInfo& port, bool link_up) {
  rte_eth_stats stats{};
  rte_eth_stats_get(port.dpdk_id, &stats);  // all zero when the driver has none
  return {{"name", port.name},
          {"role", port.role == PortRole::kOutside ? "outside" : "inside"},
          {"mac", fmt::format("{:02x}", fmt::join(port.mac, ":"))},
          {"link", link_up ? "up" : "down"},
          {"mtu", port.mtu},
          {"rx_packets", stats.ipackets},
          {"tx_packets", stats.opackets},
          {"rx_bytes", stats.ibytes},
          {"tx_bytes", stats.obytes},
          {"rx_missed", stats.imissed},
          {"rx_no_buffer", stats.rx_nombuf},
          {"tx_errors", stats.oerrors}};
}

}  // namespace

uint64_t count_drops(const DataplaneView& view, Drop reason) {
  uint64_t sum = 0;
  for (const WorkerCounters* counters : view.counters)
    sum += read(counters->drops[static_cast<size_t>(reason)]);
  return sum;
}

nlohmann::json show_drops(const DataplaneView& view) {
  nlohmann::json drops = nlohmann::json::object();
  for (size_t i = 0; i < kDropCount; ++i) {
    const uint64_t sum = count_drops(view, static_cast<Drop>(i));
    if (sum > 0) drops[kDropInfo[i].name] = sum;
  }
  return drops;
}

ExhaustionWatch::Totals exhausted(const DataplaneView& view,
                                  const publish::Injector::Counters& injector,
                                  const neighbor::Neighbors::Counters& neighbors) {
  ExhaustionWatch::Totals totals{};
  const auto at = [&](Bounded bounded) -> uint64_t& {
    return totals[static_cast<size_t>(bounded)];
  };
  at(Bounded::kTransmitRings) = count_drops(view, Drop::kTxFull);
  at(Bounded::kControlRings) = count_drops(view, Drop::kControlRingFull);
  at(Bounded::kWorkerRings) = injector.ring_full;
  at(Bounded::kControlPackets) = injector.no_buffer;
  at(Bounded::kWaitingPackets) = neighbors.waiting_full;
  at(Bounded::kNeighbors) = neighbors.table_full;
  return totals;
}

nlohmann::json show_workers(const DataplaneView& view) {
  nlohmann::json workers = nlohmann::json::array();
  for (const WorkerCounters* counters : view.counters) workers.push_back(worker_json(*counters));
  return workers;
}

nlohmann::json show_ports(const DataplaneView& view) {
  nlohmann::json ports = nlohmann::json::array();
  for (const PortInfo& port : view.ports)
    ports.push_back(port_json(port, view.link_up(port.number)));
  return ports;
}

nlohmann::json show_neighbors(const neighbor::Neighbors& neighbors) {
  const neighbor::Neighbors::Counters& counters = neighbors.counters();
  return {{"entries", neighbors.size()},
          {"questions", counters.questions},
          {"answers", counters.answers},
          {"ignored", counters.ignored},
          {"conflicts", counters.conflicts},
          {"claims", counters.claims},
          {"moved", counters.moved},
          {"table_full", counters.table_full},
          {"evicted", counters.evicted},
          {"packets_dropped", counters.packets_dropped},
          {"waiting_full", counters.waiting_full}};
}

nlohmann::json show_lan(const neighbor::PeerProxy& lan) {
  const neighbor::PeerProxy::Counters& counters = lan.counters();
  return {{"answers", counters.answers},
          {"announcements", counters.announcements},
          {"pending", lan.pending()},
          {"claims", counters.claims}};
}

nlohmann::json show_ownership(const session::Ownership* store, std::optional<Millis> silent_since,
                              Millis now) {
  if (store == nullptr) return {{"store", "none"}};
  const session::OwnershipStatus status = store->status();
  nlohmann::json all{
      {"store", status.kind}, {"epoch", store->epoch()}, {"waiting", status.waiting}};
  all["transactions"] = {{"all", status.all_transactions},
                         {"latest", status.transactions},
                         {"p50_us", status.p50_us},
                         {"p99_us", status.p99_us}};
  if (!status.trouble.empty()) all["why"] = status.trouble;
  if (status.endpoints.empty()) return all;
  all["endpoints"] = status.endpoints;
  all["endpoint"] = status.endpoint;
  if (silent_since)
    all["silent_ms"] = (now - *silent_since).value;
  else
    all["safe_ms"] = (store->safe_until() - std::min(store->safe_until(), now)).value;
  return all;
}

nlohmann::json show_handed_over(const neighbor::HandedOver& handed_over) {
  const neighbor::HandedOver::Counters& counters = handed_over.counters();
  return {{"forwarded", counters.forwarded},
          {"waited", counters.waited},
          {"waiting", handed_over.waiting()},
          {"dropped", counters.dropped},
          {"questions", counters.questions}};
}

nlohmann::json show_slow_path(const neighbor::SlowPath::Counters& counters) {
  return {{"frames", counters.frames},
          {"echo_replies", counters.echo_replies},
          {"errors_sent", counters.errors_sent},
          {"errors_limited", counters.errors_limited},
          {"errors_barred", counters.errors_barred},
          {"fragmented", counters.fragmented},
          {"gleaned", counters.gleaned},
          {"malformed", counters.malformed},
          {"ignored", counters.ignored}};
}

nlohmann::json show_injector(const publish::Injector::Counters& counters) {
  return {{"frames", counters.frames},
          {"routed", counters.routed},
          {"ring_full", counters.ring_full},
          {"no_buffer", counters.no_buffer}};
}

nlohmann::json show_turns(const TurnWatch& turns) {
  nlohmann::json parts = nlohmann::json::object();
  for (size_t work = 0; work < kWorks; ++work) parts[kWorkNames[work]] = turns.parts[work].ever();
  return {{"longest_cpu_us", turns.cpu.ever()},
          {"longest_us", turns.wall.ever()},
          {"over_1ms", turns.long_turns()},
          {"parts_us", std::move(parts)}};
}

}  // namespace jvpn::gateway
