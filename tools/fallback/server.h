// jvpn-fallback: takes TLS connections and joins each with a UDP socket towards the gateway. One
// thread, which sleeps in epoll alone; everything that clients can make it keep is bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "common/types.h"
#include "tools/fallback/counters.h"
#include "tools/fallback/credentials.h"
#include "tools/fallback/link.h"
#include "tools/fallback/network_quota.h"
#include "tools/fallback/options.h"

namespace jvpn::fallback {

class Server {
 public:
  /// Listens. An Error names the address that can't be had.
  static Result<std::unique_ptr<Server>> create(Options options, Credentials credentials);

  /// Until `signal_fd`, a signalfd(2), tells of another signal than SIGHUP, which reads the
  /// certificate anew.
  Result<void> run(int signal_fd);

  const Counters& counters() const { return counters_; }

 private:
  Server(Options options, Credentials credentials);
  Result<void> listen_at(const Endpoint& local);
  Result<void> watch(int fd, uint64_t tag);
  void take_signal();
  void reload();
  void accept_all(int listener);
  void accept_one(FileDescriptor socket, const Endpoint& client);
  Result<FileDescriptor> open_gateway() const;
  void serve(uint64_t tag, Millis now);
  void follow(size_t slot);
  void sweep(Millis now);
  void remove(size_t slot);
  void report(Millis now);

  Options options_;
  Credentials credentials_;
  FileDescriptor epoll_;
  std::vector<FileDescriptor> listeners_;
  std::vector<std::unique_ptr<Link>> links_;  ///< by slot; null: free
  std::vector<bool> writes_;                  ///< watched for writing, by slot
  std::vector<size_t> free_;
  std::vector<size_t> ended_;  ///< removed once all events of this turn are served
  NetworkQuota quota_;
  AcceptRate rate_;
  std::vector<uint8_t> scratch_;
  Counters counters_;
  Counters reported_;
  Millis report_due_{0};
  Millis sweep_due_{0};
  int signals_ = -1;
  bool stopping_ = false;
};

}  // namespace jvpn::fallback
