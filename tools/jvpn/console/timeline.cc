#include "tools/jvpn/console/timeline.h"

#include <algorithm>

#include "common/reason.h"

namespace jvpn::console {
namespace {

using Json = nlohmann::json;

constexpr size_t kSession = 1;  ///< its place in an event's array
constexpr auto kReplace = Json::error_handler_t::replace;

bool is_of_a_life(const EventRecord& event) {
  if (event.session.empty() || event.kind == session::EventKind::kSecurityEvent) return false;
  return event.reason != Reason::kAuditInvariantOkSingleActive &&
         event.reason != Reason::kAuditInvariantOkNoReset;
}

}  // namespace

Json Timeline::text_of(const EventRecord& event) {
  if (!is_of_a_life(event)) return nullptr;
  const auto state = [](const std::optional<session::State>& one) {
    return one ? session::to_string(*one) : "";
  };
  return Json::array({event.ts_ms, event.session, session::to_string(event.kind), event.reason_text,
                      state(event.from), state(event.to), event.from_path, event.path, event.cause,
                      event.latency_ms ? Json(*event.latency_ms) : Json(nullptr), event.about});
}

void Timeline::add(const Json& text) {
  if (entries_.size() >= most_) entries_.pop_front();
  entries_.push_back({text.at(kSession).get<std::string>(), text.dump(-1, ' ', false, kReplace)});
}

Json Timeline::latest(const std::string& session) const {
  Json found = Json::array();
  for (auto each = entries_.rbegin(); each != entries_.rend() && found.size() < kOfSession; ++each)
    if (session.empty() || each->session == session) found.push_back(Json::parse(each->text));
  std::ranges::reverse(found);
  return found;
}

}  // namespace jvpn::console
