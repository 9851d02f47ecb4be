#include "control/publish/tx_key.h"

#include <algorithm>
#include <utility>

#include "control/publish/lane_counts.h"

namespace jvpn::publish {

TxKey::Choice TxKey::choose(const session::TxInstall& install, unsigned wanted, Slab& slab,
                            TxLanes& reserved) {
  Choice choice;
  begin(install, choice.given_up);
  const auto refuse = [&](Refusal why) {
    choice.refused = why;
    return choice;
  };
  if (install.first_lane < floor_) return refuse(Refusal::kContradiction);
  for (const TxLanes& each : lanes_) {
    if (each.first == install.first_lane) {
      choice.lanes = each;
      return refuse(wanted <= each.count ? Refusal::kNone : Refusal::kContradiction);
    }
    const bool below = each.first.value + each.count <= install.first_lane.value;
    const bool above = install.first_lane.value + wanted <= each.first.value;
    if (!below && !above) return refuse(Refusal::kContradiction);
  }
  const Refusal why = add(install, wanted, slab, reserved);
  if (why == Refusal::kNone) choice.lanes = lanes_.back();
  return refuse(why);
}

/// Forgets the lanes that this install leaves behind: those of another key, or below its own.
void TxKey::begin(const session::TxInstall& install, std::vector<TxLanes>& given_up) {
  const Secret<kRawKeyBytes> key{std::span<const uint8_t, kRawKeyBytes>(install.traffic_key)};
  if (lanes_.empty() || suite_ != install.suite || key_ != key) {
    given_up = std::exchange(lanes_, {});
    key_ = key;
    suite_ = install.suite;
    version_ = install.binding_version;
    floor_ = install.first_lane;
    packets_before_ = bytes_before_ = 0;
  }
  if (install.first_lane < floor_ || install.binding_version <= version_) return;
  version_ = install.binding_version;
  floor_ = install.first_lane;
  const auto low = std::partition(lanes_.begin(), lanes_.end(),
                                  [&](const TxLanes& each) { return each.first >= floor_; });
  given_up.assign(low, lanes_.end());
  lanes_.erase(low, lanes_.end());
  for (const TxLanes& each : given_up) {
    const LaneCounts sent = count(each.lanes, each.count);
    packets_before_ += sent.packets;
    bytes_before_ += sent.bytes;
  }
}

Refusal TxKey::add(const session::TxInstall& install, unsigned wanted, Slab& slab,
                   TxLanes& reserved) {
  if (install.first_lane.value + wanted > UINT16_MAX) return Refusal::kContradiction;
  const bool fits = reserved.lanes != nullptr && reserved.count == wanted;
  TxLane* lanes = fits ? std::exchange(reserved.lanes, nullptr) : slab.make<TxLane>(wanted);
  if (lanes == nullptr) return Refusal::kNoMemory;
  for (unsigned i = 0; i < wanted; ++i) lanes[i].quota = install.blocks_per_lane;
  lanes_.push_back({lanes, install.first_lane, static_cast<uint16_t>(wanted)});
  return Refusal::kNone;
}

}  // namespace jvpn::publish
