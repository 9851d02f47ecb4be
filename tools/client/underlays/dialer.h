// Which path to dial next: every endpoint of the gateway over every underlay, in profile order,
// round and round until one answers.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "common/types.h"
#include "tools/client/underlays/candidates.h"

namespace jvpn::client::underlays {

/// Pure but for the lookup it is given. Time is a parameter.
class Dialer {
 public:
  /// `attempt`: how long a path may take to answer before the next one is tried.
  Dialer(size_t underlays, std::vector<Endpoint> endpoints, Millis attempt, FindPath find);

  /// When next() is due; Millis{UINT64_MAX} while attached.
  Millis due() const { return due_; }
  /// The path to dial now; nullopt when no underlay reaches any endpoint: then again a second
  /// later.
  std::optional<Path> next(Millis now);
  /// The gateway has these endpoints from now on: begins with the first.
  void set_endpoints(std::vector<Endpoint> endpoints);
  /// A path beside the candidates, which comes after each round of them, and next when it is new;
  /// nullopt: there is none. True: it is new.
  bool set_fallback(const std::optional<Path>& path);
  /// Have all candidates had their time, since the latest session or change of endpoints?
  bool exhausted(Millis now) const;
  /// A session stands: nothing is due.
  void attached() { due_ = Millis{UINT64_MAX}; }
  /// It ended: begins with the first candidate again, after a moment.
  void lost(Millis now);
  /// The host's links changed and the path that is being dialled is gone: the next one is due.
  void hurry(Millis now) { due_ = now; }

  /// Why candidates were passed over in the latest next(), one each.
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  size_t underlays_;
  std::vector<Endpoint> endpoints_;
  Millis attempt_;
  FindPath find_;
  size_t cursor_ = 0;
  std::optional<Path> fallback_;
  bool fallback_due_ = false;  ///< it is the next
  Millis due_{0};
  std::vector<std::string> findings_;
};

}  // namespace jvpn::client::underlays
