// jvpnd in a process of its own, on two memif ports whose sockets lie in a private folder. Ends
// with this object, at the latest with this process. One thread.
//
//   wan0 192.0.2.1/24  ══ memif ══  the peer, 192.0.2.2, inside it 10.77.0.2
//   lan  10.99.0.1/24  ══ memif ══  a LAN host, 10.99.0.2
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/noise.h"
#include "common/policy.h"
#include "common/result.h"
#include "common/types.h"
#include "perf/harness/child_process.h"
#include "perf/harness/hugepages.h"

namespace jvpn::perf {

struct GatewayOptions {
  PublicKey peer{};  ///< who may have a session
  Suite suite = Suite::kAes128Gcm;
  unsigned ring = 0;  ///< packets in a port's ring, either direction: a power of two ≤ 16384
};

class GatewayProcess {
 public:
  /// Starts it, one worker that polls on CPU 1, control on CPU 0, and waits until it answers: a
  /// memif client that comes earlier is turned away for good. On 2 MB pages that it asks of the
  /// kernel, if it gets them.
  static Result<std::unique_ptr<GatewayProcess>> start(const GatewayOptions& options);
  ~GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  const PublicKey& public_key() const { return public_key_; }
  bool hugepages() const { return hugepages_.has_value(); }
  /// Of port `wan0` or `lan`.
  std::string memif_socket(const std::string& port) const;
  /// False once it has ended, and what it said last.
  bool alive() { return process_->alive(); }
  std::string last_messages() const;

 private:
  GatewayProcess() = default;
  Result<void> write_files(const GatewayOptions& options);
  Result<void> launch();
  Result<void> wait_ready();

  std::string folder_;
  PublicKey public_key_{};
  std::optional<HugepageReservation> hugepages_;  ///< goes back when the process has ended
  std::unique_ptr<ChildProcess> process_;
};

/// The policy of both ends, so that overload and its losses end no session.
Policy lasting_policy();

}  // namespace jvpn::perf
