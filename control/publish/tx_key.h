// The sending lanes of one peer under its traffic key. A lane keeps its TxLane for as long as the
// key lives, so that no counter repeats. Control thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/aead.h"
#include "common/secret.h"
#include "common/session_table.h"
#include "control/publish/slab.h"
#include "control/session/effects.h"

namespace jvpn::publish {

/// Why an install was refused.
enum class Refusal : uint8_t {
  kNone,           ///< it was not
  kNoMemory,       ///< nothing was set aside for it, and DPDK's heap is short
  kContradiction,  ///< no peer, port or number of lanes that there is, or lanes that are given up
};

/// The sending lanes of one binding.
struct TxLanes {
  TxLane* lanes = nullptr;
  LaneId first;
  uint16_t count = 0;
};

class TxKey {
 public:
  struct Choice {
    Refusal refused = Refusal::kNone;
    TxLanes lanes{};
    std::vector<TxLanes> given_up{};  ///< for the caller to retire
  };
  /// The lanes that `install` sends on, `wanted` of them: those there are, or fresh ones, of
  /// `reserved` if they are as many. Data may go ahead of a binding's commit and then by another
  /// one, so lanes are only given up once a binding with higher ones has a higher version.
  Choice choose(const session::TxInstall& install, unsigned wanted, Slab& slab, TxLanes& reserved);

  std::span<const TxLanes> lanes() const { return lanes_; }
  /// Sent on lanes already given up.
  uint64_t packets_before() const { return packets_before_; }
  uint64_t bytes_before() const { return bytes_before_; }

 private:
  void begin(const session::TxInstall& install, std::vector<TxLanes>& given_up);
  Refusal add(const session::TxInstall& install, unsigned wanted, Slab& slab, TxLanes& reserved);

  Secret<kRawKeyBytes> key_;
  Suite suite_{};
  BindingVersion version_;  ///< the highest installed
  LaneId floor_;            ///< its first lane
  std::vector<TxLanes> lanes_;
  uint64_t packets_before_ = 0;
  uint64_t bytes_before_ = 0;
};

}  // namespace jvpn::publish
