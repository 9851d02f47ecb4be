#include "tools/jvpn/orders.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"

namespace jvpn {

using Json = nlohmann::json;

int run_reload(const std::string& socket_path, bool as_json) {
  const auto reply = ask_admin_json(socket_path, Json{{"command", "reload"}});
  if (!reply) {
    // Findings name their place themselves.
    std::fprintf(stderr, "%s\n", reply.error().message.c_str());
    return 1;
  }
  if (as_json) return print_text(reply->dump() + '\n');
  const std::string version = text_of(field(*reply, "reloaded"), "policy_version");
  return print_text(fmt::format("policy version {} is in force\n", version));
}

int run_terminate(const std::string& socket_path, const std::string& peer, bool as_json) {
  const auto reply = ask_admin_json(socket_path, Json{{"command", "terminate"}, {"peer", peer}});
  if (!reply) return complain(reply.error().message);
  if (as_json) return print_text(reply->dump() + '\n');
  return print_text(fmt::format("ended the session with {}\n", text_of(*reply, "terminated")));
}

}  // namespace jvpn
