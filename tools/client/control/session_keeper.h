// Keeps a session with the gateway: dials while there is none, and logs what becomes of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/path.h"
#include "common/reason.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/control/socket_watch.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/underlays/dialer.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What to look at when attempts bring no session, for an operator; nullopt: they may yet do.
std::optional<std::string> why_no_session(const engine::DialView& dialling);

/// What the keeper works on; all of it outlives the keeper.
struct SessionKeeperParts {
  engine::SessionEngine& engine;
  const dataplane::DataPath& data_path;
  std::vector<underlays::Underlay>& underlays;
  SocketWatch& sockets;
  PathFinder& paths;
};

class SessionKeeper {
 public:
  SessionKeeper(underlays::Dialer dialer, SessionKeeperParts parts);

  /// When follow() has work by itself.
  Millis due() const { return given_up_ ? kNever : dialer_.due(); }
  /// Looks whether the session began or ended, and dials when an attempt is due. Call it after
  /// every input to the engine: the engine doesn't announce these changes.
  void follow(Millis now);
  /// The gateway has these endpoints from now on: without a session the first is dialled next.
  void set_endpoints(Millis now, std::vector<Endpoint> endpoints);
  bool has_session() const { return has_session_; }
  /// Without a session: has every path by UDP had its time to answer?
  bool udp_silent(Millis now) const { return !has_session_ && dialer_.exhausted(now); }
  /// A path by TCP that is up: without a session it is dialled after all others; nullopt: none is.
  void set_fallback(Millis now, const std::optional<Path>& path);
  /// Why there is no session, for people, as far as it is known. Empty: there is one, or it may
  /// come any moment.
  std::vector<std::string> troubles() const;
  /// The host's paths were looked up again: an attempt over a path that is gone ends at once.
  void paths_changed(Millis now);

 private:
  bool session_lives() const;
  void on_session_begun(Millis now);
  void on_session_ended(Millis now);
  void log_path();
  void dial(Millis now);
  void diagnose();
  void report(const std::vector<std::string>& findings);
  std::string last_end() const;
  Detail last_detail() const;
  std::optional<Path> committed_path() const;

  underlays::Dialer dialer_;
  SessionKeeperParts parts_;
  bool has_session_ = false;
  bool given_up_ = false;        ///< the gateway ended the session for good
  std::optional<Path> dialled_;  ///< the engine repeats its attempts there by itself
  std::optional<Path> logged_;   ///< the active path when log_path() last spoke
  bool logged_session_ = false;  ///< has_session_ at that time
  std::vector<std::string> reported_;
  bool diagnosed_ = false;  ///< why dialling fails, since the latest session
};

}  // namespace jvpn::client::control
