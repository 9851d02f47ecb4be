// Stages lookup and replay. Worker core; whole bursts, each load prefetched one pass earlier.
//   1. lookup: receiver index → slot → record.
//   2. replay: all 32 bits of the index are compared, session and keys must not have ended, and the
//      lane must be announced under this record; its owner is us, nobody, or another worker
//      (handoff).
//   3. replay: the lane's window, before the cost of opening; only the lane's owner may read it.
// Used by the stages source and route:
//   4. Inner packets whose route isn't in the worker's cache: from the table in bulk per family.
#pragma once

#include <cstdint>

#include <rte_prefetch.h>

#include "common/assert.h"
#include "common/session_table.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/handoff.h"
#include "dataplane/inner_packet.h"
#include "dataplane/source.h"

namespace jvpn {
namespace lookup {

inline uint32_t receiver_of(const uint8_t* message) {
  return load_u32(message + 4);
}
/// `mask`: of the receiver index, for messages of this kind.
inline uint64_t counter_of(const uint8_t* message, uint64_t mask) {
  return load_u64(message + 8) ^ mask;
}

inline void load_record(const WorkerContext& worker, DataPacket& data) {
  JVPN_DEBUG_ASSERT(data.bytes >= kMinData, "classify lets no shorter data message pass");
  data.record = worker.sessions.rx(receiver_of(data.message));
  prefetch_record(data.record, worker.sessions_are_far);
  // The lanes behind the record; by its address, because an unknown index has none.
  const uintptr_t lanes = reinterpret_cast<uintptr_t>(data.record) + sizeof(RxRecord);
  if (worker.workers == 1) rte_prefetch0(reinterpret_cast<const void*>(lanes));
}

/// Of the packets from number `first` on.
inline void load_records(WorkerContext& worker, DataBurst& burst, size_t first = 0) {
  for (size_t i = first; i < burst.count(); ++i) load_record(worker, burst[i]);
  lap(worker, Stage::kLookup);
}

/// Which lane a packet needs is known from its record. With one worker that is the first, which
/// came with the record; with several, another core may write to that one for each of its packets.
inline void prefetch_lanes(const WorkerContext& worker, const DataBurst& burst) {
  if (worker.workers == 1) return;
  for (const DataPacket& data : burst) {
    if (data.record == nullptr) [[unlikely]]
      continue;
    const LaneId lane = wire::lane_of(counter_of(data.message, data.record->mask));
    rte_prefetch0(data.record->lanes + (lane.value - uint32_t{data.record->first_lane.value}));
  }
}

/// False: dropped for want of a living record, or of a lane. `now` is coarse.
[[gnu::always_inline]] inline bool find_lane(WorkerContext& worker, DataPacket& data,
                                             uint32_t now) {
  const RxRecord* record = data.record;
  if (record == nullptr || record->index.value != receiver_of(data.message)) [[unlikely]] {
    drop_unknown(worker, data.packet, data.message, data.port);
    return false;
  }
  if (record->deadline.load(std::memory_order_relaxed).passed(now)) [[unlikely]] {
    drop(worker, data.packet, Drop::kSessionExpired);
    return false;
  }
  const uint64_t counter = counter_of(data.message, record->mask);
  const uint32_t place = wire::lane_of(counter).value - uint32_t{record->first_lane.value};
  if (place >= record->lane_count) [[unlikely]] {
    drop(worker, data.packet, Drop::kLaneUnknown);
    return false;
  }
  JVPN_DEBUG_ASSERT(record->lanes != nullptr, "a published record has its lanes");
  data.lane = record->lanes + place;
  data.sequence = wire::sequence_of(counter);
  return true;
}

inline Drop drop_of(ReplayVerdict verdict) {
  return verdict == ReplayVerdict::kTooOld ? Drop::kReplayTooOld : Drop::kReplayDuplicate;
}

/// True when the message is ours to open: the lane is unclaimed, or ours and the counter is fresh.
[[gnu::always_inline]] inline bool is_ours(WorkerContext& worker, const DataPacket& data) {
  const RxLane* lane = data.lane;
  JVPN_DEBUG_ASSERT(
      lane >= data.record->lanes && lane < data.record->lanes + data.record->lane_count,
      "find_lane() came first");
  const uint32_t owner = lane->owner.load(std::memory_order_relaxed);
  if (owner == worker.number) [[likely]] {
    if (!lane->window.is_latest(data.sequence)) [[unlikely]]
      rte_prefetch0(lane->window.place_of(data.sequence));
    const ReplayVerdict verdict = lane->window.check(data.sequence);
    if (verdict == ReplayVerdict::kFresh) [[likely]]
      return true;
    drop(worker, data.packet, drop_of(verdict));
    return false;
  }
  if (owner == RxLane::kUnclaimed) return true;
  hand_off(worker, data, owner, false);
  return false;
}

}  // namespace lookup

enum class Side : uint8_t { kSource, kDestination };

inline const uint8_t* address_of(const InnerPacket& inner, Side side) {
  if (side == Side::kSource) return inner.ip + (inner.ipv4 ? 12 : 8);
  return inner.ip + (inner.ipv4 ? 16 : 24);
}

/// The route of an address as the worker last heard it; nullptr when it isn't known.
inline const Target* known_route(const WorkerContext& worker, const InnerPacket& inner, Side side,
                                 uint32_t generation) {
  const uint8_t* address = address_of(inner, side);
  if (inner.ipv4) [[likely]]
    return worker.route_cache->find_v4(load_u32(address), generation);
  return worker.route_cache->find_v6(address, generation);
}

namespace lookup {

/// Addresses of one burst to ask for, by family, and whose packets they are.
struct Questions {
  size_t v4_count = 0;
  size_t v6_count = 0;
  uint32_t v4[kMaxBurst];
  const uint8_t* v6[kMaxBurst];
  uint8_t v4_place[kMaxBurst];
  uint8_t v6_place[kMaxBurst];

