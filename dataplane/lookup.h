// Stage 3: look up. Worker core; whole bursts, each load prefetched one pass earlier.
//   1. Data messages: receiver index → slot → record; all 32 bits are compared.
//   2. Lane: announced under this record; its owner is us, nobody, or another worker (handoff).
//   3. Replay, before the cost of opening: only the lane's owner may read its window.
//   4. Inner packets: routes of sources or destinations, from the worker's cache, else from the
//   table in bulk per family.
#pragma once

#include <cstdint>

#include <rte_prefetch.h>

#include "common/session_table.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/handoff.h"
#include "dataplane/inner_packet.h"

namespace jvpn {
namespace lookup {

inline uint32_t receiver_of(const uint8_t* message) {
  return load_u32(message + 4);
}
inline uint64_t counter_of(const uint8_t* message) {
  return load_u64(message + 8);
}

inline void load_records(const WorkerContext& worker, DataBurst& burst) {
  for (size_t i = 0; i < burst.count; ++i) {
    burst.record[i] = worker.sessions.rx(receiver_of(burst.message[i]));
    rte_prefetch0(burst.record[i]);
  }
}

/// Drops messages without a record or lane.
inline void find_lanes(WorkerContext& worker, DataBurst& burst) {
  size_t kept = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    const RxRecord* record = burst.record[i];
    if (record == nullptr || record->index.value != receiver_of(burst.message[i])) [[unlikely]] {
      drop(worker, burst.packet[i], Drop::kUnknownIndex);
      continue;
    }
    const uint64_t counter = counter_of(burst.message[i]);
    const uint16_t lane = wire::lane_of(counter).value;
    const auto place = static_cast<uint16_t>(lane - record->first_lane.value);
    if (lane < record->first_lane.value || place >= record->lane_count) [[unlikely]] {
      drop(worker, burst.packet[i], Drop::kLaneUnknown);
      continue;
    }
    burst.lane[i] = record->lanes + place;
    rte_prefetch0(burst.lane[i]);
    rte_prefetch0(burst.lane[i]->window.place_of(wire::sequence_of(counter)));
    burst.keep(kept++, i);
  }
  burst.count = kept;
}

inline Drop drop_of(ReplayVerdict verdict) {
  return verdict == ReplayVerdict::kTooOld ? Drop::kReplayTooOld : Drop::kReplayDuplicate;
}

/// True when packet `i` is ours to open: the lane is unclaimed, or ours and the counter is fresh.
inline bool admit(WorkerContext& worker, const DataBurst& burst, size_t i) {
  const RxLane* lane = burst.lane[i];
  const uint32_t owner = lane->owner.load(std::memory_order_relaxed);
  if (owner == RxLane::kUnclaimed) [[unlikely]]
    return true;
  if (owner != worker.number) [[unlikely]] {
    hand_off(worker, burst, i, owner, false);
    return false;
  }
  const uint64_t sequence = wire::sequence_of(counter_of(burst.message[i]));
  const ReplayVerdict verdict = lane->window.check(sequence);
  if (verdict == ReplayVerdict::kFresh) [[likely]]
    return true;
  drop(worker, burst.packet[i], drop_of(verdict));
  return false;
}

}  // namespace lookup

/// Steps 1 and 2: what is left has a record and a lane.
inline void lookup_sessions(WorkerContext& worker, DataBurst& burst) {
  lookup::load_records(worker, burst);
  lookup::find_lanes(worker, burst);
  lap(worker, Stage::kLookup);
}

/// Step 3: what is left is ours to open.
inline void admit_burst(WorkerContext& worker, DataBurst& burst) {
  size_t kept = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    if (lookup::admit(worker, burst, i)) burst.keep(kept++, i);
  }
  burst.count = kept;
  lap(worker, Stage::kReplay);
}

enum class Side : uint8_t { kSource, kDestination };

namespace lookup {

/// Addresses whose route isn't at hand, by family, and whose packets they are.
struct Unknown {
  size_t v4_count = 0;
  size_t v6_count = 0;
  uint32_t v4[kBurst];
  const uint8_t* v6[kBurst];
  uint8_t v4_place[kBurst];
  uint8_t v6_place[kBurst];

  void add(const uint8_t* address, bool is_v4, size_t place) {
    if (is_v4) {
      v4_place[v4_count] = static_cast<uint8_t>(place);
      v4[v4_count++] = load_u32(address);
    } else {
      v6_place[v6_count] = static_cast<uint8_t>(place);
      v6[v6_count++] = address;
    }
  }
};

/// Asks the table in bulk, and keeps what it says.
inline void ask_routes(WorkerContext& worker, const Unknown& unknown, uint32_t generation,
                       Target (&targets)[kBurst]) {
  Target found[kBurst];
  if (unknown.v4_count != 0)
    worker.routes.lookup_v4({unknown.v4, unknown.v4_count}, {found, unknown.v4_count});
  for (size_t i = 0; i < unknown.v4_count; ++i) {
    targets[unknown.v4_place[i]] = found[i];
    worker.route_cache->keep(RouteKey::v4(unknown.v4[i]), generation, found[i]);
  }
  if (unknown.v6_count != 0)
    worker.routes.lookup_v6({unknown.v6, unknown.v6_count}, {found, unknown.v6_count});
  for (size_t i = 0; i < unknown.v6_count; ++i) {
    targets[unknown.v6_place[i]] = found[i];
    worker.route_cache->keep(RouteKey::v6(unknown.v6[i]), generation, found[i]);
  }
}

}  // namespace lookup

/// Step 4: `targets[i]` is the route of packet i's address on that side.
template <Side kSide>
inline void lookup_routes(WorkerContext& worker, const InnerBurst& burst,
                          Target (&targets)[kBurst]) {
  const uint32_t generation = worker.routes.generation();
  lookup::Unknown unknown;
  for (size_t i = 0; i < burst.count; ++i) {
    const uint8_t* ip = burst.ip[i];
    const bool v4 = is_ipv4(ip);
    const uint8_t* address = kSide == Side::kSource ? source_of(ip) : destination_of(ip);
    const RouteKey key = v4 ? RouteKey::v4(load_u32(address)) : RouteKey::v6(address);
    if (const Target* known = worker.route_cache->find(key, generation)) [[likely]]
      targets[i] = *known;
    else
      unknown.add(address, v4, i);
  }
  lookup::ask_routes(worker, unknown, generation, targets);
}

}  // namespace jvpn
