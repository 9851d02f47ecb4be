// What both ends of a handshake or rekey need before they write or read a message.
// Control thread only.
#pragma once

#include "control/protocol/handshake_messages.h"
#include "control/session/context.h"
#include "control/session/reporter.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

/// What a new initiation or rekey to a peer says. Everything passed outlives the call.
Call call_to(const Context& context, const Identity& self, PeerId id, Suite suite,
             ReceiverIndex sender, const SecretKey& ephemeral);
/// The timestamp of the next initiation to a peer.
wire::Timestamp draw_timestamp(Context& context, PeerId id);

/// When keys that began now are replaced: up to a third earlier than configured, by chance, so that
/// sessions which attached together don't rekey together.
Millis draw_rekey(Context& context, Millis now);

/// Counts a handshake message that is refused, and reports it (sampled).
void refuse_handshake(Context& context, Reporter& reporter, Millis now, const Path& from,
                      Reason reason, Detail detail, PeerId id = kNoPeer);

}  // namespace jvpn::protocol
