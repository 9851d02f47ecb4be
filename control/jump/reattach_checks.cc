#include "control/jump/reattach_checks.h"

#include <algorithm>

namespace jvpn::jump {
namespace {

#pragma pack(push, 1)
struct TokenInput {
  std::array<uint8_t, 16> session;
  uint8_t family;
  std::array<uint8_t, 16> address;
  uint16_t port;
  uint64_t nonce;
  uint64_t version;
  uint32_t index;
  uint64_t epoch;
};
#pragma pack(pop)

constexpr uint64_t distance(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

Finding judge_freshness(const wire::ReattachRequest& request, ReplayVerdict nonce,
                        const Policy& policy, Millis now) {
  const uint64_t most = policy.security.reattach_proof_max_age.value;
  if (distance(request.clock_ms, now.value) > most) {
    return {Reason::kFreshnessInvalid, Detail::kStaleTime, "freshness"};
  }
  if (nonce != ReplayVerdict::kFresh) return {Reason::kReplayDetected, Detail::kNone, "nonce"};
  return {};
}

Finding judge_version(BindingVersion named, const SessionRecord& record) {
  if (named < record.binding_version) {
    return {Reason::kFreshnessInvalid, Detail::kStaleVersion, "binding_version"};
  }
  if (named > record.binding_version) {
    return {Reason::kFreshnessInvalid, Detail::kFutureVersion, "binding_version"};
  }
  return {};
}

Finding judge_policy(SwitchAsked asked, const SessionRecord& record, const Policy& policy,
                     Millis now) {
  const SwitchKind kind = switch_kind(record, policy, now, asked.rebind);
  if (kind != SwitchKind::kRecovery && !asked.retires) {
    return {Reason::kPolicyDeny, Detail::kDualActive, "dual_active"};
  }
  const Finding bound = judge_switch(record, kind, policy, now);
  if (!bound.ok()) return bound;
  const Millis window = record.entered + policy.switching.max_recovery_window;
  if (record.state == State::kRecovering && now >= window) {
    return {Reason::kPolicyDeny, Detail::kRecoveryWindow, "recovery_window"};
  }
  return {};
}

Mac token_of(MessageMac& mac, const MacKey& secret, const TokenClaim& claim) {
  TokenInput input{};
  input.session = claim.session.bytes;
  input.family = static_cast<uint8_t>(claim.address.address.family);
  input.address = claim.address.address.bytes;
  input.port = claim.address.port;
  input.nonce = claim.nonce;
  input.version = claim.version.value;
  input.index = claim.index.value;
  input.epoch = claim.epoch;
  return mac.compute(secret, {reinterpret_cast<const uint8_t*>(&input), sizeof input});
}

}  // namespace jvpn::jump
