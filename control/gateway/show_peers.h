// What the operator's commands ask about configured peers. Control thread only.
#pragma once

#include <deque>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/address_use.h"
#include "common/result.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/turn_limit.h"

namespace jvpn::gateway {

/// `{"peers": […], "next"}`: a page of what is configured, from the id on that the request names by
/// `from`; or the one peer that it names by `name`. No secrets. As much as a turn has time for.
nlohmann::json show_peers(const nlohmann::json& request, const PeerBook& book,
                          const TurnLimit& limit);

/// The search for one free address of each family, in slices.
class AddressChoice {
 public:
  /// The pools are those that the request names by `pool`; `kept` are given to nobody.
  static Result<AddressChoice> from(const nlohmann::json& request,
                                    const std::vector<IpAddress>& kept);
  /// False: there is more to look at.
  bool go_on(const AddressUse& use);
  /// An array of host prefixes.
  const nlohmann::json& found() const { return found_; }

 private:
  std::deque<std::pair<Family, AddressSearch>> searches_;
  nlohmann::json found_ = nlohmann::json::array();
};

}  // namespace jvpn::gateway
