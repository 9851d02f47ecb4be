#include "tools/jvpn/orders.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"

namespace jvpn {

using Json = nlohmann::json;

int run_reload(const std::string& socket_path, bool as_json) {
  const auto reply = ask_admin_json(socket_path, Json{{"command", "reload"}}, kReadingPatience);
  if (!reply) {
    // Findings name their place themselves.
    std::fprintf(stderr, "%s\n", reply.error().message.c_str());
    return 1;
  }
  const Json& done = field(*reply, "reloaded");
  const std::string waiting = list_of(field(done, "needs_restart"));
  std::string text = reply->dump() + '\n';
  if (!as_json) {
    text = fmt::format("policy version {} is in force\n", text_of(done, "policy_version"));
    if (const Json& peers = field(done, "peers"); peers.is_object())
      text += fmt::format("peers: {} added, {} removed, {} changed\n", text_of(peers, "added"),
                          text_of(peers, "removed"), text_of(peers, "changed"));
  }
  if (const int printed = print_text(text); printed != 0) return printed;
  if (const std::string failed = list_of(field(field(done, "peers"), "failed")); !failed.empty())
    return complain("not all of it could be applied, restart the program: " + failed);
  if (waiting.empty()) return 0;
  complain("changed in the profile, but only a restart applies it: " + waiting);
  return kNeedsRestart;
}

int run_terminate(const std::string& socket_path, const std::string& peer, bool as_json) {
  const auto reply = ask_admin_json(socket_path, Json{{"command", "terminate"}, {"peer", peer}});
  if (!reply) return complain(reply.error().message);
  if (as_json) return print_text(reply->dump() + '\n');
  return print_text(fmt::format("ended the session with {}\n", text_of(*reply, "terminated")));
}

}  // namespace jvpn
