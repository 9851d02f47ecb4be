// Resets: how an end that has lost a session's keys tells the peer, and what the peer makes of it
// (docs/PROTOCOL.md, reset). A reset ends nothing: the initiator dials beside the session, which
// goes on until the new one takes its place. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/path.h"
#include "control/protocol/dialer.h"
#include "control/protocol/network_shares.h"
#include "control/session/bindings.h"
#include "control/session/reporter.h"

namespace jvpn::protocol {

class Resets {
 public:
  Resets(Context& context, Reporter& reporter, Bindings& bindings, Dialer& dialer, Millis now)
      : context_(context),
        reporter_(reporter),
        bindings_(bindings),
        dialer_(dialer),
        shares_(context, context.config.handshakes_per_s, now) {}

  /// Data or control came from there that names an index which isn't ours. Answered by a reset,
  /// within the rate of handshakes, which it may cause, and the shares of networks; but not while
  /// the session goes on that had the index last: that one has its keys, and says by them what
  /// became of the index.
  void on_unknown_index(Millis now, const Path& from, ReceiverIndex index);
  /// A reset that names an index of the peer's. With that index' token, and from where we send to
  /// it, the peer is dialled; any other is counted, and a forged one told, sampled. Returns the
  /// peer whose state may have changed.
  std::optional<PeerId> on_reset(Millis now, const Path& from, PeerId id,
                                 std::span<const uint8_t> datagram);

 private:
  bool session_goes_on(ReceiverIndex index);
  void refuse(Millis now, const Path& from, PeerId id);

  Context& context_;
  Reporter& reporter_;
  Bindings& bindings_;
  Dialer& dialer_;
  NetworkShares shares_;
};

}  // namespace jvpn::protocol
