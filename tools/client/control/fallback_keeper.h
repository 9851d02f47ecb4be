// Sessions by TCP where no UDP passes: connects while no UDP path carries the session, hands the
// connection to the engine as one more path, and hangs up once UDP carries it again. Which path is
// taken the engine decides, as ever.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/types.h"
#include "control/engine/engine.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/control/session_keeper.h"
#include "tools/client/control/socket_watch.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

/// What the keeper works on; all of it outlives the keeper.
struct FallbackKeeperParts {
  const engine::SessionEngine& engine;
  const dataplane::DataPath& data_path;
  std::vector<underlays::Underlay>& underlays;
  SocketWatch& sockets;
  PathFinder& paths;
  SessionKeeper& keeper;
};

class FallbackKeeper {
 public:
  /// `endpoints`: where it connects to, by preference; empty: never.
  FallbackKeeper(std::vector<Endpoint> endpoints, FallbackKeeperParts parts);

  /// When follow() has work by itself.
  Millis due() const { return due_; }
  /// Looks whether TCP is needed, and what has become of connections. Call it once in a turn, after
  /// everything that may have changed paths: it frees what failed links have received.
  void follow(Millis now);
  /// Why there is no connection, for people, while one is wanted; empty: none is, or it may come
  /// any moment.
  std::vector<std::string> troubles() const;

 private:
  struct Way {
    size_t underlay = 0;  ///< place in the parts' list
    size_t endpoint = 0;  ///< the next to try
    Millis retry{0};
    Millis pause{0};
    bool was_up = false;
    std::string reported;
    Millis up_since{0};  ///< while was_up
  };

  bool needed(Millis now);
  void note_path(Millis now);
  void leave_unanswered(Millis now, Way& way);
  void follow_link(Millis now, Way& way);
  void dial(Millis now, Way& way);
  void on_failure(Millis now, Way& way, const std::string& why);
  bool hang_up_others(Millis now);
  underlays::TcpLink& link(const Way& way) const { return *parts_.underlays[way.underlay].tcp(); }

  std::vector<Endpoint> endpoints_;
  FallbackKeeperParts parts_;
  std::vector<Way> ways_;
  Millis due_{0};
  bool wanted_ = false;              ///< since the latest follow()
  std::optional<Path> last_path_;    ///< that carried the session
  std::optional<Millis> pathless_;   ///< a session lives, and has had no path since
  std::optional<Millis> udp_since_;  ///< UDP has carried it since
};

}  // namespace jvpn::client::control
