#include "control/gateway/reloads.h"

#include <algorithm>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

namespace jvpn::gateway {

admin::AdminSocket::Answer Reloads::answer() {
  if (!reader_.can_read()) return nlohmann::json{{"error", "reload: there is no profile to read"}};
  return [this, number = reader_.want()]() -> std::optional<nlohmann::json> {
    if (answered_ < number) return std::nullopt;
    return last_;
  };
}

bool Reloads::poll(Millis now) {
  if (!applying_) {
    reading_ = reader_.poll(now);
    if (reading_ == nullptr) return false;
    begun_ = now;
    if (!begin(now)) {
      finish(now);
      return true;
    }
  }
  if (!applying_->go_on(now)) return false;
  coming_["reloaded"]["peers"] = applying_->result();
  applying_.reset();
  finish(now);
  return true;
}

/// All of it, or nothing: the policy holds from here on, the peers follow. False: it is refused.
bool Reloads::begin(Millis now) {
  const Result<admin::LoadedGateway>& found = reading_->found;
  if (!found) {
    coming_ = outcome_.refuse(parts_.engine, now, found.error().message);
    return false;
  }
  const GatewayProfile& profile = found->profile;
  auto peers = std::make_unique<PeerReload>(parts_, *reading_->peers, *reading_->comparison);
  auto refusal = admin::refuse_version(parts_.engine.policy(), profile.policy, found->path,
                                       profile.policy_version);
  if (!refusal) refusal = peers->refusal(reading_->named, found->path, own_key_);
  if (refusal) {
    coming_ = outcome_.refuse(parts_.engine, now, refusal->message);
    return false;
  }
  std::vector<std::string> waiting = admin::keys_for_restart(running_, profile);
  const bool other_key = reading_->own != own_key_;
  if (other_key && std::ranges::find(waiting, admin::kOwnKey) == waiting.end())
    waiting.emplace_back(admin::kOwnKey);
  coming_ = outcome_.accept(parts_.engine, now, profile.policy, std::move(waiting));
  applying_ = std::move(peers);
  return true;
}

void Reloads::finish(Millis now) {
  if (const auto error = coming_.find("error"); error != coming_.end()) {
    spdlog::error("reload refused, no new session until a valid profile is loaded:\n{}",
                  error->get<std::string>());
  } else {
    coming_["reloaded"]["read_ms"] = (begun_ - reading_->begun).value;
    coming_["reloaded"]["applied_ms"] = (now - begun_).value;
    spdlog::info("reloaded: {}", coming_["reloaded"].dump());
  }
  last_ = std::exchange(coming_, {});
  reading_ = nullptr;
  reader_.release();
  ++answered_;
}

}  // namespace jvpn::gateway
