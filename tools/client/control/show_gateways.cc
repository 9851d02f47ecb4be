#include "tools/client/control/show_gateways.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {
namespace {

using engine::StandbyView;
using session::StandbyRank;

/// What would come of a claim there.
const char* state_of(const session::Standby& standby) {
  switch (standby.rank()) {
    case StandbyRank::kWarm:
      return "warm";
    case StandbyRank::kUnknown:
      return "unknown";
    case StandbyRank::kSilent:
      return "unanswered";
    case StandbyRank::kNotNow:
      break;
  }
  return standby.availability == wire::Availability::kDraining ? "draining" : "no_store";
}

void add_path(nlohmann::json& row, const Path& path,
              const std::vector<underlays::Underlay>& underlays) {
  row["underlay"] = underlays[path.interface].name();
  row["remote"] = to_string(path.remote);
}

void add_standby(nlohmann::json& row, const session::Standby& standby, Millis now) {
  row["state"] = state_of(standby);
  if (standby.answered_at) {
    row["answered_ms_ago"] = (now - *standby.answered_at).value;
    row["rtt_us"] = standby.rtt_us;
  }
  if (standby.unanswered_since) row["unanswered_ms"] = (now - *standby.unanswered_since).value;
}

const StandbyView* best_of(const std::vector<StandbyView>& standbys, GatewayNumber gateway) {
  const StandbyView* best = nullptr;
  for (const StandbyView& each : standbys) {
    if (each.gateway != gateway) continue;
    if (best == nullptr || each.standby.preferred_to(best->standby)) best = &each;
  }
  return best;
}

}  // namespace

nlohmann::json show_gateways(const engine::SessionEngine& engine, const PeerProfile& profile,
                             const FallbackProfile& fallback,
                             const std::vector<underlays::Underlay>& underlays, Millis now) {
  nlohmann::json rows = nlohmann::json::array();
  if (profile.cluster.empty()) return rows;
  std::optional<engine::SessionView> session;
  for_each_session(engine, [&](const engine::SessionView& view) { session = view; });
  const std::string active =
      session ? gateway_name(profile, fallback, session->path.remote) : std::string();
  const auto dialling = engine.dialling(kGateway);
  const std::vector<StandbyView> standbys =
      dialling ? dialling->standbys : std::vector<StandbyView>{};
  for (size_t number = 0; number <= profile.cluster.size(); ++number) {
    nlohmann::json row{{"name", number == 0 ? profile.name : profile.cluster[number - 1].name}};
    const StandbyView* best = best_of(standbys, GatewayNumber{static_cast<uint8_t>(number)});
    if (row["name"] == active) {
      row["state"] = "active";
      add_path(row, session->path, underlays);
      if (session->rtt_us) row["rtt_us"] = *session->rtt_us;
    } else if (best != nullptr) {
      add_path(row, best->path, underlays);
      add_standby(row, best->standby, now);
    } else {
      row["state"] = "no_path";
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace jvpn::client::control
