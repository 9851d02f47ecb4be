#include "tools/jvpn/audit_check.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "tools/jvpn/audit_replay.h"

namespace jvpn {
namespace {

std::string events_text(uint64_t count) {
  return fmt::format("{} event{}", count, count == 1 ? "" : "s");
}

/// One node's log from beginning to end: its numbers are checked here, its sessions by the replay.
class NodeAudit {
 public:
  NodeAudit(bool partial, AuditReport& report, ActiveSpans& spans)
      : partial_(partial), report_(report), replay_(report, spans) {}

  void add(const EventRecord& event) {
    if (first_) begin_log(event);
    const bool restarted = event.before() < last_;
    if (restarted) {
      replay_.end_run(last_ts_ms_);
      last_ = 0;
    }
    if (event.before() > last_) gap(event, event.before() - last_, "missing before this one");
    if (event.lost != 0) gap(event, event.lost, "lost, as the log itself says");
    last_ = event.sequence;
    last_ts_ms_ = event.ts_ms;
    if (event.lost == 0) replay_.add(event);
  }
  void finish() { replay_.end_run(last_ts_ms_); }

 private:
  void begin_log(const EventRecord& event) {
    first_ = false;
    if (!partial_) return;
    last_ = event.before();
    replay_.note_gap();
  }

  void gap(const EventRecord& event, uint64_t count, const char* how) {
    replay_.note_gap();
    report_.findings.push_back({AuditFinding::Kind::kIncomplete,
                                event.place,
                                {},
                                event.node,
                                events_text(count) + " " + how});
  }

  bool partial_;
  AuditReport& report_;
  SessionReplay replay_;
  bool first_ = true;
  uint64_t last_ = 0;
  uint64_t last_ts_ms_ = 0;
};

/// Rotated parts may be given in any order.
template <typename Parts>
void put_in_order(Parts& parts) {
  std::ranges::stable_sort(parts, {}, [](const auto& part) {
    return std::pair(part.front().ts_ms, part.front().sequence);
  });
}

}  // namespace

void Audit::add_line(LogPlace place, std::string_view line) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  auto event = read_event(line);
  if (!event) {
    ++report_.skipped;
    return;
  }
  if (!seen_.insert(std::hash<std::string_view>{}(line)).second) {
    ++report_.repeated;
    return;
  }
  ++report_.events;
  event->place = place;
  auto& parts = nodes_[event->node];
  uint32_t& file = latest_file_[event->node];
  const bool goes_on =
      !parts.empty() && file == place.file && event->before() >= parts.back().back().sequence;
  if (!goes_on) parts.emplace_back();
  file = place.file;
  parts.back().push_back(std::move(*event));
}

AuditReport Audit::finish() {
  ActiveSpans spans;
  for (auto& [node, parts] : nodes_) {
    put_in_order(parts);
    report_.nodes.push_back(node);
    NodeAudit audit(options_.partial, report_, spans);
    for (const Part& part : parts)
      for (const EventRecord& event : part) audit.add(event);
    audit.finish();
  }
  find_dual_active(spans, report_);
  for (auto& [node, parts] : nodes_)
    for (Part& part : parts)
      for (EventRecord& event : part)
        if (!event.session.empty()) report_.sessions[event.session].push_back(std::move(event));
  for (auto& [id, events] : report_.sessions)
    std::ranges::stable_sort(events, {}, &EventRecord::ts_ms);
  std::ranges::stable_sort(report_.findings, {}, [](const AuditFinding& finding) {
    return std::pair(finding.place.file, finding.place.line);
  });
  return std::move(report_);
}

AuditVerdict AuditReport::verdict() const {
  const auto broken = [](const AuditFinding& f) { return f.kind == AuditFinding::Kind::kBroken; };
  if (std::ranges::any_of(findings, broken)) return AuditVerdict::kBroken;
  return findings.empty() && events != 0 ? AuditVerdict::kOk : AuditVerdict::kIncomplete;
}

}  // namespace jvpn
