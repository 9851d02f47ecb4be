// What came on the lanes of a receiver index that was closed (docs/PROTOCOL.md, hold): what isn't
// in it was not taken and never will be, so its sender may seal it again elsewhere. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/replay_window.h"
#include "common/types.h"

namespace jvpn {

/// Of each lane the holes among so many packets up to the latest are told. What is older counts as
/// received.
inline constexpr size_t kReportedHoles = 256;
/// A session's packets that may be in flight went under at most so many indices of the peer's: the
/// present keys' and those before.
inline constexpr size_t kHeldIndices = 2;
/// Those, and an initiator's on the paths by which it has asked for a jump: it may not know which
/// of them carries the session.
inline constexpr size_t kReportedIndices = 4;
/// Bytes of a report on the wire, at most: what REATTACH_REQUEST and its answer have room for.
inline constexpr size_t kMaxReportBytes = 352;

enum class Receipt : uint8_t {
  kReceived,
  kMissing,
  kUnknown,  ///< the report had no room for that lane
};

/// One lane as it was closed.
struct ReceivedLane {
  LaneId lane;
  uint64_t next = 0;  ///< above the highest sequence received, which there is
  /// Bit i: the sequence next − 1 − i was not received.
  std::array<uint64_t, kReportedHoles / 64> holes{};

  bool has(uint64_t sequence) const {
    if (sequence >= next) return false;
    const uint64_t behind = next - 1 - sequence;
    return behind >= kReportedHoles || (holes[behind / 64] >> (behind % 64) & 1U) == 0;
  }
  bool operator==(const ReceivedLane&) const = default;
};

/// All lanes of one index. Nothing was received on those that it doesn't list.
struct LaneReport {
  ReceiverIndex index;
  bool complete = true;  ///< no lane was left out for want of room
  std::vector<ReceivedLane> lanes;

  Receipt receipt(LaneId lane, uint64_t sequence) const {
    const auto found = std::ranges::find(lanes, lane, &ReceivedLane::lane);
    if (found == lanes.end()) return complete ? Receipt::kMissing : Receipt::kUnknown;
    return found->has(sequence) ? Receipt::kReceived : Receipt::kMissing;
  }
  bool operator==(const LaneReport&) const = default;
};

/// Adds what a window has seen, if it has seen anything. Nobody may move the window any more.
template <size_t Bits, typename Words>
void add_lane(LaneReport& report, LaneId lane, const ReplayWindow<Bits, Words>& window) {
  static_assert(Bits >= kReportedHoles);
  const uint64_t highest = window.highest();
  if (highest == 0 && window.check(0) == ReplayVerdict::kFresh) return;
  ReceivedLane received{lane, highest + 1, {}};
  for (uint64_t behind = 0; behind < kReportedHoles && behind <= highest; ++behind) {
    if (window.check(highest - behind) == ReplayVerdict::kFresh)
      received.holes[behind / 64] |= uint64_t{1} << (behind % 64);
  }
  report.lanes.push_back(received);
}

/// As it goes on the wire, in at most `room` bytes: reports that don't fit are left out, and so are
/// lanes of the last one that does. Empty: none fits.
std::vector<uint8_t> encode_reports(std::span<const LaneReport> reports,
                                    size_t room = kMaxReportBytes);
/// nullopt: malformed. Safe on any input.
std::optional<std::vector<LaneReport>> decode_reports(std::span<const uint8_t> bytes);

}  // namespace jvpn
