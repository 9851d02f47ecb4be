// What of the host's routing a profile claims.
#pragma once

#include "common/profile.h"
#include "tools/client/tunnel/routing.h"

namespace jvpn::client::control {

inline tunnel::Reach reach_of(const ClientProfile& profile) {
  if (profile.kill_switch) return tunnel::Reach::kEverything;
  return profile.gateway.named.empty() ? tunnel::Reach::kAsNeeded : tunnel::Reach::kOwnTable;
}

}  // namespace jvpn::client::control
