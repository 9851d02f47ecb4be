// How the peers of a profile that was read again differ from those that run. Pure: nothing is
// applied here. A peer is its public key; a changed key is one peer gone and another come, and so
// is one that is disabled or enabled.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/noise.h"
#include "common/profile.h"
#include "common/types.h"
#include "control/admin/profile_file.h"

namespace jvpn::admin {

/// A peer of a profile, with its secret.
struct ConfiguredPeer {
  PeerProfile profile;
  std::optional<PresharedKey> preshared;
};

struct HashKey {
  size_t operator()(const PublicKey& key) const {
    size_t word;  // keys are configured, not chosen by whoever sends packets
    __builtin_memcpy(&word, key.data(), sizeof word);
    return word;
  }
};

/// Takes the peers out of what was loaded.
std::vector<ConfiguredPeer> take_peers(LoadedGateway& loaded);

/// The peers of a profile, found by key and by prefix. No two have one key. Made on any thread:
/// it takes its time, as does the end of it, so whoever applies it leaves here what is to be freed.
class FreshPeers {
 public:
  explicit FreshPeers(std::vector<ConfiguredPeer> peers);
  size_t size() const { return peers_.size(); }
  /// May be moved from, and take the peer that it replaces.
  ConfiguredPeer& at(size_t place) { return peers_[place]; }
  const ConfiguredPeer& at(size_t place) const { return peers_[place]; }
  std::optional<size_t> place_of(const PublicKey& key) const;
  /// The place of a peer that is allowed the prefix, and of which `counts(place)` is true.
  template <typename Counts>
  std::optional<size_t> owner_of(const Prefix& prefix, Counts counts) const {
    const auto first = std::lower_bound(owners_.begin(), owners_.end(), Owner{prefix, 0});
    for (auto each = first; each != owners_.end() && each->first == prefix; ++each)
      if (counts(each->second)) return each->second;
    return std::nullopt;
  }
  /// A peer that was removed: freed with the others.
  void keep(ConfiguredPeer gone) { gone_.push_back(std::move(gone)); }

 private:
  using Owner = std::pair<Prefix, size_t>;
  std::vector<ConfiguredPeer> peers_;
  std::unordered_map<PublicKey, size_t, HashKey> places_;
  std::vector<Owner> owners_;        ///< in order
  std::deque<ConfiguredPeer> gone_;  ///< moves none when it grows
};

/// A peer that stays, and what of it differs.
struct PeerUpdate {
  PeerId id;
  size_t fresh = 0;  ///< its place in the fresh profile
  bool name = false;
  bool preshared = false;
  bool allowed_ips = false;
  bool endpoints = false;
  bool operator==(const PeerUpdate&) const = default;
};

/// Peers that are the same in both are in no list.
struct PeerDiff {
  std::vector<PeerId> removed;
  std::vector<PeerUpdate> changed;
  std::vector<size_t> added;  ///< places in the fresh profile
};

/// Compares them one after the other. `running` by PeerId, with nothing at ids that are free; it
/// doesn't change meanwhile. Made and ended where FreshPeers are.
class PeerComparison {
 public:
  /// `fresh` outlives it; `most`: peers that there may be.
  PeerComparison(const FreshPeers& fresh, size_t most) : fresh_(fresh), ids_(fresh.size()) {
    diff_.changed.reserve(fresh.size());  // growing would move them all
    diff_.added.reserve(fresh.size());
    diff_.removed.reserve(most);
  }
  /// Of one peer, or of none, and of whom runs under its name; no other is looked at.
  static PeerComparison of_one(const FreshPeers& fresh, std::optional<PeerId> id,
                               const ConfiguredPeer* running);
  /// The next running peer, and after them the next fresh one. False: that was all, diff() is
  /// complete.
  bool go_on(std::span<const std::optional<ConfiguredPeer>> running);
  const PeerDiff& diff() const { return diff_; }
  /// Who runs already; nothing for a peer that is new in the fresh profile.
  std::optional<PeerId> running(size_t place) const { return ids_[place]; }

 private:
  const FreshPeers& fresh_;
  std::vector<std::optional<PeerId>> ids_;  ///< by place
  PeerDiff diff_;
  uint32_t next_ = 0;
  size_t next_fresh_ = 0;
};

}  // namespace jvpn::admin
