// The gateway is drained: it takes no new session, and asks the initiator of each that it has to go
// on with it at another gateway of the cluster, by POLICY_HINT(leave). Those that stay are asked
// again, ever more rarely. Control thread only.
#pragma once

#include "control/session/context.h"
#include "control/session/control_channel.h"
#include "control/session/part.h"
#include "control/session/reporter.h"
#include "control/session/vocabulary.h"

namespace jvpn::protocol {

class Drainer : public Part {
 public:
  Drainer(Context& context, Reporter& reporter, ControlChannel& channel)
      : context_(context), reporter_(reporter), channel_(channel) {}

  /// plan() has to follow for each session that there is.
  void begin(Millis now);
  /// Sessions stay, and new ones are taken again.
  void end(Millis now);
  /// A session of ours gets its turn. They are spread over time, so that the gateways to which
  /// their initiators go needn't demand cookies: as many a second as handshakes are admitted here.
  void plan(Millis now, Session& session);
  /// No session is left, and it wasn't told of yet.
  bool has_news() const { return context_.draining && !told_ && context_.table.answered() == 0; }
  /// Tells of that.
  void report_news(Millis now);

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  /// Handshakes that were under way when it began may still become sessions.
  void on_rows(Millis now, Session& session) override;

 private:
  Context& context_;
  Reporter& reporter_;
  ControlChannel& channel_;
  uint64_t next_turn_us_ = 0;
  bool told_ = false;  ///< that none is left
};

}  // namespace jvpn::protocol
