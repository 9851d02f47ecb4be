#include "tools/jvpn/health.h"

#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"

namespace jvpn {

int run_health(const std::string& socket_path, bool as_json) {
  using Json = nlohmann::json;
  const auto reply = ask_admin_json(socket_path, Json{{"command", "health"}});
  if (!reply) return complain(reply.error().message);
  const Json& flags = field(*reply, "health");
  if (!flags.is_array()) return complain("the program tells nothing of its health");
  std::string text = reply->dump() + '\n';
  if (!as_json && flags.empty()) text = "all is well\n";
  if (!as_json && !flags.empty()) {
    TextTable table({"SEVERITY", "FLAG", "WHAT"});
    for (const Json& flag : flags) {
      const std::string severity = text_of(flag, "severity");
      const Colour colour = severity == "failed" ? Colour::kRed : Colour::kYellow;
      table.add({{severity, colour}, {text_of(flag, "flag")}, {text_of(flag, "what")}});
    }
    text = table.render(wants_colours());
  }
  if (const int printed = print_text(text); printed != 0) return printed;
  return flags.empty() ? 0 : kUnhealthy;
}

}  // namespace jvpn
