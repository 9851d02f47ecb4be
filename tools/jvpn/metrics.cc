#include "tools/jvpn/metrics.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <prometheus/text_serializer.h>

#include "common/ip.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/console/console.h"
#include "tools/jvpn/console/web.h"
#include "tools/jvpn/interrupt.h"
#include "tools/jvpn/metrics/event_metrics.h"
#include "tools/jvpn/metrics/exporter.h"
#include "tools/jvpn/metrics/metric_table.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/sandbox/sandbox.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

bool is_loopback(const IpAddress& address) {
  static const Prefix kLoopback4 = *Prefix::parse("127.0.0.0/8");
  return kLoopback4.contains(address) || address == *IpAddress::parse("::1");
}

std::shared_ptr<metrics::Exporter> make_exporter(const std::string& socket_path,
                                                 const metrics::EventMetrics& events) {
  const auto ask = [socket_path] {
    return ask_admin_json(socket_path, {{"command", "show"}, {"sessions", false}});
  };
  return std::make_shared<metrics::Exporter>(ask, events);
}

/// Who reads the events: both, in the same order.
struct Readers {
  metrics::EventMetrics& events;
  console::Console& console;

  void take(std::string_view line, bool counted) {
    if (const auto event = events.take(line, counted)) console.take_event(*event);
  }
  void take_lines(std::string_view text, bool counted) {
    for (size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
      take(text.substr(0, end), counted);
      text.remove_prefix(end + 1);
    }
  }
};

/// Until Ctrl-C, through as many runs of the program as there are. What the log of the first one
/// has already tells where sessions are, but isn't of our time.
void follow_events(Interrupt& interrupt, const std::string& socket_path, Readers readers) {
  Json request{{"command", "events"}, {"lines", kAllKept}};
  bool counted = false;
  do {
    request["follow"] = false;
    const auto latest = ask_admin(socket_path, request.dump());
    if (latest) {
      readers.take_lines(*latest, counted);
      readers.events.set_following(true);
      request["follow"] = true;  // what came meanwhile is among them
      const auto take = [&](std::string_view line) {
        readers.take(line, true);
        return true;
      };
      if (follow_admin(interrupt, socket_path, request.dump(), take)) return;
      readers.events.set_following(false);
    }
    counted = true;
  } while (!interrupt.wait(kBetweenTries));
}

std::string text_of(const metrics::Exporter& exporter) {
  return prometheus::TextSerializer().Serialize(exporter.Collect());
}

int print_once(const std::string& socket_path) {
  const metrics::EventMetrics events;
  return print_text(text_of(*make_exporter(socket_path, events)));
}

int serve(const std::string& socket_path, const MetricsCommand& command) {
  Interrupt interrupt;  // before all threads, so that they leave the signals to us
  metrics::EventMetrics events;
  const auto exporter = make_exporter(socket_path, events);
  console::Console console(
      [socket_path](const Json& request) { return ask_admin_json(socket_path, request); });
  console::Web web(
      command.listen, command.names, [exporter] { return text_of(*exporter); }, console);
  // It talks to whoever comes, so it keeps next to nothing.
  if (const auto entered = sandbox::enter(sandbox::Mode::kEnforce, {}); !entered) {
    console.stop();
    return complain(entered.error().message);
  }
  std::fprintf(stderr, "jvpn metrics: http://%s/metrics, and the console at http://%s/, of %s\n",
               command.listen.c_str(), command.listen.c_str(), socket_path.c_str());
  follow_events(interrupt, socket_path, {events, console});
  console.stop();
  return 0;
}

}  // namespace

int run_metrics(const std::string& socket_path, const MetricsCommand& command) {
  if (command.list) return print_text(metrics::metric_table_markdown());
  if (command.once) return print_once(socket_path);
  const auto listen = Endpoint::parse(command.listen);
  if (!listen || listen->port == 0) {
    complain(fmt::format("--listen: expected ADDRESS:PORT, as 127.0.0.1:9470 or [::1]:9470, got {}",
                         command.listen));
    return kBadUsage;
  }
  if (!is_loopback(listen->address))
    std::fprintf(
        stderr,
        "jvpn: warning: everybody who reaches %s can read the metrics, and who has sessions from "
        "where: they aren't encrypted, and nobody is asked for a password\n",
        command.listen.c_str());
  try {
    return serve(socket_path, command);
  } catch (const std::exception& error) {  // of the server, which says no more than that
    return complain(fmt::format(
        "can't listen on {}: is the address this host's, and is the port free? Another is "
        "named by --listen ({})",
        command.listen, error.what()));
  }
}

}  // namespace jvpn
