#include "tools/jvpn/trace.h"

#include <cctype>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kBetween{100};

/// The peer whose session's id begins so; an Error: none, or several.
Result<std::string> peer_of(const std::string& socket_path, const std::string& digits) {
  const auto shown = ask_show(socket_path);
  if (!shown) return shown.error();
  std::optional<std::string> peer;
  for (const Json& session : field(*shown, "sessions")) {
    if (!text_of(session, "session_id").starts_with(digits)) continue;
    if (peer)
      return Error{"several sessions begin with " + printable(digits) + ": give more digits"};
    const Json& name = field(session, "peer");
    peer = name.is_string() ? name.get<std::string>() : std::string();
  }
  if (!peer) return Error{"no session begins with " + printable(digits) + "; jvpn show lists them"};
  return *peer;
}

int print_packets(const Json& packets, bool as_json) {
  for (const Json& each : packets)
    if (const int failed = print_text((as_json ? each.dump() : render_traced(each)) + '\n');
        failed != 0)
      return failed;
  return 0;
}

}  // namespace

std::string render_traced(const Json& packet) {
  const auto us = number_of(packet, "us").value_or(0);
  std::string line =
      fmt::format("{:>12.6f} s  worker {}  {:<9}  {:>5} B from {}: ", static_cast<double>(us) / 1e6,
                  text_of(packet, "worker"), text_of(packet, "way"), text_of(packet, "bytes"),
                  text_of(packet, "port"));
  if (field(packet, "handed_on") == true) line += "(by another worker) ";
  const Json& stages = field(packet, "stages");
  bool first = true;
  for (const Json& each : stages.is_array() ? stages : Json::array()) {
    if (!each.is_string()) continue;
    line += fmt::format("{}{}", first ? "" : " > ", printable(each.get_ref<const std::string&>()));
    first = false;
  }
  const std::string end = text_of(packet, "end");
  if (end == "dropped")
    return line +
           fmt::format(": dropped, {} ({})", text_of(packet, "reason"), text_of(packet, "why"));
  if (end == "to_control") return line + ": to the control core";
  if (end == "held") return line + ": waits in the hold";
  if (end == "handed_off") return line + ": to the worker that owns its lane";
  return line;
}

int run_trace(const std::string& socket_path, const TraceCommand& command) {
  const auto peer = peer_of(socket_path, command.session);
  if (!peer) return complain(peer.error().message);
  const auto begun = ask_admin_json(
      socket_path, {{"command", "trace"},
                    {"peer", *peer},
                    {"count", command.count},
                    {"for_ms", static_cast<uint64_t>(command.time.count()) * 1'000}});
  if (!begun) return complain(begun.error().message);
  const Json order = field(field(*begun, "trace"), "order");
  if (order.is_null()) return complain("the program tells of no trace");
  Interrupt interrupt;
  const auto give_up = std::chrono::steady_clock::now() + command.time + kPatience;
  size_t came = 0;
  for (bool done = false; !done;) {
    const bool stop = interrupt.wait(kBetween) || std::chrono::steady_clock::now() > give_up;
    const auto page =
        ask_admin_json(socket_path, {{"command", "trace"}, {"order", order}, {"end", stop}});
    if (!page) return complain(page.error().message);
    const Json& packets = field(field(*page, "trace"), "packets");
    if (!packets.is_array()) return complain("the program tells of no trace");
    if (const int failed = print_packets(packets, command.as_json); failed != 0) return failed;
    came += packets.size();
    done = stop || field(field(*page, "trace"), "done") != false;
  }
  if (came != 0) return 0;
  return complain(fmt::format("no packet of that session came within {} s", command.time.count()));
}

}  // namespace jvpn
