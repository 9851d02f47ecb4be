#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {

Call call_to(const Context& context, const Identity& self, PeerId id, Suite suite,
             ReceiverIndex sender, const SecretKey& ephemeral) {
  return {self, context.configured(id).public_key, suite, sender, context.config.lanes, ephemeral};
}

wire::Timestamp draw_timestamp(Context& context, PeerId id) {
  PeerState& peer = context.table.peer(id);
  return peer.latest_sent = next_timestamp(context.environment.timestamp(), peer.latest_sent);
}

void refuse_handshake(Context& context, Reporter& reporter, Millis now, const Path& from,
                      Reason reason, Detail detail, PeerId id) {
  ++context.counters.handshakes_refused;
  reporter.emit_security(now, reason, detail, id, SessionId{}, from);
}

}  // namespace jvpn::protocol
