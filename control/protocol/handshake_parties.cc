#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {

Call call_to(Context& context, const Identity& self, PeerId id, Suite suite, ReceiverIndex sender,
             const SecretKey& ephemeral) {
  PeerState& peer = context.table.peer(id);
  peer.latest_sent = next_timestamp(context.environment.timestamp(), peer.latest_sent);
  return {self,
          context.configured(id).public_key,
          suite,
          sender,
          context.config.lanes,
          peer.latest_sent,
          ephemeral};
}

void refuse_handshake(Context& context, Reporter& reporter, Millis now, const Path& from,
                      Reason reason, Detail detail, PeerId id) {
  ++context.counters.handshakes_refused;
  reporter.emit_security(now, reason, detail, id, SessionId{}, from);
}

}  // namespace jvpn::protocol
