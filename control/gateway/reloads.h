// Reloads of the profile: a thread reads it, the control thread takes what it found into the
// running gateway. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/noise.h"
#include "common/profile.h"
#include "control/admin/admin_socket.h"
#include "control/admin/reload.h"
#include "control/gateway/peer_reload.h"
#include "control/gateway/profile_reader.h"

namespace jvpn::gateway {

class Reloads {
 public:
  /// Everything outlives it. `running`: the profile as the program started with it; the peers are
  /// those of the book.
  Reloads(const GatewayProfile& running, const PublicKey& own, const PeerReloadParts& parts)
      : running_(running), own_key_(own), parts_(parts) {}

  void set_load(ProfileReader::Load load) { reader_.set_load(std::move(load)); }
  /// Asks for a reload.
  void want() { reader_.want(); }
  /// The answer to an operator who asks for one.
  admin::AdminSocket::Answer answer();
  /// Goes on with it, by a slice. True: one has ended, whoever waits for it has an answer.
  bool poll(Millis now);
  /// One is being applied: poll() has work at once.
  bool applying() const { return applying_ != nullptr; }
  /// Of the latest, for `jvpn show`.
  nlohmann::json show(Millis now) const { return outcome_.show(now); }

 private:
  bool begin(Millis now);
  void finish(Millis now);

  const GatewayProfile& running_;
  const PublicKey& own_key_;
  PeerReloadParts parts_;
  ProfileReader reader_;
  ProfileReader::Reading* reading_ = nullptr;  ///< while it is applied
  std::unique_ptr<PeerReload> applying_;
  Millis begun_;           ///< of applying it
  nlohmann::json coming_;  ///< the answer, as far as it is known
  nlohmann::json last_;    ///< the answer for whoever waits for it
  uint64_t answered_ = 0;  ///< readings
  admin::ReloadOutcome outcome_;
};

}  // namespace jvpn::gateway
