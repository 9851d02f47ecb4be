#include "tools/jvpn/save.h"

#include <cstdio>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "control/admin/peer_directory.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/peer_files.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

std::map<std::string, const Json*> by_name(const Json& peers) {
  std::map<std::string, const Json*> all;
  if (!peers.is_array()) return all;
  for (const Json& each : peers)
    if (each.is_object() && field(each, "name").is_string())
      all[each["name"].get<std::string>()] = &each;
  return all;
}

/// What differs between one peer as it runs and as its file says.
std::string changes_of(const Json& running, const Json& file) {
  std::string changed;
  const auto add = [&](const char* what, const std::string& runs, const std::string& says) {
    if (runs == says) return;
    changed += fmt::format("{}{} {}, the file says {}", changed.empty() ? "" : "; ", what,
                           runs.empty() ? "none" : runs, says.empty() ? "none" : says);
  };
  add("public key", text_of(running, "public_key"), text_of(file, "public_key"));
  add("allowed ips", list_of(field(running, "allowed_ips")), list_of(field(file, "allowed_ips")));
  add("endpoints", list_of(field(running, "endpoints")), list_of(field(file, "endpoints")));
  const auto state = [](const Json& peer) {
    return std::string(field(peer, "enabled") == false ? "disabled" : "enabled");
  };
  add("state", state(running), state(file));
  return changed;
}

/// All pages of what "peers" answers.
Result<Json> ask_peers(const std::string& socket_path) {
  Json all = Json::array();
  for (std::optional<uint64_t> from = 0; from;) {
    const auto page = ask_admin_json(socket_path, {{"command", "peers"}, {"from", *from}});
    if (!page) return page.error();
    for (const Json& each : field(*page, "peers")) all.push_back(each);
    const auto next = number_of(*page, "next");
    if (next && *next <= *from)
      return Error{"the answer from " + socket_path + " doesn't come to an end"};
    from = next;
  }
  return all;
}

int report_differences(const PeerCommand& command, const std::string& profile, size_t peers,
                       const std::vector<std::string>& all) {
  if (command.as_json) {
    const Json told{{"profile", profile}, {"peers", peers}, {"differences", all}};
    if (const int failed = print_text(told.dump() + '\n'); failed != 0) return failed;
    return all.empty() ? 0 : kRuntimeFailure;
  }
  if (all.empty())
    return print_text(
        fmt::format("nothing to save: the gateway runs as {} and its {} peers say (what is in "
                    "preshared keys isn't compared)\n",
                    profile, peers));
  std::string text;
  for (const std::string& each : all) text += each + '\n';
  if (const int failed = print_text(text); failed != 0) return failed;
  return complain(
      "nothing was written: a gateway has no peer that it didn't read from a file, so the files "
      "have changed since. jvpn sync makes the gateway what they say; to keep a peer as it runs, "
      "write its file again (jvpn peer add)");
}

}  // namespace

std::vector<std::string> peer_differences(const Json& running, const Json& files) {
  const auto run = by_name(running);
  const auto say = by_name(files);
  std::vector<std::string> all;
  for (const auto& [name, peer] : run) {
    const auto file = say.find(name);
    if (file == say.end())
      all.push_back(fmt::format("{}: runs, and no file has it", printable(name)));
    else if (const std::string changed = changes_of(*peer, *file->second); !changed.empty())
      all.push_back(fmt::format("{}: runs with {}", printable(name), changed));
  }
  for (const auto& [name, unused] : say)
    if (!run.contains(name))
      all.push_back(fmt::format("{}: has a file, and doesn't run", printable(name)));
  return all;
}

int run_save(const std::string& socket_path, bool as_json) {
  const PeerCommand command{socket_path, "", "", as_json};
  const auto files = PeerFiles::look(command);
  if (!files) return complain(files.error().message);
  if (!files->running()) {
    complain(fmt::format("no gateway runs with {}: the files are all that there is",
                         files->profile_path()));
    return kNotRunning;
  }
  GatewayProfile read = files->profile();
  const auto findings = admin::add_enrolled(read, files->profile_path());
  for (const std::string& each : findings) std::fprintf(stderr, "%s\n", each.c_str());
  if (!findings.empty()) return kBadProfile;
  const auto running = ask_peers(command.socket);
  if (!running) return complain(running.error().message);
  const auto shown = ask_admin_json(command.socket, {{"command", "show"}, {"sessions", false}});
  if (!shown) return complain(shown.error().message);
  Json say = Json::array();
  for (const PeerProfile& each : read.peers) say.push_back(peer_json(each));
  std::vector<std::string> all = peer_differences(*running, say);
  if (const auto version = number_of(*shown, "policy_version");
      version && *version != read.policy.version)
    all.push_back(fmt::format("policy: runs with version {}, the file says {}", *version,
                              read.policy.version));
  return report_differences(command, files->profile_path(), running->size(), all);
}

}  // namespace jvpn
