// Path MTU by authenticated padded probes alone (RFC 8899); ICMP has no say. The initiator probes,
// in both directions at once, because the answer is as long as the probe:
//   confirm: one probe of the size in use; the bound path's again and again while data flows
//   search: that one wasn't answered, so a ladder of sizes goes out, and what of it wasn't answered
//           once more; the largest answered wins
//   raise: from time to time, sizes above the one in use
// What all paths of a session take is the session's; the initiator tells the responder with each
// probe. A standby path that takes less than IPv6's minimum doesn't count before it is bound.
// Control thread only.
#pragma once

#include <optional>

#include "control/jump/candidates.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

class PathMtu : public Part {
 public:
  PathMtu(Context& context, Lifecycle& lifecycle, Bindings& bindings, ControlChannel& channel,
          Candidates& candidates)
      : context_(context),
        lifecycle_(lifecycle),
        bindings_(bindings),
        channel_(channel),
        candidates_(candidates) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rows(Millis now, Session& session) override;
  /// The bound path is confirmed at once.
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

  /// The host's devices may take more or less now.
  void limits_changed(Millis now, Session& session);

  /// Responder: a probe is answered by as many bytes, to where it came from; too many aren't.
  void on_mtu_probe(Millis now, Session& session, const Arrival& at, const wire::MtuProbe& message);
  /// Initiator.
  void on_mtu_ack(Millis now, Session& session, const Arrival& at, const wire::MtuAck& message);

 private:
  MtuSearch* of_path(Session& session, const Path& path) const;
  MtuSearch& watch(Millis now, Session& session, const Path& path);
  void watch_candidates(Millis now, Session& session);
  uint16_t limit_of(const Session& session, const Path& path) const;
  std::optional<Route> route_to(const Session& session, const Path& path) const;
  void step(Millis now, Session& session, MtuSearch& search);
  bool doubts(Millis now, Session& session) const;
  void begin(Millis now, Session& session, MtuSearch& search, MtuRound round);
  void ladder(Session& session, MtuSearch& search, const Route& route, uint16_t top,
              uint16_t above);
  void conclude(Millis now, Session& session, MtuSearch& search);
  void rest(Millis now, const Session& session, MtuSearch& search);
  void probe(Session& session, MtuSearch& search, const Route& route, uint16_t bytes);
  void refresh_limit(Millis now, const Session& session, MtuSearch& search) const;
  void settle(Millis now, Session& session);

  Context& context_;
  Lifecycle& lifecycle_;
  Bindings& bindings_;
  ControlChannel& channel_;
  Candidates& candidates_;
};

/// Length of a probe of `path`: what the session's tunnel carries, or less where the path is known
/// to take less.
size_t probe_bytes(Environment& environment, const Session& session, const Path& path);

}  // namespace jvpn::jump
