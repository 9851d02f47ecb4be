// What the parts of an engine have in common: each serves sessions at times of its own, and hears
// of what the others did to one. The engine keeps them in one list. Control thread only.
#pragma once

#include "control/session/session.h"

namespace jvpn::session {

class Part {
 public:
  virtual ~Part() = default;

  /// Does what is due. Called for a living session whenever anything of it is due. False: the
  /// session has ended and is gone.
  virtual bool serve(Millis /*now*/, Session& /*session*/) { return true; }
  /// When serve() has work next; kNever: not before something happens.
  virtual Millis due(const Session& /*session*/) const { return kNever; }

  /// Rows were applied and the session lives.
  virtual void on_rows(Millis /*now*/, Session& /*session*/) {}
  /// A jump is committed: the session is bound to another binding, in most cases on another path.
  virtual void on_rebound(Millis /*now*/, Session& /*session*/, const Path& /*old_path*/) {}
  /// The session sends under new keys.
  virtual void on_new_keys(Millis /*now*/, Session& /*session*/) {}
};

}  // namespace jvpn::session
