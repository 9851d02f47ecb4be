#include "tools/jvpn/show_peers.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

constexpr const char* kNothing = "(none)";

/// Objects of a list by a text in them; the last one of each, which is the latest.
std::unordered_map<std::string, const Json*> by_text(const Json& list, const char* name) {
  std::unordered_map<std::string, const Json*> found;
  if (!list.is_array()) return found;
  for (const Json& each : list)
    if (const Json& key = field(each, name); key.is_string())
      found.insert_or_assign(key.get<std::string>(), &each);
  return found;
}

std::string or_nothing(std::string text) {
  return text.empty() ? kNothing : std::move(text);
}

/// Where packets go, or where the gateway dials.
std::string endpoint_of(const Json& peer) {
  const Json& session = field(peer, "session");
  std::string remote = session.is_object() ? text_of(session, "remote") : "-";
  if (remote != "-") return remote;
  return or_nothing(list_of(field(peer, "endpoints")));
}

/// `1 minute, 4 seconds ago`: the two largest units, as wg has it.
std::string human_ago(uint64_t milliseconds) {
  struct Unit {
    const char* name;
    uint64_t seconds;
  };
  constexpr Unit kUnits[] = {{"day", 86'400}, {"hour", 3'600}, {"minute", 60}, {"second", 1}};
  uint64_t left = milliseconds / 1'000;
  std::string text;
  int told = 0;
  for (const Unit& unit : kUnits) {
    const uint64_t count = left / unit.seconds;
    left %= unit.seconds;
    if (count == 0 || told == 2) continue;
    text +=
        fmt::format("{}{} {}{}", told == 0 ? "" : ", ", count, unit.name, count == 1 ? "" : "s");
    ++told;
  }
  return told == 0 ? "now" : text + " ago";
}

std::string transfer_of(const Json& session) {
  const auto bytes = [&](const char* name) {
    return human_bytes(number_of(session, name).value_or(0));
  };
  return fmt::format("{} received, {} sent", bytes("rx_bytes"), bytes("tx_bytes"));
}

std::string state_of(const Json& peer) {
  if (field(peer, "enabled") == false) return "disabled";
  const Json& session = field(peer, "session");
  if (session.is_object())
    return fmt::format("{}, version {}", text_of(session, "state"),
                       text_of(session, "state_version"));
  const Json& ended = field(peer, "ended");
  const auto when = number_of(ended, "ms_ago");
  return when ? "no session, ended " + human_ago(*when) : "no session";
}

std::string reason_of(const Json& peer) {
  const Json& session = field(peer, "session");
  if (session.is_object()) return text_of(session, "reason");
  const Json& ended = field(peer, "ended");
  if (!ended.is_object()) return {};
  return fmt::format("{} ({})", text_of(ended, "reason"), text_of(ended, "detail"));
}

/// Of its session, else of the latest that ended; nullopt: none is known.
std::optional<uint64_t> handshake_age(const Json& peer) {
  const auto of_session = number_of(field(peer, "session"), "handshake_ms_ago");
  return of_session ? of_session : number_of(field(peer, "ended"), "handshake_ms_ago");
}

std::string paragraph(const Json& peer, bool with_colours) {
  std::string text =
      coloured({fmt::format("peer: {}", text_of(peer, "name")), Colour::kYellow}, with_colours) +
      '\n';
  const auto line = [&](const char* what, const std::string& value, Colour colour = Colour::kNone) {
    if (!value.empty())
      text += fmt::format("  {:<17} {}\n", fmt::format("{}:", what),
                          coloured({value, colour}, with_colours));
  };
  const Json& session = field(peer, "session");
  const auto handshake = handshake_age(peer);
  line("public key", text_of(peer, "public_key"));
  if (field(peer, "preshared_key") == true) line("preshared key", "(hidden)");
  line("endpoint", endpoint_of(peer));
  line("allowed ips", or_nothing(list_of(field(peer, "allowed_ips"))));
  line("latest handshake", handshake ? human_ago(*handshake) : "none that is remembered");
  line("state", state_of(peer),
       session.is_object() ? colour_of_state(text_of(session, "state")) : Colour::kNone);
  if (session.is_object()) {
    line("transfer", transfer_of(session));
    line("path", fmt::format("{} to {}", text_of(session, "local"), text_of(session, "remote")));
    line("quality",
         fmt::format("loss in {}, out {}; round trip {}", percent_of(session, "loss_in"),
                     percent_of(session, "loss_out"), milliseconds_of(session, "rtt_us")));
  }
  line("last reason", reason_of(peer));
  return text;
}

