// What becomes of a profile that was read again, as far as gateways and clients share it: what may
// take the place of the policy in force, what has to wait for a restart, and what `jvpn show` says
// of the latest attempt. Free of DPDK. Control thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/profile.h"
#include "common/types.h"
#include "control/admin/profile_file.h"
#include "control/engine/engine.h"

namespace jvpn::admin {

/// Nothing when `fresh` may follow `running`: it has a higher version, or is the same. Else the
/// finding, at policy.version's place in `path`: two policies of one version could not be told
/// apart in the event log.
std::optional<Error> refuse_version(const Policy& running, const Policy& fresh,
                                    const std::string& path, Place version);

/// A client's profile as it runs. The private key is the engine's alone.
struct RunningClient {
  std::string path;  ///< of the profile
  ClientProfile profile;
  PublicKey own_key{};
  std::optional<PresharedKey> preshared;
};
RunningClient running_client(const LoadedClient& loaded);

/// The dotted keys that differ and that a running program can't change.
std::vector<std::string> keys_for_restart(const GatewayProfile& running,
                                          const GatewayProfile& fresh);
std::vector<std::string> keys_for_restart(const RunningClient& running, const LoadedClient& fresh);

/// The fresh policy as far as the running gateway can follow it: its workers got room for packets
/// to hold at their start or not at all, and a peer must not be promised what they can't do.
/// keys_for_restart() names what is left out.
Policy policy_in_reach(const GatewayProfile& running, const GatewayProfile& fresh);

/// What of keys_for_restart() a changed private key is called.
inline constexpr const char* kOwnKey = "crypto.private_key_file";

/// The latest reload.
class ReloadOutcome {
 public:
  /// The policy in force stays, and no session begins until the next accepted reload. Returns the
  /// answer for the operator.
  nlohmann::json refuse(engine::SessionEngine& engine, Millis now, const std::string& why);
  /// `policy` holds for all sessions from now on; `waiting` are the keys_for_restart(). Returns the
  /// answer for the operator.
  nlohmann::json accept(engine::SessionEngine& engine, Millis now, const Policy& policy,
                        std::vector<std::string> waiting);
  /// `{"ms_ago", "refused", "needs_restart"}`; null before the first reload.
  nlohmann::json show(Millis now) const;

 private:
  std::optional<Millis> at_;
  std::string refused_;  ///< why; empty: it was accepted
  std::vector<std::string> waiting_;
};

}  // namespace jvpn::admin
