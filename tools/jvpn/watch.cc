#include "tools/jvpn/watch.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/show.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

/// The same session in an earlier answer, or null.
const Json& earlier(const Json& before, const Json& session) {
  static const Json nothing;
  const Json& list = field(before, "sessions");
  if (!list.is_array()) return nothing;
  const auto same = std::ranges::find_if(list, [&](const Json& one) {
    return !field(one, "session_id").is_null() &&
           field(one, "session_id") == field(session, "session_id");
  });
  return same == list.end() ? nothing : *same;
}

/// Bits per second of a counter of bytes.
std::string rate_of(const Json& session, const Json& was, const char* name,
                    std::optional<uint64_t> span_ms) {
  const auto bytes = number_of(session, name);
  const auto bytes_before = number_of(was, name);
  if (!bytes || !bytes_before || !span_ms || *span_ms == 0 || *bytes < *bytes_before) return "-";
  const uint64_t bytes_more = *bytes - *bytes_before;
  return human_bit_rate(static_cast<double>(bytes_more) * 8'000 / static_cast<double>(*span_ms));
}

std::optional<uint64_t> span_between(const Json& before, const Json& reply) {
  const auto from = number_of(before, "uptime_ms");
  const auto to = number_of(reply, "uptime_ms");
  if (!from || !to || *to < *from) return std::nullopt;
  return *to - *from;
}

std::vector<Cell> row_of(const Json& session, const Json& was, std::optional<uint64_t> span_ms) {
  const std::string state = text_of(session, "state");
  const bool idle = field(session, "idle") == true;
  return {{text_of(session, "session_id").substr(0, kShortIdDigits)},
          {text_of(session, "peer")},
          {idle ? state + " idle" : state, colour_of_state(state)},
          {text_of(session, "state_version")},
          {text_of(session, "local") + ">" + text_of(session, "remote")},
          {percent_of(session, "loss_in")},
          {percent_of(session, "loss_out")},
          {milliseconds_of(session, "rtt_us")},
          {milliseconds_of(session, "jitter_us")},
          {text_of(session, "switches_last_minute")},
          {rate_of(session, was, "rx_bytes", span_ms)},
          {rate_of(session, was, "tx_bytes", span_ms)},
          {text_of(session, "reason")}};
}

/// The terminal's other screen, without cursor and line breaks of its own, while it lives.
class Screen {
 public:
  Screen() { print_text("\033[?1049h\033[?25l\033[?7l"); }
  ~Screen() { print_text("\033[?7h\033[?25h\033[?1049l"); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// As many lines as fit, over what was there.
  static int draw(std::string_view text) {
    winsize size{};
    size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
    std::string frame = "\033[H";
    for (; !text.empty() && rows != 1; --rows) {
      const size_t end = std::min(text.find('\n'), text.size());
      frame.append(text.substr(0, end)).append("\033[K\r\n");
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return print_text(frame + "\033[J");
  }
};

}  // namespace

std::string render_watch(const Json& reply, const Json& before, bool with_colours) {
  std::string text = render_heading(reply) + render_reload(reply, with_colours) +
                     render_drain(reply, with_colours) + '\n';
  const Json& list = field(reply, "sessions");
  if (!list.is_array() || list.empty()) {
    text += "no sessions\n";
  } else {
    TextTable table({"SESSION", "PEER", "STATE", ">VERSION", "PATH", ">LOSS IN", ">LOSS OUT",
                     ">RTT", ">JITTER", ">JUMPS/MIN", ">RX", ">TX", "REASON"});
    const auto span_ms = span_between(before, reply);
    for (const Json& session : list) table.add(row_of(session, earlier(before, session), span_ms));
    text += table.render(with_colours);
  }
  return text + render_paths(reply, with_colours) + render_event_health(reply, with_colours);
}

int run_watch(const std::string& socket_path, const WatchCommand& command) {
  Interrupt interrupt;
  const bool in_place = !command.as_json && isatty(STDOUT_FILENO) == 1;
  std::optional<Screen> screen;
  Json before;
  for (uint64_t shown = 0; command.count == 0 || shown < command.count; ++shown) {
    if (shown != 0 && interrupt.wait(command.interval)) return 0;
    const auto reply = ask_show(socket_path);
    if (!reply) {
      screen.reset();
      return complain(reply.error().message);
    }
    if (in_place && !screen) screen.emplace();
    std::string text =
        command.as_json ? reply->dump() + '\n' : render_watch(*reply, before, wants_colours());
    if (!command.as_json && !in_place && shown != 0) text.insert(0, 1, '\n');
    const int printed = in_place ? Screen::draw(text) : print_text(text);
    if (printed != 0) return printed;
    before = *reply;
  }
  return 0;
}

}  // namespace jvpn
