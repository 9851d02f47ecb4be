#include "tools/jvpn/routes.h"

#include <chrono>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/kernel_routes.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/route_book.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

/// The gateway tells something every 500 ms. One that doesn't for so long is stopped or hangs, and
/// may be past its safe time soon.
constexpr std::chrono::milliseconds kSilence{2'000};

/// A line for each change.
class PrintedChanges final : public RouteSink {
 public:
  explicit PrintedChanges(bool as_json) : as_json_(as_json) {}

  Result<void> add(const Prefix& prefix, const std::string& peer) override {
    return print_change("add", prefix, peer);
  }
  Result<void> withdraw(const Prefix& prefix, const std::string& peer) override {
    return print_change("withdraw", prefix, peer);
  }
  Result<void> synced(size_t count) override {
    return print(fmt::format("synced {}", count), {{"do", "synced"}, {"count", count}});
  }
  Result<void> lost(const std::string& why) override {
    return print("lost " + why, {{"do", "lost"}, {"why", why}});
  }

 private:
  Result<void> print_change(const char* verb, const Prefix& prefix, const std::string& peer) const {
    const std::string text = to_string(prefix);
    return print(fmt::format("{} {} {}", verb, text, peer),
                 {{"do", verb}, {"prefix", text}, {"peer", peer}});
  }
  Result<void> print(const std::string& text, const Json& json) const {
    if (print_text((as_json_ ? json.dump() : text) + '\n') == 0) return {};
    return Error{"standard output takes no more"};
  }

  bool as_json_;
};

/// What is there at this moment.
class PrintedList final : public RouteSink {
 public:
  Result<void> add(const Prefix& prefix, const std::string& peer) override {
    table_.add({{to_string(prefix)}, {peer}});
    json_.push_back({{"prefix", to_string(prefix)}, {"peer", peer}});
    return {};
  }
  Result<void> withdraw(const Prefix&, const std::string&) override { return {}; }
  Result<void> synced(size_t) override {
    complete_ = true;
    return {};
  }
  Result<void> lost(const std::string& why) override { return Error{why}; }

  int print(bool as_json) const {
    if (!complete_) return complain("the gateway went while it told its routes");
    if (as_json) return print_text(Json{{"routes", json_}}.dump() + '\n');
    return print_text(json_.empty() ? "no routes\n" : table_.render(false));
  }

 private:
  TextTable table_{{"PREFIX", "PEER"}};
  Json json_ = Json::array();
  bool complete_ = false;
};

int list_routes(const std::string& socket_path, bool as_json) {
  const auto answer = ask_admin(socket_path, Json{{"command", "routes"}}.dump());
  if (!answer) return complain(answer.error().message);
  PrintedList list;
  RouteBook book(list);
  std::string_view text(*answer);
  for (size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
    if (auto taken = book.take(text.substr(0, end)); !taken) return complain(taken.error().message);
    text.remove_prefix(end + 1);
  }
  return list.print(as_json);
}

/// Until the gateway is gone, which is why `gone`, or the command is to end, or an Error of the
/// sink's.
Result<void> follow_once(Interrupt& interrupt, const std::string& socket_path, RouteBook& book,
                         std::string& gone) {
  Result<void> taken;
  const auto take = [&](std::string_view line) { return bool(taken = book.take(line)); };
  const std::string request = Json{{"command", "routes"}, {"follow", true}}.dump();
  const auto followed = follow_admin(interrupt, socket_path, request, take, kSilence);
  if (!followed) gone = followed.error().message;
  return taken;
}

/// Nothing of what was added stays behind, however it ends.
int follow_routes(const std::string& socket_path, const RoutesCommand& command, RouteSink& sink) {
  Interrupt interrupt;
  RouteBook book(sink);
  for (;;) {
    std::string why;
    const auto taken = follow_once(interrupt, socket_path, book, why);
    if (!taken) why = taken.error().message;
    const auto lost = book.lose(why.empty() ? "told to end" : why);
    if (!lost) return complain(lost.error().message);
    const bool goes_on = taken && !why.empty() && command.retry;
    if (!goes_on) return why.empty() ? 0 : complain(why);
    if (interrupt.wait(kBetweenTries)) return 0;
  }
}

int fill_kernel_table(const std::string& socket_path, const RoutesCommand& command) {
  const auto table = KernelRoutes::open(command.kernel_table);
  if (!table) return complain(table.error().message);
  if (!command.release) return follow_routes(socket_path, command, **table);
  const auto released = (*table)->release();
  return released ? 0 : complain(released.error().message);
}

}  // namespace

int run_routes(const std::string& socket_path, const RoutesCommand& command) {
  if (command.kernel_table != 0 && !command.follow && !command.release) {
    complain("--kernel-table: with --follow to fill it, or with --release to empty it");
    return kBadUsage;
  }
  if (command.kernel_table != 0) return fill_kernel_table(socket_path, command);
  if (!command.follow) return list_routes(socket_path, command.as_json);
  PrintedChanges changes(command.as_json);
  return follow_routes(socket_path, command, changes);
}

}  // namespace jvpn
