#include "tools/jvpn/audit.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int kUnreadable = 2;
constexpr const char* kStandardInput = "-";

std::string counted(uint64_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// How a session stands at each node that tells of it: `gw1 (responder) ATTACHED, version 3`.
std::string ends_of(const std::vector<EventRecord>& events) {
  std::map<std::string, std::string> ends;
  for (const EventRecord& event : events) {
    if (event.kind != session::EventKind::kStateChange || !event.to || !event.version) continue;
    const char* const end = event.end == session::SessionEnd::kInitiator   ? " (initiator)"
                            : event.end == session::SessionEnd::kResponder ? " (responder)"
                                                                           : "";
    ends[event.node] =
        fmt::format("{}{} {}, version {}", event.node, end, to_string(*event.to), *event.version);
  }
  std::string text;
  for (const auto& [node, end] : ends) text += (text.empty() ? "" : "; ") + end;
  return text;
}

/// A path stands where it is news: where it is one of the session's it was told before.
std::string detail_of(const EventRecord& event) {
  const bool news = event.kind == session::EventKind::kTransportSwitch ||
                    event.kind == session::EventKind::kReattach ||
                    event.kind == session::EventKind::kSecurityEvent ||
                    event.from == session::State::kBirth;
  std::string path = news ? event.path : "";
  if (news && !event.from_path.empty()) path = event.from_path + " → " + path;
  return event.about + (event.about.empty() || path.empty() ? "" : ", ") + path;
}

std::vector<Cell> timeline_row(const EventRecord& event, uint64_t start_ms) {
  const uint64_t since = event.ts_ms - std::min(start_ms, event.ts_ms);
  const bool row = event.kind == session::EventKind::kStateChange && event.from && event.to;
  std::string what = to_string(event.kind);
  if (row) what = fmt::format("{} → {}", to_string(*event.from), to_string(*event.to));
  return {{fmt::format("{:.3f}", static_cast<double>(since) / 1'000)},
          {event.node},
          {std::move(what), row ? colour_of_state(to_string(*event.to)) : Colour::kNone},
          {event.version ? fmt::format("{}", *event.version) : ""},
          {event.reason_text},
          {detail_of(event)}};
}

std::string timeline(const std::string& id, const std::vector<EventRecord>& events,
                     bool with_colours) {
  TextTable table({">SECONDS", "NODE", "EVENT", ">VERSION", "REASON", "DETAIL"});
  for (const EventRecord& event : events) table.add(timeline_row(event, events.front().ts_ms));
  return fmt::format("session {}: {}\n{}\n", id, ends_of(events), table.render(with_colours));
}

std::string finding_line(const AuditFinding& finding, const std::vector<std::string>& files,
                         bool with_colours) {
  const bool broken = finding.kind == AuditFinding::Kind::kBroken;
  const Cell word{broken ? "broken" : "incomplete", broken ? Colour::kRed : Colour::kYellow};
  std::string who = finding.node;
  if (!finding.session.empty())
    who = fmt::format("session {} at {}", finding.session.substr(0, kShortIdDigits), finding.node);
  return fmt::format("{}:{}: {}: {}: {}\n", files.at(finding.place.file), finding.place.line,
                     coloured(word, with_colours), who, finding.what);
}

const char* name_of(AuditVerdict verdict) {
  if (verdict == AuditVerdict::kOk) return "ok";
  return verdict == AuditVerdict::kBroken ? "broken" : "incomplete";
}

std::string verdict_line(const AuditReport& report, bool with_colours) {
  const AuditVerdict verdict = report.verdict();
  const Colour colour = verdict == AuditVerdict::kOk       ? Colour::kGreen
                        : verdict == AuditVerdict::kBroken ? Colour::kRed
                                                           : Colour::kYellow;
  std::string line =
      fmt::format("audit {}: {} of {} at {}", coloured({name_of(verdict), colour}, with_colours),
                  counted(report.events, "event"), counted(report.sessions.size(), "session"),
                  counted(report.nodes.size(), "node"));
  if (!report.findings.empty()) line += ", " + counted(report.findings.size(), "finding");
  if (report.repeated != 0) line += ", " + counted(report.repeated, "repeated line");
  if (report.skipped != 0) line += ", " + counted(report.skipped, "other line") + " skipped";
  return line + '\n';
}

OrderedJson event_json(const EventRecord& event) {
  OrderedJson line{{"ts_ms", event.ts_ms},
                   {"node_id", event.node},
                   {"seq", event.sequence},
                   {"event", to_string(event.kind)},
                   {"reason", event.reason_text}};
  if (event.from) line["from"] = to_string(*event.from);
  if (event.to) line["to"] = to_string(*event.to);
  if (event.version) line["state_version"] = *event.version;
  if (const std::string detail = detail_of(event); !detail.empty()) line["detail"] = detail;
  return line;
}

OrderedJson report_json(const AuditReport& report, const std::vector<std::string>& files,
                        bool with_timelines) {
  OrderedJson findings = OrderedJson::array();
  for (const AuditFinding& finding : report.findings)
    findings.push_back(
        {{"kind", finding.kind == AuditFinding::Kind::kBroken ? "broken" : "incomplete"},
         {"file", files.at(finding.place.file)},
         {"line", finding.place.line},
         {"session_id", finding.session},
         {"node_id", finding.node},
         {"what", finding.what}});
  OrderedJson sessions = OrderedJson::array();
  for (const auto& [id, events] : report.sessions) {
    OrderedJson session{{"session_id", id}, {"events", events.size()}};
    if (with_timelines) {
      session["timeline"] = OrderedJson::array();
      for (const EventRecord& event : events) session["timeline"].push_back(event_json(event));
    }
    sessions.push_back(std::move(session));
  }
  return {{"verdict", name_of(report.verdict())},
          {"events", report.events},
          {"repeated", report.repeated},
          {"skipped", report.skipped},
          {"nodes", report.nodes},
          {"sessions", std::move(sessions)},
          {"findings", std::move(findings)}};
}

void read_lines(std::istream& stream, uint32_t file, Audit& audit) {
  std::string line;
  for (uint32_t number = 1; std::getline(stream, line); ++number)
    audit.add_line({file, number}, line);
}

bool read_file(const std::string& path, uint32_t number, Audit& audit) {
  if (path == kStandardInput) {
    read_lines(std::cin, number, audit);
    return true;
  }
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) return false;
  read_lines(file, number, audit);
  return !file.bad();
}

}  // namespace

std::string render_audit(const AuditReport& report, const std::vector<std::string>& files,
                         bool with_timelines, bool with_colours) {
  std::string text;
  if (with_timelines)
    for (const auto& [id, events] : report.sessions) text += timeline(id, events, with_colours);
  for (const AuditFinding& finding : report.findings)
    text += finding_line(finding, files, with_colours);
  return text + verdict_line(report, with_colours);
}

int run_audit(const AuditCommand& command) {
  Audit audit({command.partial});
  for (uint32_t i = 0; i < command.files.size(); ++i) {
    if (read_file(command.files[i], i, audit)) continue;
    complain(command.files[i] + ": expected a readable event log");
    return kUnreadable;
  }
  const AuditReport report = audit.finish();
  const bool timelines = !command.quiet;
  const int printed =
      print_text(command.as_json ? report_json(report, command.files, timelines).dump() + '\n'
                                 : render_audit(report, command.files, timelines, wants_colours()));
  if (printed != 0) return printed;
  switch (report.verdict()) {
    case AuditVerdict::kOk:
      return 0;
    case AuditVerdict::kBroken:
      return 1;
    case AuditVerdict::kIncomplete:
      break;
  }
  return 3;
}

}  // namespace jvpn
