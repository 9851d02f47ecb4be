#include "tools/jvpn/route_book.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

Error not_understood(std::string_view line) {
  return Error{"the gateway's answer isn't understood; is it of another version? " +
               printable(line.substr(0, 100))};
}

}  // namespace

Result<void> RouteBook::take(std::string_view text) {
  const Json line = Json::parse(text, nullptr, false);
  if (const Json& error = field(line, "error"); error.is_string())
    return Error{printable_lines(error.get_ref<const std::string&>())};
  if (field(line, "silent") == true)
    return lose("the gateway is silent: it can't prove that its sessions are its own");
  lost_.clear();
  if (field(line, "alive") == true) return {};
  if (field(line, "synced") == true) return sink_.synced(owners_.size());
  const bool of_peer = number_of(line, "peer").value_or(UINT64_MAX) <= UINT32_MAX;
  if (!of_peer || !field(line, "routes").is_array()) return not_understood(text);
  return take_peer(line);
}

/// A peer's lines come one after the other; they begin again when it changes between them.
Result<void> RouteBook::take_peer(const Json& line) {
  const uint64_t from = number_of(line, "from").value_or(0);
  if (from == 0) coming_ = {};
  if (from != coming_.prefixes.size()) return not_understood(line.dump());
  for (const Json& each : field(line, "routes")) {
    const auto prefix =
        each.is_string() ? Prefix::parse(each.get_ref<const std::string&>()) : std::nullopt;
    if (!prefix) return not_understood(line.dump());
    coming_.prefixes.push_back(prefix->network());
  }
  if (field(line, "more") == true) return {};
  coming_.name = text_of(line, "name");
  return replace(static_cast<uint32_t>(*number_of(line, "peer")), std::exchange(coming_, {}));
}

Result<void> RouteBook::replace(uint32_t id, Peer peer) {
  std::ranges::sort(peer.prefixes);
  const Peer before = std::exchange(peers_[id], std::move(peer));
  const Peer& now = peers_[id];
  for (const Prefix& prefix : before.prefixes) {
    if (std::ranges::binary_search(now.prefixes, prefix)) continue;
    if (auto gone = withdraw(id, before, prefix); !gone) return gone;
  }
  for (const Prefix& prefix : now.prefixes) {
    const auto [at, fresh] = owners_.try_emplace(prefix, id);
    at->second = id;
    if (!fresh) continue;
    if (auto added = sink_.add(prefix, now.name); !added) return added;
  }
  if (now.prefixes.empty()) peers_.erase(id);
  return {};
}

/// Unless it has gone over to another peer.
Result<void> RouteBook::withdraw(uint32_t id, const Peer& from, const Prefix& prefix) {
  const auto at = owners_.find(prefix);
  if (at == owners_.end() || at->second != id) return {};
  owners_.erase(at);
  return sink_.withdraw(prefix, from.name);
}

Result<void> RouteBook::lose(const std::string& why) {
  if (why == lost_) return {};
  lost_ = why;
  coming_ = {};
  for (const auto& [prefix, owner] : std::exchange(owners_, {}))
    if (auto gone = sink_.withdraw(prefix, peers_[owner].name); !gone) return gone;
  peers_.clear();
  return sink_.lost(why);
}

}  // namespace jvpn
