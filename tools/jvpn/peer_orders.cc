#include "tools/jvpn/peer_orders.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/peer_file.h"
#include "control/admin/peer_directory.h"
#include "control/admin/profile_file.h"
#include "control/files/whole_file.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/text_table.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/peer_bundle.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;
using files::Existing;
using files::write_whole;

constexpr mode_t kSecretMode = 0600;
constexpr std::string_view kSwitch = "enabled:";

/// What the gateway said, as text or JSON. Gives the exit status.
int report(const PeerCommand& command, const Result<Json, PeerFiles::Refusal>* applied,
           const std::string& done) {
  Json told{{"name", command.name}, {"applied", applied != nullptr}};
  std::string text = done;
  if (applied != nullptr) {
    const Json& peer = field(**applied, "peer");
    told.update(peer);
    text += fmt::format(" (the gateway has applied it: {})\n", text_of(peer, "what"));
  } else {
    text += "; no gateway runs with these files: it is applied when one starts\n";
  }
  if (const int printed = print_text(command.as_json ? told.dump() + '\n' : text); printed != 0)
    return printed;
  if (applied == nullptr) return kNotRunning;
  const std::string failed = list_of(field(field(**applied, "peer"), "failed"));
  return failed.empty() ? 0 : complain("not all of it could be applied: " + failed);
}

/// Applies the peer's file, when a gateway runs. `undo` takes back what was written, when it is
/// refused.
template <typename Undo>
int apply_and_report(const PeerFiles& files, const PeerCommand& command, const std::string& done,
                     Undo undo) {
  if (!files.running()) return report(command, nullptr, done);
  const auto applied = files.apply(command.name);
  if (applied) return report(command, &applied, done);
  const auto& refusal = applied.error();
  if (!refusal.certain)
    return complain(
        fmt::format("{}; the files are changed, and whether the gateway has taken it "
                    "isn't known: jvpn sync makes it so",
                    refusal.why));
  undo();
  std::fprintf(stderr, "%s\n", refusal.why.c_str());
  return complain("the gateway refuses it; nothing has changed");
}

std::optional<std::string> text_of_file(const std::string& path) {
  auto text = admin::read_text_file(path);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

/// The same file with `enabled` as it shall be; nullopt when it isn't written so that a line can be
/// changed.
std::optional<std::string> switched(const std::string& text, const std::string& path,
                                    const std::string& name, bool enabled) {
  std::string changed;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view line = std::string_view(text).substr(at, end - at);
    if (!line.starts_with(kSwitch)) changed += line;
    at = end;
  }
  if (!changed.empty() && changed.back() != '\n') changed += '\n';
  if (!enabled) changed += fmt::format("{} false\n", kSwitch);
  const auto read = parse_peer_file(changed, path, name);
  if (!read || read->peer.disabled == enabled) return std::nullopt;
  return changed;
}

int set_enabled(const PeerCommand& command, bool enabled) {
  const auto files = PeerFiles::open(command);
  if (!files) return complain(files.error().message);
  const std::string path = files->file(command.name);
  const auto text = files->has(command.name) ? text_of_file(path) : std::nullopt;
  if (!text) return complain(files->no_such_peer(command.name).message);
  const auto fresh = switched(*text, path, command.name, enabled);
  if (!fresh)
    return complain(
        fmt::format("{}: expected a sound file of lines `key: value`: jvpn check {} "
                    "says what is wrong, or set `enabled: {}` by hand",
                    path, files->profile_path(), enabled));
  if (auto written = write_whole(path, *fresh, kSecretMode, Existing::kReplace); !written)
    return complain(written.error().message);
  return apply_and_report(*files, command,
                          fmt::format("{} {}", command.name, enabled ? "enabled" : "disabled"),
                          [&] { (void)write_whole(path, *text, kSecretMode, Existing::kReplace); });
}

std::string peer_lines(const Json& peer) {
  const auto line = [](const char* what, const std::string& value) {
    return value.empty() ? std::string() : fmt::format("  {}: {}\n", what, value);
  };
  return fmt::format("peer: {}\n", text_of(peer, "name")) +
         line("public key", text_of(peer, "public_key")) +
         line("endpoint", list_of(field(peer, "endpoints"))) +
         line("allowed ips", list_of(field(peer, "allowed_ips"))) +
         line("state", field(peer, "enabled") == true ? "enabled" : "disabled");
}

}  // namespace

int run_peer_remove(const PeerCommand& command) {
  const auto files = PeerFiles::open(command);
  if (!files) return complain(files.error().message);
  if (!files->has(command.name)) return complain(files->no_such_peer(command.name).message);
  const std::string path = files->file(command.name);
  const auto text = text_of_file(path);
  if (auto removed = files::remove_file(path); !removed) return complain(removed.error().message);
  const int status = apply_and_report(*files, command, command.name + " removed", [&] {
    if (text) (void)write_whole(path, *text, kSecretMode, Existing::kKeep);
  });
  // Once nobody reads it any more.
  if (status == 0 || status == kNotRunning)
    (void)files::remove_file(files->beside(preshared_key_file(command.name)));
  return status;
}

int run_peer_disable(const PeerCommand& command) {
  return set_enabled(command, false);
}

int run_peer_enable(const PeerCommand& command) {
  return set_enabled(command, true);
}

int run_peer_list(const PeerCommand& command) {
  const auto files = PeerFiles::look(command);
  if (!files) return complain(files.error().message);
  GatewayProfile all = files->profile();
  const auto findings = admin::add_enrolled(all, files->profile_path());
  if (command.as_json) {
    Json list = Json::array();
    for (const PeerProfile& peer : all.peers) list.push_back(peer_json(peer));
    if (const int printed = print_text(Json{{"peers", list}}.dump() + '\n'); printed != 0)
      return printed;
  } else {
    TextTable table({"PEER", "PUBLIC KEY", "ALLOWED IPS", "STATE"});
    for (const PeerProfile& peer : all.peers)
      table.add({{peer.name},
                 {key_to_base64(peer.public_key)},
                 {list_of(peer_json(peer)["allowed_ips"])},
                 {peer.disabled ? "disabled" : "enabled",
                  peer.disabled ? Colour::kYellow : Colour::kGreen}});
    if (const int printed = print_text(table.render(wants_colours())); printed != 0) return printed;
  }
  for (const std::string& each : findings) std::fprintf(stderr, "%s\n", each.c_str());
  return findings.empty() ? 0 : kBadProfile;
}

int run_peer_show(const PeerCommand& command) {
  const auto files = PeerFiles::look(command);
  if (!files) return complain(files.error().message);
  const auto print = [&](const PeerProfile& peer) {
    const Json json = peer_json(peer);
    return print_text(command.as_json ? json.dump() + '\n' : peer_lines(json));
  };
  for (const PeerProfile& peer : files->profile().peers)
    if (peer.name == command.name) return print(peer);
  if (!is_peer_file_name(command.name) || !files->has(command.name))
    return complain(files->no_such_peer(command.name).message);
  const auto read = admin::read_peer_file(files->directory(), command.name);
  if (!read) {
    std::fprintf(stderr, "%s\n", read.error().message.c_str());
    return kBadProfile;
  }
  if (!*read) return complain(files->no_such_peer(command.name).message);
  return print((*read)->peer);
}

}  // namespace jvpn
