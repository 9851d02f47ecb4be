#include "control/gateway/reloads.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "common/peer_file.h"
#include "common/printable.h"
#include "control/admin/peer_directory.h"

namespace jvpn::gateway {
namespace {

constexpr size_t kMaxAsked = 64;  ///< peers that wait to be read

std::string what_became(const admin::PeerDiff& diff, bool was_disabled, bool disabled) {
  if (!diff.added.empty() && disabled) return "disabled";
  if (!diff.added.empty() && was_disabled) return "enabled";
  if (!diff.added.empty()) return diff.removed.empty() ? "added" : "replaced";
  if (!diff.removed.empty()) return "removed";
  return diff.changed.empty() ? "unchanged" : "changed";
}

}  // namespace

admin::AdminSocket::Answer Reloads::answer() {
  if (!reader_.can_read()) return nlohmann::json{{"error", "reload: there is no profile to read"}};
  return [this, number = reader_.want()]() -> std::optional<nlohmann::json> {
    if (answered_ < number) return std::nullopt;
    return last_;
  };
}

admin::AdminSocket::Answer Reloads::answer_peer(const std::string& name) {
  if (!is_peer_file_name(name))
    return nlohmann::json{{"error", fmt::format("peer: expected {}", kPeerNameForm)}};
  if (directory_.empty() || asked_.size() == kMaxAsked)
    return nlohmann::json{{"error", "peer: too many are waiting to be read, try again"}};
  const auto slot = asked_.emplace_back(std::make_shared<std::optional<nlohmann::json>>());
  reader_.want_peer(directory_, name, own_key_);
  return [slot] { return *slot; };
}

bool Reloads::poll(Millis now) {
  if (!applying_) {
    reading_ = reader_.poll(now);
    if (reading_ == nullptr) return false;
    begun_ = now;
    if (!(reading_->one ? begin_peer() : begin(now))) {
      finish(now);
      return true;
    }
  }
  if (!applying_->go_on(now)) return false;
  nlohmann::json done = applying_->result();
  if (!reading_->one)
    coming_["reloaded"]["peers"] = std::move(done);
  else if (done.contains("failed"))
    coming_["peer"]["failed"] = std::move(done["failed"]);
  applying_.reset();
  finish(now);
  return true;
}

/// Why the gateway can't have the peer as its file says, beside the others as they run.
std::optional<Error> Reloads::refuse(const ProfileReader::OnePeer& one,
                                     const PeerReload& peers) const {
  const PeerBook& book = parts_.book;
  const std::string file = admin::peer_file_path(one.directory, one.name);
  const auto finding = [&](const char* key, const char* expected, std::string_view value,
                           PeerId other) {
    return Error{profile_finding(file, {1, 1}, key, expected,
                                 fmt::format("{} (as peer {})", value, book.name(other)))};
  };
  const auto id = book.named(one.name);
  if (id && !book.find(*id)->enrolled)
    return finding("name", "a name that no peer of the profile itself has", one.name, *id);
  if (one.peers->size() == 0) return std::nullopt;
  const PeerProfile& fresh = one.peers->at(0).profile;
  if (!id && book.room() == 0)
    return Error{profile_finding(
        file, {1, 1}, "peer",
        fmt::format("at most {} peers (limits.sessions when jvpnd started; restart it with more)",
                    book.capacity()),
        "one more")};
  if (const auto other = book.keyed(fresh.public_key); other && other != id)
    return finding("public_key", "a public key that no other peer has",
                   key_to_base64(fresh.public_key), *other);
  AddressUse::Sizes in_use = book.addresses().sizes();
  for (const Prefix& prefix : fresh.allowed_ips) {
    const auto other = book.addresses().owner(prefix);
    if (other && PeerId{*other} != id)
      return finding("allowed_ips", "a prefix that no other peer has", to_string(prefix),
                     PeerId{*other});
    if (!other) in_use.count(prefix);
  }
  RouteTable::Sizes named = named_routes(running_);  // of its ports
  named.hosts_v4 += in_use.hosts_v4;
  named.hosts_v6 += in_use.hosts_v6;
  named.prefixes_v4 += in_use.prefixes_v4;
  named.prefixes_v6 += in_use.prefixes_v6;
  return peers.refusal(named, file, own_key_);
}

/// False: it is refused.
bool Reloads::begin_peer() {
  ProfileReader::OnePeer& one = *reading_->one;
  if (!one.found) {
    coming_ = {{"error", one.found.error().message}};
    return false;
  }
  const auto id = parts_.book.named(one.name);
  const admin::ConfiguredPeer* runs = id ? &*parts_.book.all()[id->value] : nullptr;
  one_.emplace(admin::PeerComparison::of_one(*one.peers, id, runs));
  auto peers = std::make_unique<PeerReload>(parts_, *one.peers, *one_);
  if (const auto refusal = refuse(one, *peers)) {
    coming_ = {{"error", refusal->message}};
    return false;
  }
  const bool disabled = one.peers->size() == 1 && one.peers->at(0).profile.disabled;
  const bool was_disabled = runs != nullptr && runs->profile.disabled;
  coming_ = {
      {"peer", {{"name", one.name}, {"what", what_became(one_->diff(), was_disabled, disabled)}}}};
  applying_ = std::move(peers);
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
  const Policy policy = admin::policy_in_reach(running_, profile);
  auto refusal =
      admin::refuse_version(parts_.engine.policy(), policy, found->path, profile.policy_version);
  if (!refusal) refusal = peers->refusal(reading_->named, found->path, own_key_);
  if (refusal) {
    coming_ = outcome_.refuse(parts_.engine, now, refusal->message);
    return false;
  }
  std::vector<std::string> waiting = admin::keys_for_restart(running_, profile);
  const bool other_key = reading_->own != own_key_;
  if (other_key && std::ranges::find(waiting, admin::kOwnKey) == waiting.end())
    waiting.emplace_back(admin::kOwnKey);
  directory_ = profile.enrolment.directory;
  coming_ = outcome_.accept(parts_.engine, now, policy, std::move(waiting));
  applying_ = std::move(peers);
  return true;
}

void Reloads::finish_peer(Millis now) {
  const std::string name = printable(reading_->one->name);
  if (const auto error = coming_.find("error"); error != coming_.end()) {
    spdlog::error("peer {}: not applied:\n{}", name, error->get<std::string>());
  } else {
    coming_["peer"]["read_ms"] = (begun_ - reading_->begun).value;
    coming_["peer"]["applied_ms"] = (now - begun_).value;
  }
  *asked_.front() = std::exchange(coming_, {});
  asked_.pop_front();
  reading_ = nullptr;
  reader_.release();
}

void Reloads::finish(Millis now) {
  if (reading_->one) return finish_peer(now);
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
