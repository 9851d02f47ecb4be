#include "control/events/syslog_message.h"

#include <algorithm>
#include <cstdint>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace jvpn::events {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDaemonFacility = 3;
constexpr size_t kLongestHost = 255;
constexpr size_t kLongestProgram = 48;
/// Names that IANA doesn't list carry an enterprise's number; the project has none, so it is the
/// one that RFC 5612 keeps for examples.
constexpr const char* kElement = "jvpn@32473";

enum Severity : uint8_t { kError = 3, kWarning = 4, kNotice = 5, kInformational = 6 };

std::string text_of(const Json& line, const char* key) {
  const auto at = line.find(key);
  return at != line.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Severity severity_of(const Json& line) {
  if (text_of(line, "result") == "violated") return kError;
  const std::string event = text_of(line, "event");
  if (event == "SECURITY_EVENT" || text_of(line, "reason") == "HEALTH_RAISED" ||
      line.contains("lost"))
    return kWarning;
  const bool notable = event == "OWNERSHIP_CHANGE" || text_of(line, "to") == "TERMINATED" ||
                       text_of(line, "result") == "reject";
  return notable ? kNotice : kInformational;
}

/// PRINTUSASCII (§6): a header's field ends at a space.
std::string header_field(std::string_view value, size_t longest) {
  std::string out(value.substr(0, longest));
  std::ranges::replace_if(
      out, [](char each) { return each < '!' || each > '~'; }, '_');
  return out.empty() ? "-" : out;
}

void add_escaped(std::string& out, std::string_view value) {
  for (const char each : value) {
    if (each == '"' || each == '\\' || each == ']') out += '\\';
    out += each;
  }
}

/// As TIMESTAMP, §6.2.3.
std::string time_of(const Json& line) {
  const auto at = line.find("ts_ms");
  if (at == line.end() || !at->is_number_unsigned()) return "-";
  const auto ms = at->get<uint64_t>();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(ms / 1'000)), ms % 1'000);
}

}  // namespace

std::string to_syslog_message(std::string_view line, const SyslogSender& sender) {
  const Json fields = Json::parse(line, nullptr, false);
  const bool read = fields.is_object();
  const Severity severity = read ? severity_of(fields) : kError;
  const std::string event = read ? text_of(fields, "event") : std::string();
  std::string out = fmt::format(
      "<{}>1 {} {} {} {} {} ", kDaemonFacility * 8 + severity, read ? time_of(fields) : "-",
      header_field(read ? text_of(fields, "node_id") : "", kLongestHost),
      header_field(sender.program, kLongestProgram), sender.process, header_field(event, 32));
  if (!read) {
    out += "- ";
    out += line;
    return out;
  }
  out += '[';
  out += kElement;
  for (const auto& [key, value] : fields.items()) {
    out += fmt::format(" {}=\"", key);
    add_escaped(out, value.is_string() ? value.get<std::string>() : value.dump());
    out += '"';
  }
  out += "] ";
  out += text_of(fields, "reason");
  return out;
}

}  // namespace jvpn::events
