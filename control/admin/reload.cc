#include "control/admin/reload.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace jvpn::admin {
namespace {

/// Collects the keys whose values differ.
class Differences {
 public:
  template <typename T>
  Differences& add(const char* key, const T& running, const T& fresh) {
    if (running != fresh) keys_.emplace_back(key);
    return *this;
  }
  std::vector<std::string> keys() && { return std::move(keys_); }

 private:
  std::vector<std::string> keys_;
};

void add_crypto(Differences& found, const CryptoProfile& running, const CryptoProfile& fresh) {
  found.add(kOwnKey, running.private_key_file, fresh.private_key_file)
      .add("crypto.suites", running.suites, fresh.suites)
      .add("crypto.rekey_after_ms", running.rekey_after, fresh.rekey_after)
      .add("crypto.rekey_after_packets", running.rekey_after_packets, fresh.rekey_after_packets)
      .add("crypto.key_log_file", running.key_log_file, fresh.key_log_file);
}

/// What both kinds of profile have at their ends.
template <typename Profile>
void add_shared(Differences& found, const Profile& running, const Profile& fresh) {
  // The ring between control and the sinks is made once.
  found
      .add("policy.observability.event_ring", running.policy.observability.event_ring,
           fresh.policy.observability.event_ring)
      .add("events", running.events, fresh.events)
      .add("admin", running.admin, fresh.admin);
}

}  // namespace

std::optional<Error> refuse_version(const Policy& running, const Policy& fresh,
                                    const std::string& path, Place version) {
  if (fresh == running || fresh.version > running.version) return std::nullopt;
  const bool lower = fresh.version < running.version;
  return Error{profile_finding(
      path, version, "policy.version",
      lower ? fmt::format("at least {}, which is in force", running.version)
            : fmt::format("more than {}, because the policy has changed", running.version),
      fmt::format("{}", fresh.version))};
}

Policy policy_in_reach(const GatewayProfile& running, const GatewayProfile& fresh) {
  Policy policy = fresh.policy;
  if (running.limits.hold_packets == 0) policy.switching.hold = Millis{0};
  return policy;
}

std::vector<std::string> keys_for_restart(const GatewayProfile& running,
                                          const GatewayProfile& fresh) {
  Differences found;
  found.add("node", running.node, fresh.node)
      .add("state_dir", running.state, fresh.state)
      .add("ownership", running.ownership, fresh.ownership)
      .add("cores", running.cores, fresh.cores)
      .add("memory", running.memory, fresh.memory)
      .add("eal_args", running.eal_args, fresh.eal_args)
      .add("listen_port", running.listen_port, fresh.listen_port)
      .add("ports", running.ports, fresh.ports)
      .add("lanes", running.lanes, fresh.lanes)
      .add("limits", running.limits, fresh.limits)
      .add("policy.switching.hold_ms", policy_in_reach(running, fresh).switching.hold,
           fresh.policy.switching.hold);
  add_crypto(found, running.crypto, fresh.crypto);
  add_shared(found, running, fresh);
  return std::move(found).keys();
}

RunningClient running_client(const LoadedClient& loaded) {
  return {loaded.path, loaded.profile, public_key_of(loaded.private_key), loaded.preshared};
}

std::vector<std::string> keys_for_restart(const RunningClient& running, const LoadedClient& fresh) {
  const ClientProfile& before = running.profile;
  const ClientProfile& after = fresh.profile;
  Differences found;
  found.add("node", before.node, after.node)
      .add("interface", before.interface, after.interface)
      .add("underlays", before.underlays, after.underlays)
      .add("gateway", before.gateway, after.gateway)
      .add("gateway.fallback", before.fallback, after.fallback)
      .add("dns", before.dns, after.dns)
      .add("kill_switch", before.kill_switch, after.kill_switch);
  if (before.gateway == after.gateway)
    found.add("gateway.preshared_key_file", running.preshared, fresh.preshared);
  add_crypto(found, before.crypto, after.crypto);
  if (before.crypto.private_key_file == after.crypto.private_key_file)
    found.add(kOwnKey, running.own_key, public_key_of(fresh.private_key));
  add_shared(found, before, after);
  return std::move(found).keys();
}

nlohmann::json ReloadOutcome::refuse(engine::SessionEngine& engine, Millis now,
                                     const std::string& why) {
  at_ = now;
  refused_ = why;
  engine.deny_new_sessions(now);
  return {{"error", why + "\nnothing has changed, and no new session begins until a good reload"}};
}

nlohmann::json ReloadOutcome::accept(engine::SessionEngine& engine, Millis now,
                                     const Policy& policy, std::vector<std::string> waiting) {
  at_ = now;
  refused_.clear();
  waiting_ = std::move(waiting);
  engine.set_policy(now, policy);
  return {{"reloaded", {{"policy_version", policy.version}, {"needs_restart", waiting_}}}};
}

nlohmann::json ReloadOutcome::show(Millis now) const {
  if (!at_) return nullptr;
  return {{"ms_ago", (now - *at_).value},
          {"refused", refused_.empty() ? nlohmann::json(nullptr) : nlohmann::json(refused_)},
          {"needs_restart", waiting_}};
}

}  // namespace jvpn::admin
