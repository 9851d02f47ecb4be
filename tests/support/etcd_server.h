// A cluster of real etcd processes for a test: on loopback, on ports that nobody else gets, with
// data in a directory that goes with it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/file_descriptor.h"
#include "common/result.h"

namespace jvpn::test {

/// The processes end with it, and with the thread that started them. One thread.
class EtcdServers {
 public:
  struct Options {
    size_t members = 1;
    /// https, and clients need certificates. directory() then has ca.pem, client.pem and
    /// client.key, and other-ca.pem, which signed nothing but stranger.pem with stranger.key.
    bool tls = false;
    /// What the servers' certificates are for.
    std::string names = "IP:127.0.0.1";
  };

  /// Gives them when every member answers; at most 60 s. An Error has the end of a member's log.
  static Result<std::unique_ptr<EtcdServers>> start(const Options& options);
  ~EtcdServers();
  EtcdServers(const EtcdServers&) = delete;
  EtcdServers& operator=(const EtcdServers&) = delete;

  size_t size() const { return members_.size(); }
  /// `http://127.0.0.1:2379`.
  std::string endpoint(size_t member) const;
  std::vector<std::string> endpoints() const;
  const std::string& directory() const { return directory_; }
  /// CPU time of the members that run, all together.
  std::chrono::nanoseconds cpu_time() const;

  /// SIGKILL; gone when it returns.
  void kill(size_t member);
  /// SIGSTOP: its connections stay, nothing is answered. Stopped when it returns.
  void stop(size_t member);
  /// SIGCONT.
  void proceed(size_t member);
  /// After kill(): again, with the data that it had. Answers when it returns.
  Result<void> restart(size_t member);

 private:
  /// A port of loopback that stays ours while etcd listens on it, and before and after.
  struct Port {
    FileDescriptor holder;
    int number = 0;
  };
  struct Member {
    Port client;
    Port peer;
    Port metrics;
    pid_t pid = 0;  ///< 0: not running
  };

  explicit EtcdServers(const Options& options) : options_(options) {}
  static Result<Port> hold_port();
  Result<void> prepare();
  Result<void> make_certificates() const;
  std::vector<std::string> arguments(size_t member) const;
  Result<void> launch(size_t member);
  Result<void> await(size_t member);
  std::string log_file(size_t member) const;
  Error failure(size_t member, const std::string& what) const;

  Options options_;
  std::string directory_;
  std::vector<Member> members_;
};

}  // namespace jvpn::test
