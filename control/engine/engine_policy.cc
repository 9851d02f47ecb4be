// A policy's reload (design §8): all sessions change over at once, or none does. After a refused
// one the policy before stays in force and no session begins until a valid one comes.
#include "control/engine/engine_impl.h"
#include "control/protocol/policy_snapshot.h"

namespace jvpn::engine {

void SessionEngine::Impl::set_policy(Millis now, const Policy& policy) {
  config.policy = policy;
  denies_new = false;
  security_events = TokenBucket(policy.observability.security_events_per_s, now);
  for (PeerState& peer : peers) {
    Session* session = peer.session.get();
    if (session == nullptr) continue;
    if (session->initiator) {
      session->tightened = std::make_unique<Policy>(tightened(policy, session->told_policy));
    }
    if (session->reattach) {
      session->reattach->rate = TokenBucket(policy.security.reattach_rate_per_s, now);
      session->reattach->probe_rate = session->reattach->rate;
    }
  }
  emit_config(now, Reason::kConfigLoaded);
  for (uint32_t i = 0; i < peers.size(); ++i) rearm(PeerId{i});
}

void SessionEngine::Impl::deny_new_sessions(Millis now) {
  denies_new = true;
  emit_config(now, Reason::kConfigRefused);
  for (uint32_t i = 0; i < peers.size(); ++i) rearm(PeerId{i});
}

void SessionEngine::Impl::emit_config(Millis now, Reason reason) {
  Event event;
  event.kind = EventKind::kConfigEvent;
  event.at = now;
  event.policy_version = config.policy.version;
  event.reason = reason;
  host.emit(event);
}

}  // namespace jvpn::engine
