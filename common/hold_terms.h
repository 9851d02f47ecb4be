// What workers need so that they can seal again what a path that died has swallowed
// (docs/DESIGN.md, hold): what the peer told of it, and the keys that it was sealed with.
//
// Writer: the control core, before a TxRecord names it; immutable then. Readers: workers. Freed,
// and wiped, after an RCU grace period.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "common/aead.h"
#include "common/lane_report.h"
#include "common/secret.h"
#include "common/types.h"

namespace jvpn {

struct HoldTerms {
  /// Indices that a session sent under lately: each binding has one, and each rekey.
  static constexpr size_t kMostKeys = 4;
  /// Of commits before the latest one, too: a worker may see only that.
  static constexpr size_t kMostReports = 2 * kReportedIndices;

  struct Key {
    ReceiverIndex index;
    AeadKey key;
  };

  HoldTerms() = default;
  HoldTerms(const HoldTerms&) = delete;
  HoldTerms& operator=(const HoldTerms&) = delete;
  ~HoldTerms() { wipe(keys.data(), sizeof keys); }

  /// nullptr: what was sealed under the index can't be opened any more.
  const AeadKey* key_of(ReceiverIndex index) const {
    const Key* const end = keys.data() + key_count;
    const Key* const found =
        std::find_if(keys.data(), end, [&](const Key& each) { return each.index == index; });
    return found == end ? nullptr : &found->key;
  }
  Receipt receipt(ReceiverIndex index, LaneId lane, uint64_t sequence) const {
    const auto report = std::ranges::find(reports, index, &LaneReport::index);
    return report == reports.end() ? Receipt::kUnknown : report->receipt(lane, sequence);
  }

  std::array<Key, kMostKeys> keys{};
  size_t key_count = 0;
  std::vector<LaneReport> reports;
  bool carried = false;  ///< the old path carries what was sent: nobody tells of it
};

}  // namespace jvpn
