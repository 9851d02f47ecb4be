#include "perf/jump/session_watch.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "tools/jvpn/admin_client.h"

namespace jvpn::perf {
namespace {

/// Said elsewhere, or the same in every line.
constexpr std::array kLeftOut{"ts_ms",   "seq",     "event", "session_id",
                              "node_id", "boot_ms", "peer",  "policy_version"};

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

void read_paths(const nlohmann::json& show, EndView& view) {
  for (const nlohmann::json& path : show.value("paths", nlohmann::json::array())) {
    const std::string state = text_of(path, "state");
    if (state == "active") view.active = text_of(path, "underlay");
    view.usable_paths += state == "down" ? 0U : 1U;
  }
}

}  // namespace

EndView ask_end(const std::string& socket) {
  EndView view;
  const auto show = ask_admin_json(socket, {{"command", "show"}});
  if (!show) return view;
  for (const nlohmann::json& ended : show->value("terminated", nlohmann::json::array()))
    view.ended.push_back(text_of(ended, "session_id") + ": " + text_of(ended, "reason"));
  read_paths(*show, view);
  const auto sessions = show->value("sessions", nlohmann::json::array());
  if (sessions.size() != 1) return view;
  view.session_id = text_of(sessions.front(), "session_id");
  view.state = text_of(sessions.front(), "state");
  view.binding_version = sessions.front().value("binding_version", uint64_t{0});
  return view;
}

EventFollower::EventFollower(std::string who, const std::string& path)
    : who_(std::move(who)), file_(path) {}

void EventFollower::follow() {
  file_.clear();  // the end of file was only the end for then
  std::string part;
  while (std::getline(file_, part)) {
    half_line_ += part;
    if (file_.eof()) return;  // no line end yet
    take(std::exchange(half_line_, {}));
  }
}

void EventFollower::take(const std::string& line) {
  if (!line.starts_with('{')) return;  // a diagnostic
  nlohmann::json fields = nlohmann::json::parse(line, nullptr, false);
  if (!fields.is_object() || !fields.contains("event")) return;
  const Nanos at = fields.value("ts_ms", Nanos{0}) * kMillisecond;
  events_.push_back({at, std::move(fields)});
}

std::optional<Nanos> EventFollower::switched(Nanos since) const {
  // The log's times are whole milliseconds.
  const auto found = std::ranges::find_if(events_, [&](const LoggedEvent& event) {
    return event.at >= since - since % kMillisecond &&
           text_of(event.fields, "event") == "STATE_CHANGE" &&
           text_of(event.fields, "to") == "ATTACHED" &&
           text_of(event.fields, "reason") == "TRANSPORT_SWITCH_OK";
  });
  if (found == events_.end()) return std::nullopt;
  return found->at;
}

std::string describe(const LoggedEvent& event) {
  const std::string kind = text_of(event.fields, "event");
  if (kind == "FAULT")
    return fmt::format("{}: {}", text_of(event.fields, "link"), text_of(event.fields, "fault"));
  if (kind == "STATE_CHANGE")
    return fmt::format("{} -> {}  {}  version {}", text_of(event.fields, "from"),
                       text_of(event.fields, "to"), text_of(event.fields, "reason"),
                       event.fields.value("state_version", uint64_t{0}));
  std::string text = kind;
  for (const auto& [key, value] : event.fields.items()) {
    if (std::ranges::find(kLeftOut, key) != kLeftOut.end()) continue;
    text +=
        fmt::format("  {}={}", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

}  // namespace jvpn::perf
