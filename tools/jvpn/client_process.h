// A client that `jvpn up` starts and `jvpn down` ends: systemd's jvpn-client@NAME where systemd
// runs and the profile is /etc/jvpn/NAME.yaml, else a process of its own that a file in /run/jvpn
// remembers.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/result.h"

namespace jvpn {

/// Who it is.
struct ClientName {
  std::string name;     ///< letters, digits and `_ - .`
  std::string key;      ///< names its files in /run/jvpn: the name, or the profile's path
  std::string profile;  ///< its path
  bool by_systemd = false;
};

/// `word` is a name, whose profile is /etc/jvpn/NAME.yaml, or, with a slash or an ending `.yaml`, a
/// profile's path. An Error: it is neither.
Result<ClientName> find_client(const std::string& word);

class ClientProcess {
 public:
  explicit ClientProcess(ClientName who) : who_(std::move(who)) {}

  const ClientName& who() const { return who_; }
  /// It runs, whether or not it has a session.
  bool runs() const;
  /// Starts it and doesn't wait for more than that.
  Result<void> start();
  /// Asks it to end and waits; kills it when it doesn't within `patience`. True: it ran.
  Result<bool> stop(std::chrono::seconds patience);
  /// Takes away what it left of routes, rules and name servers: nothing after a regular end.
  Result<std::string> release() const;
  /// The latest lines that it wrote, for people.
  std::vector<std::string> last_lines(size_t count) const;

 private:
  std::string unit() const { return "jvpn-client@" + who_.name; }
  std::string pid_file() const;
  std::string log_file() const;
  Result<void> start_process();
  Result<bool> stop_process(std::chrono::seconds patience);

  ClientName who_;
};

}  // namespace jvpn
