// Runs on worker lcores, but for create(). No lock, system call (asleep in adaptive idling aside),
// allocation or log line per packet.
#include "dataplane/worker.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/ip_header.h"
#include "dataplane/burst.h"
#include "dataplane/classify.h"
#include "dataplane/handoff.h"
#include "dataplane/handshakes.h"
#include "dataplane/hold_resend.h"
#include "dataplane/hold_store.h"
#include "dataplane/lookup.h"
#include "dataplane/open.h"
#include "dataplane/open_control.h"
#include "dataplane/route.h"
#include "dataplane/seal.h"
#include "dataplane/unfinished.h"

namespace jvpn {
namespace {

constexpr size_t kRouteAhead = 16;             ///< packets between a route's prefetch and its use
constexpr unsigned kPollsBeforeSleep = 2'048;  ///< adaptive: about as long as a busy gap lasts
constexpr long kFirstSleepNs = 1'000;
constexpr long kLongestSleepNs = 200'000;

[[gnu::always_inline]] inline void take_data(WorkerContext& worker, const PortView& port,
                                             rte_mbuf* packet, uint8_t* message, uint32_t bytes,
                                             DataBurst& burst) {
  rte_prefetch0(worker.sessions.rx_slot_address(lookup::receiver_of(message)));
  DataPacket& data = burst.next();
  data.packet = packet;
  data.message = message;
  data.bytes = bytes;
  data.port = port.number;
}

[[gnu::always_inline]] inline void take_inner(WorkerContext& worker, const PortView& port,
                                              rte_mbuf* packet, uint8_t* ip, uint32_t bytes,
                                              bool ipv4, RouteBurst<Origin::kInside>& outgoing) {
  __builtin_prefetch(ip - kMaxTemplate, 1);  // the outer headers' place
  route_packet(worker, {packet, ip, bytes, PeerId{}, port.number, ipv4}, outgoing);
}

/// Where the worker remembers the route of a frame that may be anything.
[[gnu::always_inline]] inline void prefetch_route(const WorkerContext& worker,
                                                  const rte_mbuf* packet) {
  const uint8_t* ip = rte_pktmbuf_mtod_offset(packet, const uint8_t*, kEthernetHeaderBytes);
  if (is_ipv4(ip)) [[likely]]
    worker.route_cache->prefetch_v4(load_u32(ip + 16));
  else
    worker.route_cache->prefetch_v6(ip + 24);
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(const WorkerConfig& config) {
  auto aead = Aead::create(config.ipsec_mb);
  if (!aead) return aead.error();
  auto mac = MessageMac::create(config.ipsec_mb);
  if (!mac) return mac.error();
  aead->set_prefetch_ahead(config.tuning.prefetch_ahead);
  return std::unique_ptr<Worker>(new Worker(config, *std::move(aead), *std::move(mac)));
}

Worker::Worker(const WorkerConfig& config, Aead aead, MessageMac mac)
    : context_{.number = config.number,
               .workers = config.workers,
               .burst = config.tuning.burst,
               .sessions = *config.sessions,
               .routes = *config.routes,
               .rings = config.rings[config.number],
               .mac1 = *config.mac1,
               .cookies = *config.cookies,
               .counters = *config.counters,
               .aead = std::move(aead),
               .mac = std::move(mac),
               .tx = TxBuffers(config.ports, config.number, *config.counters),
               .guard = std::make_unique<HandshakeGuard>(config.admitted_per_s)},
      queues_(config.queues),
      rcu_(config.rcu),
      idle_(config.idle),
      tracer_(config.trace, config.number) {
  JVPN_DEBUG_ASSERT(config.number < config.workers && config.workers <= kMaxWorkers,
                    "workers are numbered from 0");
  JVPN_DEBUG_ASSERT(config.tuning.burst >= 1 && config.tuning.burst <= kMaxBurst,
                    "a burst fits the stages' arrays");
  JVPN_DEBUG_ASSERT(config.number < config.rings.size(), "each worker has its rings");
  for (size_t owner = 0; owner < config.rings.size(); ++owner)
    context_.handoff_to[owner] = config.rings[owner].handoff[config.number];
  for (const PortInfo& port : config.ports) context_.ports.emplace_back(port, config.listen_port);
  if (config.hold_packets == 0) return;
  hold_ = std::make_unique<HoldStore>(config.hold_packets, config.sessions->peers(), config.workers,
                                      config.pool, *config.counters);
  context_.hold = hold_.get();
}

Worker::~Worker() = default;

void Worker::enter() {
  rte_rcu_qsbr_thread_register(rcu_, context_.number);
  rte_rcu_qsbr_thread_online(rcu_, context_.number);
}

void Worker::leave() {
  rte_rcu_qsbr_thread_offline(rcu_, context_.number);
  rte_rcu_qsbr_thread_unregister(rcu_, context_.number);
}

void Worker::run(const std::atomic<bool>& stop) {
  enter();
  unsigned idle_polls = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    if (poll_once() != 0) {
      idle_polls = 0;
      continue;
    }
    rest(++idle_polls);
  }
  leave();
}

size_t Worker::poll_once() {
  context_.now_tsc = rte_rdtsc();
  context_.tracing = tracer_.armed(context_.now_tsc) ? &tracer_ : nullptr;
  size_t packets = 0;
  for (const RxQueue& queue : queues_) packets += poll_queue(queue);
  packets += drain_handoff();
  packets += drain_inject();
  if (context_.hold != nullptr) [[unlikely]]
    packets += hold::serve(context_);
  lap(context_, Stage::kRest);
  context_.tx.flush();
  lap(context_, Stage::kTx);
  rte_rcu_qsbr_quiescent(rcu_, context_.number);
  WorkerCounters& counters = context_.counters;
  WorkerCounters::add(packets != 0 ? counters.busy_polls : counters.idle_polls, 1);
  lap(context_, Stage::kRest);
  return packets;
}

/// After an idle poll. Asleep, the worker is offline: control waits for no grace period.
void Worker::rest(unsigned idle_polls) {
  if (idle_ == IdleMode::kPoll || idle_polls < kPollsBeforeSleep) return rte_pause();
  const unsigned doublings = std::min(idle_polls - kPollsBeforeSleep, 8U);
  const timespec nap{0, std::min(kFirstSleepNs << doublings, kLongestSleepNs)};
  rte_rcu_qsbr_thread_offline(rcu_, context_.number);
  clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
  rte_rcu_qsbr_thread_online(rcu_, context_.number);
}

size_t Worker::poll_queue(const RxQueue& queue) {
  FrameBurst frames;
  const size_t taken = receive(context_, queue, frames);
  if (frames.count == 0) return taken;
  const PortView& port = context_.ports[queue.port];
  if (port.role == PortRole::kOutside)
    take_outside(port, frames);
  else
    take_inside(port, frames);
  settle_trace();
  return taken;
}

/// Of the burst that is done.
void Worker::settle_trace() {
  if (context_.tracing != nullptr) [[unlikely]]
    context_.tracing->settle();
}

void Worker::take_outside(const PortView& port, const FrameBurst& frames) {
  DataBurst data;
  CallBurst calls;
  size_t loaded = 0;
  for (size_t i = 0; i < frames.count; ++i) {
    rte_mbuf* packet = frames.packet[i];
    // Stages classify and lookup are fused: the slot that take_data() prefetched is read
    // `slot_ahead` packets later, while the headers between are classified.
    if (data.count() > loaded + context_.slot_ahead) lookup::load_record(context_, data[loaded++]);
    auto* ethernet = rte_pktmbuf_mtod(packet, uint8_t*);
    const uint32_t bytes =
        plain_data(port, ethernet, packet->data_len, header_sum_of(port, packet));
    if (bytes != 0 && packet->nb_segs == 1) [[likely]]
      take_data(context_, port, packet, ethernet + kPlainMessage, bytes, data);
    else
      take_outside_frame(port, packet, data, calls);
  }
  lap(context_, Stage::kClassify);
  if (!data.empty()) {
    lookup::load_records(context_, data, loaded);
    if (context_.tracing != nullptr) [[unlikely]]
      context_.tracing->opening(data, false);
    open::Opened opened(context_);
    open_burst(context_, data, opened);
    finish(context_, opened);
  }
  if (!calls.empty()) [[unlikely]] {
    take_calls(context_, port, calls);
    lap(context_, Stage::kRest);
  }
}

void Worker::take_outside_frame(const PortView& port, rte_mbuf* packet, DataBurst& data,
                                CallBurst& calls) {
  if (packet->nb_segs != 1) return drop(context_, packet, Drop::kNoRoom);
  auto* ethernet = rte_pktmbuf_mtod(packet, uint8_t*);
  const Classified frame =
      classify_outside(port, ethernet, packet->data_len, header_sum_of(port, packet));
  uint8_t* message = ethernet + frame.offset;
  switch (frame.verdict) {
    case Verdict::kData:
      return take_data(context_, port, packet, message, frame.bytes, data);
    case Verdict::kControl:
      return open_control(context_, port, packet, message, frame.bytes);
    case Verdict::kHandshake:
      if (jvpn::calls(message)) return calls.add({packet, message, frame.bytes});
      return take_answer(context_, port, packet, {message, frame.bytes});
    case Verdict::kFrame:
      return punt_frame(context_, port, packet);
    case Verdict::kInner:
    case Verdict::kDrop:
      return drop(context_, packet, frame.reason);
  }
}

void Worker::take_inside(const PortView& port, const FrameBurst& frames) {
  RouteBurst<Origin::kInside> outgoing(context_);
  rte_mbuf* const* const end = frames.packet + frames.count;
  rte_mbuf* const* next = frames.packet;
  while (next != end && next != frames.packet + kRouteAhead) prefetch_route(context_, *next++);
  // Stages classify and route are fused: a packet whose route is cached goes on at once, with its
  // headers at hand; the others wait for finish().
  for (size_t i = 0; i < frames.count; ++i) {
    rte_mbuf* packet = frames.packet[i];
    if (next != end) prefetch_route(context_, *next++);
    auto* ethernet = rte_pktmbuf_mtod(packet, uint8_t*);
    const uint32_t bytes =
        plain_inner(port, ethernet, packet->data_len, header_sum_of(port, packet));
    if (bytes != 0 && packet->nb_segs == 1) [[likely]]
      take_inner(context_, port, packet, ethernet + kEthernetHeaderBytes, bytes, true, outgoing);
    else
      take_inside_frame(port, packet, outgoing);
  }
  lap(context_, Stage::kClassify);
  finish(context_, outgoing);
}

void Worker::take_inside_frame(const PortView& port, rte_mbuf* packet,
                               RouteBurst<Origin::kInside>& outgoing) {
  if (packet->nb_segs != 1) return drop(context_, packet, Drop::kNoRoom);
  auto* ethernet = rte_pktmbuf_mtod(packet, uint8_t*);
  const Classified frame =
      classify_inside(port, ethernet, packet->data_len, header_sum_of(port, packet));
  if (frame.verdict == Verdict::kInner) {
    uint8_t* ip = ethernet + frame.offset;
    const bool ipv4 = is_ipv4(ip);
    if (port.from_kernel) finish_checksum(ip, frame.bytes, ipv4);
    take_inner(context_, port, packet, ip, frame.bytes, ipv4, outgoing);
  } else if (frame.verdict == Verdict::kFrame) {
    punt_frame(context_, port, packet);
  } else {
    drop(context_, packet, frame.reason);
  }
}

/// Messages that other workers found to be ours, one burst from each.
size_t Worker::drain_handoff() {
  size_t taken = 0;
  for (size_t from = 0; from < context_.workers; ++from) {
    DataBurst sealed;
    DataBurst opened;
    const size_t packets = take_handed_off(context_, from, sealed, opened);
    if (packets == 0) continue;
    taken += packets;
    open::Opened out(context_);
    lookup::load_records(context_, opened);
    keep_current(context_, opened);
    lookup::load_records(context_, sealed);
    keep_current(context_, sealed);
    if (context_.tracing != nullptr) [[unlikely]] {
      context_.tracing->opening(opened, true);
      context_.tracing->opening(sealed, true);
    }
    take_opened(context_, opened, out);
    open_burst(context_, sealed, out);
    finish(context_, out);
    settle_trace();
  }
  return taken;
}

/// One burst of what control sends.
size_t Worker::drain_inject() {
  void* packets[kMaxBurst];
  const unsigned taken =
      rte_ring_sc_dequeue_burst(context_.rings.inject, packets, context_.burst, nullptr);
  if (taken == 0) return 0;
  RouteBurst<Origin::kControl> outgoing(context_);
  for (unsigned i = 0; i < taken; ++i) {
    auto* packet = static_cast<rte_mbuf*>(packets[i]);
    const PacketNote& note = note_of(packet);
    auto* start = rte_pktmbuf_mtod(packet, uint8_t*);
    if (note.action == InjectAction::kRoute) {
      const uint32_t bytes = sound_inner_bytes(start, packet->data_len);
      if (bytes == 0)
        drop(context_, packet, Drop::kInnerHeader);
      else if (packet->nb_segs != 1)
        drop(context_, packet, Drop::kNoRoom);
      else
        route_packet(context_, {packet, start, bytes, note.peer, note.port, is_ipv4(start)},
                     outgoing);
    } else if (note.tsc != 0 && (rte_rdtsc() > note.tsc || is_silent(context_))) {
      drop(context_, packet, Drop::kNotOwned);  // this worker stood still meanwhile
    } else if (context_.tx.has_port(note.port)) {
      context_.tx.add(note.port, packet);
    } else {
      drop(context_, packet, Drop::kTxFull);
    }
  }
  finish(context_, outgoing);
  settle_trace();
  return taken;
}

}  // namespace jvpn
