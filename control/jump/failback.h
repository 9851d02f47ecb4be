// Back to a preferred path, once it has been stable for as long as policy says. Each return that
// was soon undone doubles the wait before the next. Control thread only.
#pragma once

#include "control/jump/jumper.h"

namespace jvpn::jump {

class Failback : public Part {
 public:
  Failback(Context& context, Candidates& candidates, Jumper& jumper)
      : context_(context), candidates_(candidates), jumper_(jumper) {}

  bool serve(Millis now, Session& session) override;
  Millis due(const Session& session) const override;
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

 private:
  Candidate* target(const Session& session) const;

  Context& context_;
  Candidates& candidates_;
  Jumper& jumper_;
};

}  // namespace jvpn::jump
