#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/show.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

constexpr const char* kLine = "  {:<13} {}\n";

/// Of the first session: a client has one.
std::string hold_of(const Json& reply) {
  const Json& sessions = field(reply, "sessions");
  if (!sessions.is_array() || sessions.empty()) return {};
  const Json& hold = field(sessions.front(), "hold");
  if (!hold.is_object()) return {};
  const auto most = number_of(hold, "most_bytes");
  if (most && *most == 0) return "off";
  const auto bytes = [&](const char* name) {
    const auto number = number_of(hold, name);
    return number ? human_bytes(*number) : std::string("-");
  };
  const auto longest = number_of(hold, "longest_ms");
  return fmt::format("{} packets, {} of {}, {} at most; {} wait, {} were sent again",
                     text_of(hold, "packets"), bytes("bytes"), bytes("most_bytes"),
                     longest ? human_span(*longest) : "-", text_of(hold, "waiting"),
                     text_of(hold, "resent"));
}

/// `set`, `waiting`, `none`, or what is in the way.
Cell name_servers(const std::string& state) {
  if (state == "none") return {"the host's own are left alone"};
  if (state == "waiting") return {"not yet set", Colour::kYellow};
  if (state == "set") return {"those of the tunnel", Colour::kGreen};
  return {"not set: " + state, Colour::kRed};
}

}  // namespace

std::string render_host(const Json& reply, bool with_colours) {
  const Json& interface = field(reply, "interface");
  if (!interface.is_object()) return {};
  std::string text = fmt::format("\ninterface: {}\n", text_of(interface, "name"));
  const std::string addresses = list_of(field(interface, "addresses"));
  text += fmt::format(kLine, "addresses:", addresses.empty() ? "none yet" : addresses);
  text += fmt::format(kLine, "mtu:", text_of(interface, "mtu"));
  const Json& closed = field(interface, "kill_switch");
  if (closed.is_boolean()) {
    const Cell state =
        closed == true ? Cell{"on: nothing leaves but by the tunnel", Colour::kGreen} : Cell{"off"};
    text += fmt::format(kLine, "kill switch:", coloured(state, with_colours));
  }
  if (field(interface, "dns").is_string())
    text += fmt::format(
        kLine, "name servers:", coloured(name_servers(text_of(interface, "dns")), with_colours));
  if (const std::string hold = hold_of(reply); !hold.empty())
    text += fmt::format(kLine, "hold:", hold);
  const Json& troubles = field(reply, "troubles");
  if (!troubles.is_array()) return text;
  for (const Json& each : troubles)
    if (each.is_string())
      text += fmt::format(
          kLine, "trouble:",
          coloured({printable(each.get_ref<const std::string&>()), Colour::kRed}, with_colours));
  return text;
}

}  // namespace jvpn
