// How the peers of a profile that was read again differ from those that run. Pure: nothing is
// applied here. A peer is its public key; a changed key is one peer gone and another come.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
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

/// Takes the peers out of what was loaded.
std::vector<ConfiguredPeer> take_peers(LoadedGateway& loaded);

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

/// `running` by PeerId, with nothing at ids that are free. No two of a side have one key.
PeerDiff diff_peers(std::span<const std::optional<ConfiguredPeer>> running,
                    std::span<const ConfiguredPeer> fresh);

}  // namespace jvpn::admin
