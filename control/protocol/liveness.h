// Signs of life on the bound path: heartbeats, their answers, and what data proves. A decision that
// the transport is dead is the state machine's. Control thread only.
#pragma once

#include "control/session/lifecycle.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

/// An echo that is older says nothing about the round trip.
inline constexpr uint64_t kLongestRttUs = 60'000'000;

class Liveness : public Part {
 public:
  Liveness(Context& context, Lifecycle& lifecycle, Bindings& bindings, ControlChannel& channel)
      : context_(context), lifecycle_(lifecycle), bindings_(bindings), channel_(channel) {}

  bool serve(Millis now, Session& session) override;
  /// Authentic traffic from the peer suppresses heartbeats, unless round trips are to be measured;
  /// new keys ask for theirs until confirmed. One that isn't answered is followed sooner, so that
  /// short outages in the heartbeats' own rhythm don't add up to silence.
  Millis due(const Session& session) const override;
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

  void send_heartbeat(Millis now, Session& session);
  /// Takes note of the data that has come on the bound path.
  void note_data(Millis now, Session& session);
  /// An authentic control message came on the bound path now.
  void note_control(Millis now, Session& session);

  void on_heartbeat(Millis now, Session& session, const wire::Heartbeat& message);
  /// The round trip that it measured, in microseconds; nullopt when it is stale.
  std::optional<uint32_t> on_heartbeat_ack(Millis now, Session& session,
                                           const wire::HeartbeatAck& message);

 private:
  Context& context_;
  Lifecycle& lifecycle_;
  Bindings& bindings_;
  ControlChannel& channel_;
};

}  // namespace jvpn::protocol