  void add(const uint8_t* address, bool is_v4, size_t place) {
    JVPN_DEBUG_ASSERT(v4_count + v6_count < kMaxBurst, "one question for each packet of a burst");
    JVPN_DEBUG_ASSERT(place < kMaxBurst, "a place in a burst");
    if (is_v4) {
      v4_place[v4_count] = static_cast<uint8_t>(place);
      v4[v4_count++] = load_u32(address);
    } else {
      v6_place[v6_count] = static_cast<uint8_t>(place);
      v6[v6_count++] = address;
    }
  }
};

}  // namespace lookup

/// Step 4: `targets[i]` is the route of packet i's address on that side, which the worker keeps in
/// mind.
inline void ask_routes(WorkerContext& worker, const InnerBurst& burst, Side side,
                       uint32_t generation, Burst<Target>& targets) {
  JVPN_DEBUG_ASSERT(generation != 0, "generation 0 marks empty entries of the cache");
  lookup::Questions questions;
  for (size_t i = 0; i < burst.count(); ++i)
    questions.add(address_of(burst[i], side), burst[i].ipv4, i);
  targets.truncate(burst.count());
  Burst<Target> found;
  if (questions.v4_count != 0)
    worker.routes.lookup_v4({questions.v4, questions.v4_count},
                            {found.begin(), questions.v4_count});
  for (size_t i = 0; i < questions.v4_count; ++i) {
    targets[questions.v4_place[i]] = found[i];
    worker.route_cache->keep_v4(questions.v4[i], generation, found[i]);
  }
  if (questions.v6_count != 0)
    worker.routes.lookup_v6({questions.v6, questions.v6_count},
                            {found.begin(), questions.v6_count});
  for (size_t i = 0; i < questions.v6_count; ++i) {
    targets[questions.v6_place[i]] = found[i];
    worker.route_cache->keep_v6(questions.v6[i], generation, found[i]);
  }
}

}  // namespace jvpn
