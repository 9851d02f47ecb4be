// A worker: the loop that takes packets through the stages. One per worker lcore; everything but
// the constructor runs on that core.
//
// The stages of data, by their names in dataplane/stage.h:
//   outside → inside: rx → classify → lookup → replay → open → source → route → tx
//   inside → outside: rx → classify → route → lookup → number → seal → tx
// Data from one peer to another takes the first way as far as route, and the second from there.
// What control injects starts at tx or at route, what another worker hands off at lookup.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <rte_rcu_qsbr.h>

#include "common/exchange.h"
#include "common/packet_trace.h"
#include "common/port_info.h"
#include "common/profile.h"
#include "common/result.h"
#include "common/route_table.h"
#include "common/session_table.h"
#include "dataplane/context.h"
#include "dataplane/handshakes.h"
#include "dataplane/route.h"
#include "dataplane/rx.h"

namespace jvpn {

/// All that a worker is given. What is referred to outlives it.
struct WorkerConfig {
  uint16_t number = 0;  ///< from 0; its transmit queue on every port, its id in the RCU variable
  uint16_t workers = 1;
  std::vector<RxQueue> queues;  ///< polled by this worker alone
  const SessionTable* sessions = nullptr;
  const RouteTable* routes = nullptr;
  rte_rcu_qsbr* rcu = nullptr;
  std::span<const WorkerRings> rings;  ///< of every worker, by number
  std::span<const PortInfo> ports;     ///< by number
  WorkerCounters* counters = nullptr;
  const MacKey* mac1 = nullptr;
  const SharedCookieSecrets* cookies = nullptr;
  uint32_t admitted_per_s = 1;  ///< handshakes, by control, of this worker
  uint16_t listen_port = 0;
  IpsecMb ipsec_mb;  ///< a copy of its own, so that it shares no line of it
  WorkerTuning tuning{};
  IdleMode idle = IdleMode::kPoll;
  PacketTrace* trace = nullptr;  ///< null: nobody orders one
  uint32_t hold_packets = 0;     ///< held at once, at most; 0: none is
  rte_mempool* pool = nullptr;   ///< for copies of those
};

class alignas(kCacheLine) Worker {
 public:
  /// Fails when the CPU can't run the AEADs. Any thread.
  static Result<std::unique_ptr<Worker>> create(const WorkerConfig& config);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Polls until `stop` is set; then within a burst or, asleep, 200 µs. Is a reader of the RCU
  /// variable meanwhile.
  void run(const std::atomic<bool>& stop);

  /// One pass over queues and rings, everything sent at its end. Returns the number of packets.
  /// Reports a quiescent state; the caller is online in the RCU variable (enter(), or run()).
  size_t poll_once();
  /// Registers with the RCU variable as a reader and goes online, and the reverse.
  void enter();
  void leave();
  /// From now on every poll's cycles go to `clock`; nullptr: no more. Between polls.
  void set_stage_clock(StageClock* clock) { context_.stages = clock; }
  /// What is granted a second to control messages and answers is granted so many times a second by
  /// the TSC: for a caller whose time passes faster. Between polls.
  void quicken_budgets(uint64_t times) {
    context_.tsc_per_control /= times;
    context_.tsc_per_answer /= times;
  }

 private:
  Worker(const WorkerConfig& config, Aead aead, MessageMac mac);
  size_t poll_queue(const RxQueue& queue);
  void take_outside(const PortView& port, const FrameBurst& frames);
  void take_inside(const PortView& port, const FrameBurst& frames);
  void take_outside_frame(const PortView& port, rte_mbuf* packet, DataBurst& data,
                          CallBurst& calls);
  void take_inside_frame(const PortView& port, rte_mbuf* packet,
                         RouteBurst<Origin::kInside>& outgoing);
  size_t drain_handoff();
  size_t drain_inject();
  void rest(unsigned idle_polls);
  void settle_trace();

  WorkerContext context_;
  std::unique_ptr<HoldStore> hold_;
  std::vector<RxQueue> queues_;
  rte_rcu_qsbr* rcu_;
  IdleMode idle_;
  Tracer tracer_;
};

}  // namespace jvpn
