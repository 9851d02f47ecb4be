// Warm candidates, the responder's side: a probe is challenged at the source it came from, and an
// address that answered is remembered for a while. Keeps nothing of probes. Control thread only.
#pragma once

#include "control/jump/reattach_checks.h"
#include "control/session/lifecycle.h"

namespace jvpn::jump {

/// The policy's rates hold from here on.
void set_rates(Millis now, const Policy& policy, ReattachMemory& memory);
/// The responder's memory of requests and probes, made when the first of them comes.
ReattachMemory& reattach_memory(Millis now, const Context& context, Session& session);

class PathValidator {
 public:
  /// `secret`, of the tokens, outlives the validator.
  PathValidator(Context& context, Lifecycle& lifecycle, Reporter& reporter, ControlChannel& channel,
                const MacKey& secret)
      : context_(context),
        lifecycle_(lifecycle),
        reporter_(reporter),
        channel_(channel),
        secret_(secret) {}

  void on_path_probe(Millis now, Session& session, const Arrival& at,
                     const wire::PathProbe& message);
  void on_path_response(Millis now, Session& session, const Arrival& at,
                        const wire::PathResponse& message);
  /// This very address answered a challenge on this index, not long ago.
  static bool is_warm(Millis now, const Session& session, const Arrival& at);

 private:
  TokenClaim claim(Millis now, const Session& session, const Arrival& at, uint64_t nonce) const;

  Context& context_;
  Lifecycle& lifecycle_;
  Reporter& reporter_;
  ControlChannel& channel_;
  const MacKey& secret_;
};

}  // namespace jvpn::jump