/// Of too many peers to be shown, those that have sessions, and then the first others.
void prefer_connected(Json& peers, const std::unordered_map<std::string, const Json*>& sessions,
                      const std::string& socket_path, size_t most) {
  Json chosen = Json::array();
  for (const auto& [name, session] : sessions) {
    if (chosen.size() == most) break;
    auto page = ask_admin_json(socket_path, {{"command", "peers"}, {"name", name}});
    if (!page) break;
    for (const Json& each : field(*page, "peers")) chosen.push_back(each);
  }
  for (Json& each : peers) {
    if (chosen.size() == most) break;
    if (!sessions.contains(each.value("name", ""))) chosen.push_back(std::move(each));
  }
  peers = std::move(chosen);
}

uint64_t age_of(const Json& peer) {
  return handshake_age(peer).value_or(UINT64_MAX);
}

}  // namespace

Result<void> add_peers(Json& reply, const std::string& socket_path, size_t most) {
  if (field(reply, "role") != "gateway") return {};
  Json all = Json::array();
  bool left = false;
  for (std::optional<uint64_t> from = 0; from && !left;) {
    auto page = ask_admin_json(socket_path, {{"command", "peers"}, {"from", *from}});
    if (!page) return page.error();
    for (const Json& each : field(*page, "peers")) {
      left = left || all.size() == most;
      if (!left) all.push_back(each);
    }
    const auto next = number_of(*page, "next");
    if (next && *next <= *from)
      return Error{"the answer from " + socket_path + " doesn't come to an end"};
    from = next;
  }
  const auto sessions = by_text(field(reply, "sessions"), "peer");
  if (left) prefer_connected(all, sessions, socket_path, most);
  const auto ended = by_text(field(reply, "terminated"), "peer");
  for (Json& peer : all) {
    const std::string name = peer.value("name", "");
    if (const auto at = sessions.find(name); at != sessions.end()) peer["session"] = *at->second;
    if (const auto at = ended.find(name); at != ended.end()) peer["ended"] = *at->second;
  }
  reply["peers"] = std::move(all);
  if (left) reply["peers_left"] = true;
  return {};
}

std::string render_peers(const Json& reply, bool with_colours) {
  const Json& list = field(reply, "peers");
  if (!list.is_array()) return {};
  if (list.empty()) return "\nno peers: jvpn peer add NAME enrols one\n";
  std::vector<const Json*> peers;
  for (const Json& each : list) peers.push_back(&each);
  std::ranges::stable_sort(peers, {}, [](const Json* each) { return age_of(*each); });
  std::string text;
  for (const Json* peer : peers) text += '\n' + paragraph(*peer, with_colours);
  if (field(reply, "peers_left") == true)
    text += fmt::format("\nmore peers than these {}: jvpn show dump has all\n", peers.size());
  return text;
}

std::string dump_peers(const Json& reply, uint64_t now_s) {
  std::string text = fmt::format("{}\t{}\t{}\t{}\n", text_of(reply, "node"), text_of(reply, "role"),
                                 text_of(reply, "uptime_ms"), text_of(reply, "policy_version"));
  const Json& list = field(reply, "peers");
  if (!list.is_array()) return text;
  for (const Json& peer : list) {
    const Json& session = field(peer, "session");
    const auto handshake = handshake_age(peer);
    std::string allowed = list_of(field(peer, "allowed_ips"));
    std::erase(allowed, ' ');
    std::string endpoint = endpoint_of(peer);
    std::erase(endpoint, ' ');
    const std::string state =
        field(peer, "enabled") == false ? "disabled" : text_of(session, "state");
    text += fmt::format(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\toff\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", text_of(peer, "name"),
        text_of(peer, "public_key"), field(peer, "preshared_key") == true ? "(hidden)" : kNothing,
        endpoint, or_nothing(allowed), handshake ? now_s - *handshake / 1'000 : 0,
        number_of(session, "rx_bytes").value_or(0), number_of(session, "tx_bytes").value_or(0),
        state, text_of(session, "state_version"), text_of(session, "local"),
        text_of(session, "loss_in"), text_of(session, "loss_out"), text_of(session, "rtt_us"),
        text_of(session, "reason"));
  }
  return text;
}

int run_dump(const std::string& socket_path) {
  auto reply = ask_show(socket_path);
  if (!reply) return complain(reply.error().message);
  if (auto added = add_peers(*reply, socket_path, SIZE_MAX); !added)
    return complain(added.error().message);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  return print_text(dump_peers(*reply, static_cast<uint64_t>(now_s)));
}

}  // namespace jvpn
