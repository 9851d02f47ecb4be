// Builds the session part of `show` as JSON. Free of DPDK: gateways and clients answer alike.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/profile.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "control/session/effects.h"

namespace jvpn::admin {

/// The configured name of a peer.
using PeerName = std::function<std::string(PeerId)>;

/// `{"node", "role", "version", "uptime_ms", "policy_version"}`: the frame that the other parts are
/// added to.
nlohmann::json show_header(const std::string& node, const std::string& role, Millis uptime,
                           uint32_t policy_version);

/// Where keys are logged; null: nowhere.
nlohmann::json show_key_log(const CryptoProfile& crypto);

/// Adds a page of live sessions to an answer: the array `sessions`, from the peer on that the
/// request names by `from`, and `next`, the `from` of the next page, unless it was the last; and
/// `heartbeat_interval_ms`, how often one that isn't `idle` is heard at least.
/// `environment` tells the traffic counters.
void add_sessions(nlohmann::json& answer, const nlohmann::json& request,
                  const engine::SessionEngine& engine, session::Environment& environment,
                  const PeerName& name, Millis now);
/// The same for gateways, where a page is one turn's work: behind the last live sessions come the
/// ended ones, in the array `terminated`.
void add_page(nlohmann::json& answer, const nlohmann::json& request,
              const engine::SessionEngine& engine, session::Environment& environment,
              const PeerName& name, Millis now);
/// Array of the ended sessions that are still remembered, as the engine lists them.
nlohmann::json show_terminated(const engine::SessionEngine& engine, Millis now);
/// `{"peers", "sessions", "jumps", "ended", "forgotten"}`: what all sessions come to, by state,
/// cause and reason; costs the same however many there are.
nlohmann::json show_totals(const session::SessionTotals& totals, size_t peers);
/// Object of the engine's counters by name.
nlohmann::json show_counters(const session::EngineCounters& counters);

}  // namespace jvpn::admin
