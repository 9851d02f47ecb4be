#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kRekeyJitter = 3;  // 100 000 sessions at 120 s stay within all sessions' budget

}  // namespace

Call call_to(const Context& context, const Identity& self, PeerId id, Suite suite,
             ReceiverIndex sender, const SecretKey& ephemeral) {
  return {self, context.configured(id).public_key, suite, sender, context.config.lanes, ephemeral};
}

wire::Timestamp draw_timestamp(Context& context, PeerId id) {
  PeerState& peer = context.table.peer(id);
  return peer.latest_sent = next_timestamp(context.environment.timestamp(), peer.latest_sent);
}

Millis draw_rekey(Context& context, Millis now) {
  const Millis latest = context.config.rekey_after;
  const auto range = static_cast<uint32_t>(latest.value / kRekeyJitter) + 1;
  return now + latest - Millis{random_u32(context.environment) % range};
}

void refuse_handshake(Context& context, Reporter& reporter, Millis now, const Path& from,
                      Reason reason, Detail detail, PeerId id) {
  ++context.counters.handshakes_refused;
  reporter.emit_security(now, reason, detail, id, SessionId{}, from);
}

}  // namespace jvpn::protocol
