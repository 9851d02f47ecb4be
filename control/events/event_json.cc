#include "control/events/event_json.h"

#include <nlohmann/json.hpp>

namespace jvpn::events {
namespace {

void add_paths(nlohmann::ordered_json& line, const session::Event& event) {
  if (event.kind == session::EventKind::kTransportSwitch) {
    if (event.from_path) line["from_path"] = to_string(*event.from_path);
    if (event.to_path) line["to_path"] = to_string(*event.to_path);
    return;
  }
  if (event.to_path) line["path"] = to_string(*event.to_path);
}

void add_fired(nlohmann::ordered_json& line, const session::Fired& fired) {
  if (!fired) return;
  constexpr double kMillion = 1e6;
  line["limit"] = fired.limit;
  if (fired.is_fraction) {
    line["threshold"] = static_cast<double>(fired.threshold) / kMillion;
    line["observed"] = static_cast<double>(fired.observed) / kMillion;
  } else {
    line["threshold"] = fired.threshold;
    line["observed"] = fired.observed;
  }
}

}  // namespace

std::string to_json_line(const session::Event& event, uint64_t sequence, uint64_t realtime_ms,
                         const std::string& node) {
  nlohmann::ordered_json line;
  line["ts_ms"] = realtime_ms;
  line["seq"] = sequence;
  line["event"] = to_string(event.kind);
  line["session_id"] = to_string(event.session);
  line["node_id"] = node;
  line["policy_version"] = event.policy_version;
  line["reason"] = to_string(event.reason);
  if (event.detail != Detail::kNone) line["detail"] = to_string(event.detail);
  if (event.kind == session::EventKind::kStateChange) {
    line["from"] = to_string(event.from);
    line["to"] = to_string(event.to);
    line["state_version"] = event.state_version.value;
  }
  if (event.check != nullptr) line["check"] = event.check;
  if (event.result != nullptr) line["result"] = event.result;
  if (event.cause != nullptr) line["cause"] = event.cause;
  if (event.duration_ms) line["duration_ms"] = *event.duration_ms;
  if (event.attempts) line["attempts"] = *event.attempts;
  if (event.denied) line["denied"] = *event.denied;
  if (event.lifetime_ms) line["lifetime_ms"] = *event.lifetime_ms;
  if (event.switches) line["switches"] = *event.switches;
  if (event.latency_ms) line["latency_ms"] = *event.latency_ms;
  add_fired(line, event.fired);
  if (event.suppressed) line["suppressed"] = *event.suppressed;
  if (event.count) line["count"] = *event.count;
  if (event.from_epoch) line["from_epoch"] = *event.from_epoch;
  if (event.to_epoch) line["to_epoch"] = *event.to_epoch;
  if (event.lost) line["lost"] = *event.lost;
  if (event.peer != session::kNoPeer) line["peer"] = event.peer.value;
  if (event.end != session::SessionEnd::kNone)
    line["end"] = event.end == session::SessionEnd::kInitiator ? "initiator" : "responder";
  add_paths(line, event);
  line["boot_ms"] = event.at.value;
  // Bytes that are no UTF-8 (only the node's name could hold any) are replaced, never thrown about.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace jvpn::events
