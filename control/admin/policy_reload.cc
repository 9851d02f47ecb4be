#include "control/admin/policy_reload.h"

#include <nlohmann/json.hpp>

namespace jvpn::admin {

nlohmann::json apply_reload(engine::SessionEngine& engine, const Result<Policy>& policy,
                            Millis now) {
  if (!policy) {
    engine.deny_new_sessions(now);
    return {{"error", policy.error().message}};
  }
  engine.set_policy(now, *policy);
  return {{"reloaded", {{"policy_version", policy->version}}}};
}

}  // namespace jvpn::admin
