// What the parts of an engine share: configuration, table, environment, and where effects go. All
// of it outlives the parts. Control thread only.
#pragma once

#include <algorithm>

#include "common/aead.h"
#include "common/message_mac.h"
#include "control/session/config.h"
#include "control/session/effects.h"
#include "control/session/environment.h"
#include "control/session/peer_table.h"
#include "control/session/store_calls.h"

namespace jvpn::session {

struct Context {
  EngineConfig& config;
  PeerTable& table;
  Environment& environment;
  Effects& effects;
  EngineCounters& counters;
  StoreCalls& store;
  Aead& aead;
  MessageMac& mac;
  bool denies_new_sessions = false;  ///< the latest reload was refused
  bool draining = false;             ///< sessions shall go to other gateways; by Drainer
  Budgets budgets{};                 ///< of all sessions together

  const EnginePeer& configured(PeerId id) const { return config.peers[id.value]; }
  bool has_several_gateways(PeerId id) const {
    const std::vector<GatewayEndpoint>& known = configured(id).gateways;
    return !known.empty() && known.back().gateway != GatewayNumber{};
  }
  /// The peer's gateway that listens there; kNoGateway: none of several.
  GatewayNumber gateway_of(PeerId id, const Path& path) const {
    if (!has_several_gateways(id)) return {};
    const std::vector<GatewayEndpoint>& known = configured(id).gateways;
    const auto at = std::ranges::find(known, path.remote, &GatewayEndpoint::remote);
    return at == known.end() ? kNoGateway : at->gateway;
  }
  /// 32 zero bytes for a peer without one.
  const PresharedKey& psk_of(PeerId id) const {
    static const PresharedKey kNoPsk;
    const auto& psk = configured(id).preshared;
    return psk ? *psk : kNoPsk;
  }
  /// Whether one more input of that class is within its budgets; counted when it isn't.
  bool admit(Millis now, Session& session, Input input) {
    if (session::admit(now, policy_of(session), input, session.budgets, budgets)) return true;
    ++counters.over_budget[static_cast<size_t>(input)];
    return false;
  }
  /// The bounds that a session obeys.
  const Policy& policy_of(const Session& session) const {
    return session.initiates() ? session.initiator->policy : config.policy;
  }
};

}  // namespace jvpn::session
