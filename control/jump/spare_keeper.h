// Keeps a session supplied with spare bindings by NEW_INDICES: the initiator asks for more and
// gives back those of paths that are no candidates any more, the responder answers with those on
// offer. Control thread only.
#pragma once

#include "control/jump/candidates.h"
#include "control/session/bindings.h"
#include "control/session/control_channel.h"

namespace jvpn::jump {

class SpareKeeper : public Part {
 public:
  SpareKeeper(Context& context, Bindings& bindings, ControlChannel& channel, Candidates& candidates)
      : context_(context), bindings_(bindings), channel_(channel), candidates_(candidates) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_new_indices(Session& session, const Arrival& at, const wire::NewIndices& message);

 private:
  bool lacks_spares(const Session& session) const;
  bool is_stranded(const Session& session, const SpareBinding& spare) const;

  Context& context_;
  Bindings& bindings_;
  ControlChannel& channel_;
  Candidates& candidates_;
};

}  // namespace jvpn::jump
