#include "tools/jvpn/show.h"

#include <cstdio>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

std::string bytes_of(const Json& object, const char* name) {
  const auto bytes = number_of(object, name);
  return bytes ? human_bytes(*bytes) : "-";
}

std::string ago_of(const Json& object, const char* name) {
  const auto span = number_of(object, name);
  return span ? human_span(*span) + " ago" : "-";
}

std::string id_of(const Json& object) {
  return text_of(object, "session_id").substr(0, kShortIdDigits);
}

std::string sessions(const Json& reply, bool with_colours) {
  const Json& list = field(reply, "sessions");
  if (!list.is_array() || list.empty()) return "\nno sessions\n";
  TextTable table({"SESSION", "PEER", "STATE", ">VERSION", "LOCAL", "REMOTE", ">RX", ">TX",
                   ">LAST RX", ">REKEYS", "REASON"});
  for (const Json& session : list) {
    const std::string state = text_of(session, "state");
    table.add({{id_of(session)},
               {text_of(session, "peer")},
               {state, colour_of_state(state)},
               {text_of(session, "state_version")},
               {text_of(session, "local")},
               {text_of(session, "remote")},
               {bytes_of(session, "rx_bytes")},
               {bytes_of(session, "tx_bytes")},
               {ago_of(session, "last_rx_ms_ago")},
               {text_of(session, "rekeys")},
               {text_of(session, "reason")}});
  }
  return '\n' + table.render(with_colours);
}

std::string ports(const Json& reply) {
  const Json& list = field(reply, "ports");
  if (!list.is_array() || list.empty()) return {};
  TextTable table({"PORT", "ROLE", ">RX PACKETS", ">TX PACKETS", ">RX MISSED"});
  for (const Json& port : list) {
    table.add({{text_of(port, "name")},
               {text_of(port, "role")},
               {text_of(port, "rx_packets")},
               {text_of(port, "tx_packets")},
               {text_of(port, "rx_missed")}});
  }
  return '\n' + table.render(false);
}

std::string drops(const Json& reply) {
  const Json& counters = field(reply, "drops");
  if (!counters.is_object()) return {};
  TextTable table({"DROPPED", ">PACKETS"});
  bool any = false;
  for (const auto& [name, unused] : counters.items()) {
    const auto count = number_of(counters, name.c_str());
    if (!count || *count == 0) continue;
    table.add({{printable(name)}, {fmt::format("{}", *count)}});
    any = true;
  }
  return any ? '\n' + table.render(false) : std::string();
}

std::string terminated(const Json& reply) {
  const Json& list = field(reply, "terminated");
  if (!list.is_array() || list.empty()) return {};
  TextTable table({"ENDED", "PEER", ">WHEN", "REASON", "DETAIL"});
  for (const Json& session : list) {
    table.add({{id_of(session)},
               {text_of(session, "peer")},
               {ago_of(session, "ms_ago")},
               {text_of(session, "reason")},
               {text_of(session, "detail")}});
  }
  return '\n' + table.render(false);
}

}  // namespace

std::string render_heading(const Json& reply) {
  const auto uptime = number_of(reply, "uptime_ms");
  return fmt::format("{} ({}), up {}, policy {}\n", text_of(reply, "node"), text_of(reply, "role"),
                     uptime ? human_span(*uptime) : "-", text_of(reply, "policy_version"));
}

std::string render_paths(const Json& reply, bool with_colours) {
  const Json& list = field(reply, "paths");
  if (!list.is_array() || list.empty()) return {};
  TextTable table({"UNDERLAY", "REMOTE", "STATE", "WHY"});
  for (const Json& path : list) {
    const std::string state = text_of(path, "state");
    const Colour colour = state == "active" ? Colour::kGreen
                          : state == "down" ? Colour::kRed
                                            : Colour::kNone;
    table.add({{text_of(path, "underlay")},
               {text_of(path, "remote")},
               {state, colour},
               {field(path, "why").is_string() ? text_of(path, "why") : std::string()}});
  }
  return '\n' + table.render(with_colours);
}

std::string render_reload(const Json& reply, bool with_colours) {
  const Json& reload = field(reply, "reload");
  std::string text;
  if (const Json& why = field(reload, "refused"); why.is_string()) {
    const std::string head =
        fmt::format("The reload {} was refused. No session begins until a valid profile is loaded:",
                    ago_of(reload, "ms_ago"));
    text +=
        '\n' + coloured({head, Colour::kRed}, with_colours) + '\n' +
        coloured({printable_lines(why.get_ref<const std::string&>()), Colour::kRed}, with_colours) +
        '\n';
  }
  const std::string waiting = list_of(field(reload, "needs_restart"));
  if (waiting.empty()) return text;
  const std::string line = "Changed in the profile, but only a restart applies it: " + waiting;
  return text + '\n' + coloured({line, Colour::kYellow}, with_colours) + '\n';
}

std::string render_event_health(const Json& reply, bool with_colours) {
  const Json& events = field(reply, "events");
  if (field(events, "healthy") != false) return {};
  TextTable table({"EVENT SINK", "TARGET", "STATE", ">WRITTEN", ">LOST", "WHY"});
  for (const Json& sink : field(events, "sinks")) {
    const bool healthy = field(sink, "healthy") == true;
    table.add({{text_of(sink, "kind")},
               {text_of(sink, "target")},
               {healthy ? "healthy" : "unhealthy", healthy ? Colour::kGreen : Colour::kRed},
               {text_of(sink, "written")},
               {text_of(sink, "lost")},
               {healthy ? std::string() : text_of(sink, "why")}});
  }
  return '\n' + table.render(with_colours);
}

std::string render_show(const Json& reply, bool with_colours) {
  return render_heading(reply) + render_reload(reply, with_colours) +
         sessions(reply, with_colours) + render_paths(reply, with_colours) + ports(reply) +
         drops(reply) + terminated(reply) + render_event_health(reply, with_colours);
}

int run_show(const std::string& socket_path, bool as_json) {
  const auto reply = ask_show(socket_path);
  if (!reply) {
    std::fprintf(stderr, "jvpn: %s\n", reply.error().message.c_str());
    return 1;
  }
  return print_text(as_json ? reply->dump() + '\n' : render_show(*reply, wants_colours()));
}

}  // namespace jvpn
