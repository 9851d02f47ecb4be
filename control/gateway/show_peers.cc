#include "control/gateway/show_peers.h"

#include <algorithm>
#include <string>
#include <utility>

namespace jvpn::gateway {
namespace {

// Of one page, so that it stays far below a millisecond.
constexpr size_t kPageCost = 384;  // a peer, or one of its prefixes
constexpr uint32_t kLookedAt = 2'048;
constexpr size_t kPlacesAtOnce = 64;
constexpr size_t kMostPools = 64;

template <typename Values>
nlohmann::json texts_of(const Values& values) {
  nlohmann::json texts = nlohmann::json::array();
  for (const auto& each : values) texts.push_back(to_string(each));
  return texts;
}

nlohmann::json peer_json(const admin::ConfiguredPeer& peer) {
  const PeerProfile& profile = peer.profile;
  return {{"name", profile.name},
          {"public_key", key_to_base64(profile.public_key)},
          {"preshared_key", peer.preshared.has_value()},
          {"allowed_ips", texts_of(profile.allowed_ips)},
          {"endpoints", texts_of(all_endpoints(profile))},
          {"enabled", !profile.disabled},
          {"enrolled", profile.enrolled}};
}

}  // namespace

nlohmann::json show_peers(const nlohmann::json& request, const PeerBook& book,
                          const TurnLimit& limit) {
  nlohmann::json answer{{"peers", nlohmann::json::array()}};
  if (const auto name = request.find("name"); name != request.end() && name->is_string()) {
    if (const auto id = book.named(name->get<std::string>()))
      answer["peers"].push_back(peer_json(*book.all()[id->value]));
    return answer;
  }
  const auto from = request.find("from");
  uint64_t id = from != request.end() && from->is_number_unsigned() ? from->get<uint64_t>() : 0;
  const uint64_t end = std::min<uint64_t>(book.size(), id + kLookedAt);
  for (size_t spent = 0; id < end; ++id) {
    const auto& peer = book.all()[id];
    if (!peer) continue;
    if (spent >= kPageCost || (spent != 0 && limit.spent())) break;
    answer["peers"].push_back(peer_json(*peer));
    spent += 8 + peer->profile.allowed_ips.size();
  }
  if (id < book.size()) answer["next"] = id;
  return answer;
}

Result<AddressChoice> AddressChoice::from(const nlohmann::json& request,
                                          const std::vector<IpAddress>& kept) {
  AddressChoice choice;
  const auto pools = request.find("pool");
  if (pools == request.end()) return choice;
  if (!pools->is_array() || pools->size() > kMostPools)
    return Error{"enrol: pool: expected an array of at most 64 networks"};
  for (const auto& each : *pools) {
    const auto pool = each.is_string() ? Prefix::parse(each.get<std::string>()) : std::nullopt;
    if (!pool || *pool != pool->network())
      return Error{"enrol: pool: expected networks with their host bits zero"};
    choice.searches_.emplace_back(pool->address.family, AddressSearch(*pool, kept));
  }
  return choice;
}

bool AddressChoice::go_on(const AddressUse& use) {
  if (searches_.empty()) return true;
  auto& [family, search] = searches_.front();
  const auto found = search.go_on(use, kPlacesAtOnce);
  if (!found && !search.ended()) return false;
  if (found) {
    found_.push_back(to_string(*found));
    std::erase_if(searches_, [family = family](const auto& each) { return each.first == family; });
  } else {
    searches_.pop_front();
  }
  return searches_.empty();
}

}  // namespace jvpn::gateway
