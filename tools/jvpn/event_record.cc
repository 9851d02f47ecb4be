#include "tools/jvpn/event_record.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

const std::string kNoSession(32, '0');

std::string text_at(const Json& line, const char* key) {
  const Json& text = field(line, key);
  return text.is_string() ? printable(text.get_ref<const std::string&>()) : std::string();
}

std::optional<uint64_t> number_at(const Json& line, const char* key) {
  const Json& number = field(line, key);
  if (!number.is_number_unsigned()) return std::nullopt;
  return number.get<uint64_t>();
}

/// Of the enumerators from 0 to `last`, the one with that text.
template <typename Enum>
std::optional<Enum> named(std::string_view name, Enum last) {
  for (int number = 0; number <= static_cast<int>(last); ++number)
    if (name == to_string(static_cast<Enum>(number))) return static_cast<Enum>(number);
  return std::nullopt;
}

std::optional<session::State> state_at(const Json& line, const char* key) {
  return named(text_at(line, key), session::State::kTerminated);
}

session::SessionEnd end_named(std::string_view name) {
  if (name == "initiator") return session::SessionEnd::kInitiator;
  return name == "responder" ? session::SessionEnd::kResponder : session::SessionEnd::kNone;
}

void append(std::string& text, const std::string& more) {
  if (more.empty()) return;
  if (!text.empty()) text += ", ";
  text += more;
}

/// `max_flaps_per_min 6: 7`: the bound, and what was seen; empty when none took effect.
std::string bound_in(const Json& line) {
  const std::string limit = text_at(line, "limit");
  const auto threshold = line.find("threshold");
  const auto observed = line.find("observed");
  const bool whole = !limit.empty() && threshold != line.end() && threshold->is_number() &&
                     observed != line.end() && observed->is_number();
  return whole ? limit + " " + threshold->dump() + ": " + observed->dump() : "";
}

/// What columns don't have.
std::string describe(const Json& line, const EventRecord& event) {
  std::string about = event.detail;
  append(about, event.cause);
  append(about, event.check);
  append(about, event.result);
  if (const auto duration = number_at(line, "duration_ms"))
    append(about, "after " + human_span(*duration));
  if (const auto attempts = number_at(line, "attempts"))
    append(about, std::to_string(*attempts) + " attempts");
  if (const auto denied = number_at(line, "denied"); denied && *denied != 0)
    append(about, std::to_string(*denied) + " denied");
  append(about, bound_in(line));
  if (const auto count = number_at(line, "count"))
    append(about, std::to_string(*count) + " packets");
  if (const auto suppressed = number_at(line, "suppressed"))
    append(about, std::to_string(*suppressed) + " more left out before");
  if (event.lost != 0) append(about, std::to_string(event.lost) + " events");
  return about;
}

}  // namespace

std::optional<EventRecord> read_event(std::string_view text) {
  const Json line = Json::parse(text, nullptr, false);
  if (!line.is_object()) return std::nullopt;
  const auto kind = named(text_at(line, "event"), session::kLastEventKind);
  const auto time = number_at(line, "ts_ms");
  const auto sequence = number_at(line, "seq");
  EventRecord event;
  event.node = text_at(line, "node_id");
  event.session = text_at(line, "session_id");
  if (!kind || !time || !sequence || event.node.empty() || event.session.empty()) {
    return std::nullopt;
  }
  if (event.session == kNoSession) event.session.clear();
  event.kind = *kind;
  event.ts_ms = *time;
  event.sequence = *sequence;
  event.boot_ms = number_at(line, "boot_ms").value_or(0);
  event.lost = std::min(number_at(line, "lost").value_or(0), event.sequence);
  event.end = end_named(text_at(line, "end"));
  event.reason_text = text_at(line, "reason");
  event.reason = parse_reason(event.reason_text);
  event.detail = text_at(line, "detail");
  event.check = text_at(line, "check");
  event.result = text_at(line, "result");
  event.from = state_at(line, "from");
  event.to = state_at(line, "to");
  event.version = number_at(line, "state_version");
  event.duration_ms = number_at(line, "duration_ms");
  event.cause = text_at(line, "cause");
  event.latency_ms = number_at(line, "latency_ms");
  const bool is_switch = event.kind == session::EventKind::kTransportSwitch;
  event.path = text_at(line, is_switch ? "to_path" : "path");
  event.from_path = text_at(line, "from_path");
  event.about = describe(line, event);
  return event;
}

}  // namespace jvpn
