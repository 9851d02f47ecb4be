#include "tools/jvpn/events.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <time.h>

#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

std::string local_time(uint64_t ts_ms) {
  const auto seconds = static_cast<time_t>(ts_ms / 1'000);
  tm parts{};
  localtime_r(&seconds, &parts);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ts_ms % 1'000);
}

/// A transition, or else the path; both aligned, for what follows.
std::string subject_of(const EventRecord& event, bool with_colours) {
  constexpr size_t kWidth = 38;  // of a path between IPv4 addresses
  const bool transition = event.from && event.to;
  const std::string from = transition ? to_string(*event.from) : "";
  const std::string to = transition ? to_string(*event.to) : "";
  const size_t width = transition ? from.size() + 3 + to.size() : event.path.size();
  const std::string padding(width < kWidth ? kWidth - width : 0, ' ');
  if (!transition) return event.path + padding;
  return from + " → " + coloured({to, colour_of_state(to)}, with_colours) + padding;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// `{"error": "…"}`: the program doesn't know the command, or refuses it.
std::optional<Error> error_in(std::string_view line) {
  const auto answer = nlohmann::json::parse(line, nullptr, false);
  const nlohmann::json& error = field(answer, "error");
  if (!error.is_string()) return std::nullopt;
  return Error{printable(error.get_ref<const std::string&>())};
}

class Printer {
 public:
  explicit Printer(const EventsCommand& command) : command_(command), colours_(wants_colours()) {}

  /// The last lines of those that are there. An Error is what the program answers instead.
  Result<int> print_latest(std::string_view text) {
    std::deque<std::string> last;
    for (const std::string_view line : split(text)) {
      if (const auto error = error_in(line)) return *error;
      if (auto shown = show(line)) last.push_back(std::move(*shown));
      if (last.size() > command_.lines) last.pop_front();
    }
    return print_text(fmt::format("{}", fmt::join(last, "")));
  }
  /// One that came. False: standard output takes no more.
  bool print_next(std::string_view line) {
    const uint64_t before = sequence_;
    const auto shown = show(line);
    return !shown || sequence_ <= before || print_text(*shown) == 0;
  }

 private:
  /// None: of another session.
  std::optional<std::string> show(std::string_view line) {
    const auto event = read_event(line);
    if (!event) return std::nullopt;
    sequence_ = std::max(sequence_, event->sequence);
    const bool wanted = event->lost != 0 || event->session.starts_with(command_.session);
    if (!wanted) return std::nullopt;
    return (command_.as_json ? printable(line) : render_event(*event, colours_)) + '\n';
  }

  const EventsCommand& command_;
  bool colours_;
  uint64_t sequence_ = 0;  ///< of the latest event that was seen
};

}  // namespace

std::string render_event(const EventRecord& event, bool with_colours) {
  std::string line = fmt::format("{}  {:<16}  {:<8}  {}  {:<32}  {}", local_time(event.ts_ms),
                                 to_string(event.kind), event.session.substr(0, kShortIdDigits),
                                 subject_of(event, with_colours), event.reason_text, event.about);
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

int run_events(const std::string& socket_path, const EventsCommand& command) {
  // Which lines are of one session only they themselves tell.
  const size_t asked = command.session.empty() ? std::max<size_t>(command.lines, 1) : kAllKept;
  nlohmann::json request{{"command", "events"}, {"lines", asked}};
  const auto latest = ask_admin(socket_path, request.dump());
  if (!latest) return complain(latest.error().message);
  Printer printer(command);
  const auto printed = printer.print_latest(*latest);
  if (!printed) return complain(printed.error().message);
  if (*printed != 0 || !command.follow) return *printed;

  request["lines"] = kAllKept;  // what came meanwhile is among them
  request["follow"] = true;
  Interrupt interrupt;
  const auto followed =
      follow_admin(interrupt, socket_path, request.dump(),
                   [&](std::string_view line) { return printer.print_next(line); });
  return followed ? 0 : complain(followed.error().message);
}

}  // namespace jvpn
