// The lab, brought up, broken and healed by a Python process (lab/jvpn_lab/driver.py): this side
// only sends it commands. One thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/file_descriptor.h"
#include "common/result.h"

namespace jvpn::perf {

/// What the lab told of itself when it was up.
struct LabFacts {
  std::string logs;  ///< folder of the programs' logs
  std::string gateway_socket;
  std::string client_socket;
  std::string server4;  ///< inside, in jvpn-lan
  std::string client4;  ///< inside, in jvpn-client
  std::string driver;
  unsigned workers = 0;
  std::vector<std::string> links;
};

class LabDriver {
 public:
  /// Starts the process, in a session of its own: a terminal's Ctrl-C is for us alone.
  static Result<std::unique_ptr<LabDriver>> start();
  /// Takes the lab down, however far it has come, and waits until that is done.
  ~LabDriver();
  LabDriver(const LabDriver&) = delete;
  LabDriver& operator=(const LabDriver&) = delete;

  /// Waits for whoever else uses the lab, then brings it up with one attached session.
  Result<LabFacts> up(const std::string& policy, double rtt_ms);
  /// `how`: down or silent.
  Result<void> cut(const std::string& link, const std::string& how);
  Result<void> heal(const std::string& link);
  /// The client appears from another port of the link.
  Result<void> rebind(const std::string& link);
  /// The least of some round trips to the gateway, outside the tunnel.
  Result<double> ping_ms(const std::string& link);

  // For `jvpn-perf peers` (lab/jvpn_lab/peers.py), instead of up().
  /// The packages that `peer` lacks; empty: none.
  Result<std::string> missing_packages(const std::string& peer);
  /// Waits for whoever else uses the lab, then makes its namespaces, without any tunnel.
  Result<void> prepare();
  /// A tunnel of `peer` through which the client reaches the server; one at a time.
  Result<void> tunnel(const std::string& peer);
  Result<void> end_tunnel(const std::string& peer);
  struct Stream {
    double gbps = 0;
    double cpu_s = 0;  ///< of the tunnel's two processes
  };
  /// One TCP stream from the client to the server.
  Result<Stream> stream(const std::string& peer, unsigned length_s);

 private:
  LabDriver(pid_t pid, FileDescriptor commands, FileDescriptor answers, FileDescriptor messages);
  Result<std::string> ask(const std::string& command, std::chrono::seconds limit);
  /// The last lines of what it wrote for people.
  std::string last_messages() const;

  pid_t pid_;
  FileDescriptor commands_;
  FileDescriptor answers_;
  FileDescriptor messages_;
  std::string pending_;  ///< of an answer, up to its line's end
};

}  // namespace jvpn::perf
