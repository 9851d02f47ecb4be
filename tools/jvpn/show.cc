#include "tools/jvpn/show.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/show_peers.h"
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

/// Microseconds, as 1.35 ms.
std::string span_of(const Json& object, const char* name) {
  const auto us = number_of(object, name);
  return us ? fmt::format("{:.2f} ms", static_cast<double>(*us) / 1e3) : "-";
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
  const bool several = std::ranges::any_of(
      list, [](const Json& path) { return field(path, "gateway").is_string(); });
  std::vector<std::string> heading{"UNDERLAY", "REMOTE", "STATE", "WHY"};
  if (several) heading.insert(heading.begin() + 1, "GATEWAY");
  TextTable table(heading);
  for (const Json& path : list) {
    const std::string state = text_of(path, "state");
    const Colour colour = state == "active" ? Colour::kGreen
                          : state == "down" ? Colour::kRed
                                            : Colour::kNone;
    std::vector<Cell> row{{text_of(path, "underlay")},
                          {text_of(path, "remote")},
                          {state, colour},
                          {field(path, "why").is_string() ? text_of(path, "why") : std::string()}};
    if (several) row.insert(row.begin() + 1, {text_of(path, "gateway")});
    table.add(row);
  }
  return '\n' + table.render(with_colours);
}

std::string render_gateways(const Json& reply, bool with_colours) {
  const Json& list = field(reply, "gateways");
  if (!list.is_array() || list.empty()) return {};
  TextTable table({"GATEWAY", "STATE", "UNDERLAY", "REMOTE", ">RTT", ">ANSWERED"});
  for (const Json& gateway : list) {
    const std::string state = text_of(gateway, "state");
    const auto unanswered = number_of(gateway, "unanswered_ms");
    const bool ready = state == "active" || state == "warm";
    table.add({{text_of(gateway, "name")},
               {unanswered ? fmt::format("{} for {}", state, human_span(*unanswered)) : state,
                ready ? Colour::kGreen : Colour::kYellow},
               {text_of(gateway, "underlay")},
               {text_of(gateway, "remote")},
               {milliseconds_of(gateway, "rtt_us")},
               {ago_of(gateway, "answered_ms_ago")}});
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

std::string render_key_log(const Json& reply, bool with_colours) {
  const Json& path = field(reply, "key_log");
  if (!path.is_string()) return {};
  const std::string line = fmt::format(
      "Keys are written to {}: whoever reads it reads all traffic (crypto.key_log_file).",
      text_of(reply, "key_log"));
  return '\n' + coloured({line, Colour::kRed}, with_colours) + '\n';
}

std::string render_drain(const Json& reply, bool with_colours) {
  const Json& drain = field(reply, "drain");
  if (field(drain, "draining") != true) return {};
  const std::string line =
      fmt::format("The gateway drains: no session begins, {} left (`jvpn drain --undo` ends that).",
                  text_of(drain, "left"));
  return '\n' + coloured({line, Colour::kYellow}, with_colours) + '\n';
}

std::string render_ownership(const Json& reply, bool with_colours) {
  const Json& store = field(reply, "ownership");
  if (!store.is_object()) return {};
  if (field(store, "store") == "none") return "\nno store: sessions end when jvpnd does\n";
  std::string line = "store " + text_of(store, "store");
  if (const std::string endpoints = list_of(field(store, "endpoints")); !endpoints.empty())
    line += fmt::format(" ({}, asked: {})", endpoints, text_of(store, "endpoint"));
  line +=
      fmt::format(", epoch {}, {} sessions, {} resumed, {} parked, {} calls wait",
                  text_of(store, "epoch"), text_of(store, "sessions"), text_of(store, "resumed"),
                  text_of(store, "parked"), text_of(store, "waiting"));
  const Json& times = field(store, "transactions");
  if (number_of(times, "latest").value_or(0) != 0)
    line += fmt::format(", transactions p50 {} p99 {}", span_of(times, "p50_us"),
                        span_of(times, "p99_us"));
  if (const auto safe = number_of(store, "safe_ms"))
    line += fmt::format(", safe for {:.1f} s", static_cast<double>(*safe) / 1e3);
  std::string text = '\n' + line + '\n';
  const std::string why = field(store, "why").is_string() ? ": " + text_of(store, "why") : "";
  if (const auto silent = number_of(store, "silent_ms")) {
    const std::string told =
        fmt::format("Silent for {}, no session is carried{}", human_span(*silent), why);
    text += coloured({told, Colour::kRed}, with_colours) + '\n';
  } else if (!why.empty()) {
    const std::string told = "The latest transaction wasn't carried out" + why;
    text += coloured({told, Colour::kYellow}, with_colours) + '\n';
  }
  return text;
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
         render_key_log(reply, with_colours) + render_drain(reply, with_colours) +
         render_ownership(reply, with_colours) + render_peers(reply, with_colours) +
         sessions(reply, with_colours) + render_gateways(reply, with_colours) +
         render_paths(reply, with_colours) + render_host(reply, with_colours) + ports(reply) +
         drops(reply) + terminated(reply) + render_event_health(reply, with_colours);
}

int run_show(const std::string& socket_path, bool as_json) {
  auto reply = ask_show(socket_path);
  if (!reply) return complain(reply.error().message);
  if (const auto added = add_peers(*reply, socket_path, as_json ? SIZE_MAX : kShownPeers); !added)
    return complain(added.error().message);
  return print_text(as_json ? reply->dump() + '\n' : render_show(*reply, wants_colours()));
}

}  // namespace jvpn
