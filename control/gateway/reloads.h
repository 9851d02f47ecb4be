// Reloads of the profile, or of one peer's own file: a thread reads it, the control thread takes
// what it found into the running gateway. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
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
      : running_(running), own_key_(own), parts_(parts), directory_(running.enrolment.directory) {}

  void set_load(ProfileReader::Load load) { reader_.set_load(std::move(load)); }
  /// Asks for a reload.
  void want() { reader_.want(); }
  /// The answer to an operator who asks for one.
  admin::AdminSocket::Answer answer();
  /// The answer to an operator who asks that one peer be made as its file says, beside all others
  /// as they run; without a file it goes. Only the peer's file is read. A refusal changes nothing.
  admin::AdminSocket::Answer answer_peer(const std::string& name);
  /// Where peers have files of their own, by the latest profile.
  const std::string& directory() const { return directory_; }
  /// Goes on with it, by a slice. True: one has ended, whoever waits for it has an answer.
  bool poll(Millis now);
  /// One is being applied: poll() has work at once.
  bool applying() const { return applying_ != nullptr; }
  /// Of the latest, for `jvpn show`.
  nlohmann::json show(Millis now) const { return outcome_.show(now); }

 private:
  bool begin(Millis now);
  bool begin_peer();
  std::optional<Error> refuse(const ProfileReader::OnePeer& one, const PeerReload& peers) const;
  void finish(Millis now);
  void finish_peer(Millis now);

  const GatewayProfile& running_;
  const PublicKey& own_key_;
  PeerReloadParts parts_;
  ProfileReader reader_;
  std::string directory_;
  using Slot = std::shared_ptr<std::optional<nlohmann::json>>;
  std::deque<Slot> asked_;  ///< answers to the peers that reader_ was asked for, in that order
  ProfileReader::Reading* reading_ = nullptr;  ///< while it is applied
  std::unique_ptr<PeerReload> applying_;
  std::optional<admin::PeerComparison> one_;  ///< that applying_ uses, for a peer alone
  Millis begun_;                              ///< of applying it
  nlohmann::json coming_;                     ///< the answer, as far as it is known
  nlohmann::json last_;                       ///< the answer for whoever waits for it
  uint64_t answered_ = 0;                     ///< readings
  admin::ReloadOutcome outcome_;
};

}  // namespace jvpn::gateway
