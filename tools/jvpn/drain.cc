#include "tools/jvpn/drain.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{100};

uint64_t left_of(const Json& reply) {
  return number_of(field(reply, "drain"), "left").value_or(0);
}

std::string sessions(uint64_t count) {
  return fmt::format("{} session{}", count, count == 1 ? "" : "s");
}

/// One line on a terminal, rewritten in place; elsewhere nothing.
class Progress {
 public:
  explicit Progress(bool wanted) : wanted_(wanted && isatty(STDOUT_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(uint64_t left) {
    if (!wanted_) return;
    std::printf("\r\033[Kdraining: %s left", sessions(left).c_str());
    std::fflush(stdout);
    shown_ = true;
  }
  void clear() {
    if (shown_) std::fputs("\r\033[K", stdout);
    shown_ = false;
  }

 private:
  bool wanted_;
  bool shown_ = false;
};

uint64_t since_ms(Clock::time_point begun) {
  const auto span = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  return static_cast<uint64_t>(span.count());
}

int end_drain(const DrainCommand& command, const Json& reply, uint64_t at_first, uint64_t took_ms) {
  const uint64_t left = left_of(reply);
  const bool draining = field(field(reply, "drain"), "draining") == true;
  const int status = draining && left == 0 ? 0 : 1;
  if (command.as_json) {
    const int printed = print_text(reply.dump() + '\n');
    return printed != 0 ? printed : status;
  }
  if (!draining) return complain("drain: somebody else has ended it; " + sessions(left) + " left");
  if (left != 0) {
    return complain(
        fmt::format("drain: {} left after {}; it goes on (`jvpn show` lists them, "
                    "--undo ends it): their clients may know no other gateway",
                    sessions(left), human_span(took_ms)));
  }
  return print_text(
      fmt::format("drained: {} left in {} ms, none is here any more; the gateway may "
                  "be stopped\n",
                  sessions(at_first), took_ms));
}

int undo_drain(const std::string& socket_path, bool as_json) {
  const auto reply = ask_admin_json(socket_path, Json{{"command", "drain"}, {"undo", true}});
  if (!reply) return complain(reply.error().message);
  if (as_json) return print_text(reply->dump() + '\n');
  return print_text(
      fmt::format("the gateway takes sessions again; it has {}\n", sessions(left_of(*reply))));
}

}  // namespace

int run_drain(const std::string& socket_path, const DrainCommand& command) {
  if (command.undo) return undo_drain(socket_path, command.as_json);
  Interrupt interrupt;
  const Clock::time_point begun = Clock::now();
  auto reply = ask_admin_json(socket_path, Json{{"command", "drain"}});
  if (!reply) return complain(reply.error().message);
  const uint64_t at_first = left_of(*reply);
  Progress progress(!command.as_json);
  const auto goes_on = [&] {
    const bool draining = field(field(*reply, "drain"), "draining") == true;
    const bool late = command.wait.count() != 0 && Clock::now() - begun >= command.wait;
    return draining && left_of(*reply) != 0 && !late;
  };
  while (goes_on()) {
    progress.show(left_of(*reply));
    if (interrupt.wait(kBetweenLooks)) break;
    reply = ask_admin_json(socket_path, Json{{"command", "drain"}, {"look", true}});
    if (!reply) {
      progress.clear();
      return complain(reply.error().message);
    }
  }
  progress.clear();
  return end_drain(command, *reply, at_first, since_ms(begun));
}

}  // namespace jvpn
