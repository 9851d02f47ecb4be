#include "tools/jvpn/console/web.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <CivetServer.h>
#include <fmt/format.h>
#include <strings.h>

#include "common/ip.h"
#include "tools/jvpn/console/console_page.h"

namespace jvpn::console {
namespace {

constexpr size_t kThreads = Console::kMostViewers + 8;  ///< a viewer keeps one
constexpr const char* kText = "text/plain; charset=utf-8";
/// Its value is no secret: what counts is that a browser sends it for our own page alone.
constexpr std::string_view kPageCookie = "jvpn_console=1";

std::string_view header(mg_connection* connection, const char* name) {
  const char* const value = mg_get_header(connection, name);
  return value != nullptr ? value : std::string_view();
}

bool write_all(mg_connection* connection, std::string_view bytes) {
  return mg_write(connection, bytes.data(), bytes.size()) == static_cast<int>(bytes.size());
}

/// Of everything: nothing is kept, guessed, framed, or shown to a page from elsewhere.
std::string head(const char* status, const char* type) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Security-Policy: {}\r\n"
      "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
      "Cache-Control: no-store\r\nConnection: close\r\n",
      status, type, kContentSecurityPolicy);
}

bool answer(mg_connection* connection, const char* status, const char* type, std::string_view body,
            const std::string& more = {}) {
  write_all(connection,
            fmt::format("{}{}Content-Length: {}\r\n\r\n", head(status, type), more, body.size()));
  write_all(connection, body);
  return true;
}

/// Browsers tell of it on loopback alone.
bool is_led_from_elsewhere(mg_connection* connection) {
  const std::string_view site = header(connection, "Sec-Fetch-Site");
  return !site.empty() && site != "same-origin" && site != "none";
}

class MetricsHandler : public CivetHandler {
 public:
  MetricsHandler(Web::Metrics metrics, const std::vector<std::string>& names)
      : metrics_(std::move(metrics)), names_(names) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    if (!is_own_name(header(connection, "Host"), names_))
      return answer(connection, "403 Forbidden", kText,
                    "Metrics are given under an address, as localhost, or under a name that "
                    "`jvpn metrics --name NAME` takes.\n");
    return answer(connection, "200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics_());
  }

 private:
  Web::Metrics metrics_;
  const std::vector<std::string>& names_;
};

/// Of the console's own parts.
class ConsoleHandler : public CivetHandler {
 public:
  ConsoleHandler(Console& console, const std::vector<std::string>& names)
      : console_(console), names_(names) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    if (is_led_from_elsewhere(connection) || !is_own_name(header(connection, "Host"), names_) ||
        !may(connection))
      return answer(connection, "403 Forbidden", kText,
                    "The console answers under its address, as localhost, or under a name that "
                    "`jvpn metrics --name NAME` takes, and to its own page.\n");
    return serve(connection);
  }

 protected:
  /// A page from elsewhere can't read our answers, but could use up what we have for viewers.
  virtual bool may(mg_connection* connection) {
    return has_page_cookie(header(connection, "Cookie"));
  }
  virtual bool serve(mg_connection* connection) = 0;
  Console& console_;

 private:
  const std::vector<std::string>& names_;
};

class PageHandler : public ConsoleHandler {
  using ConsoleHandler::ConsoleHandler;
  bool may(mg_connection*) override { return true; }
  bool serve(mg_connection* connection) override {
    if (std::strcmp(mg_get_request_info(connection)->local_uri, "/") != 0)
      return answer(connection, "404 Not Found", kText, "Here are / and /metrics.\n");
    return answer(
        connection, "200 OK", "text/html; charset=utf-8", kPage,
        fmt::format("Set-Cookie: {}; Path=/console; SameSite=Strict; HttpOnly\r\n", kPageCookie));
  }
};

class StreamHandler : public ConsoleHandler {
  using ConsoleHandler::ConsoleHandler;
  bool serve(mg_connection* connection) override {
    bool begun = false;
    const bool watched = console_.watch([&](std::string_view bytes) {
      if (!std::exchange(begun, true) &&
          !write_all(connection, head("200 OK", "text/event-stream") + "\r\nretry: 1000\n\n"))
        return false;
      return write_all(connection, bytes);
    });
    if (watched) return true;
    return answer(connection, "503 Service Unavailable", kText, "There are viewers enough.\n");
  }
};

class TimelineHandler : public ConsoleHandler {
  using ConsoleHandler::ConsoleHandler;
  bool serve(mg_connection* connection) override {
    std::string session;
    CivetServer::getParam(connection, "session", session);
    return answer(connection, "200 OK", "application/json", console_.timeline(session));
  }
};

std::vector<std::string> options(const std::string& listen) {
  // Whoever opens connections and says nothing, or doesn't read, keeps nobody else out for long.
  return {"listening_ports",    listen, "num_threads", std::to_string(kThreads),
          "request_timeout_ms", "2000", "tcp_nodelay", "1"};
}

}  // namespace

bool has_page_cookie(std::string_view cookies) {
  while (!cookies.empty()) {
    const size_t end = std::min(cookies.find(';'), cookies.size());
    std::string_view each = cookies.substr(0, end);
    each.remove_prefix(std::min(each.find_first_not_of(' '), each.size()));
    if (each == kPageCookie) return true;
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
  }
  return false;
}

bool is_own_name(std::string_view host, std::span<const std::string> names) {
  const bool in_brackets = host.starts_with('[');
  const size_t end = in_brackets ? host.find(']') : host.rfind(':');
  if (in_brackets && end == std::string_view::npos) return false;
  const std::string_view name = host.substr(in_brackets ? 1 : 0, in_brackets ? end - 1 : end);
  const std::string text(name);
  const auto is = [&](const std::string& own) {
    return strcasecmp(own.c_str(), text.c_str()) == 0 && !own.empty();
  };
  return is("localhost") || IpAddress::parse(text).has_value() || std::ranges::any_of(names, is);
}

struct Web::Server {
  Server(const std::string& listen, std::vector<std::string> own, Metrics of, Console& console)
      : names(std::move(own)),
        metrics(std::move(of), names),
        page(console, names),
        stream(console, names),
        timeline(console, names),
        civet(options(listen)) {
    civet.addHandler("/metrics", metrics);
    civet.addHandler("/console/stream", stream);
    civet.addHandler("/console/timeline", timeline);
    civet.addHandler("/", page);
  }

  const std::vector<std::string> names;
  MetricsHandler metrics;
  PageHandler page;
  StreamHandler stream;
  TimelineHandler timeline;
  CivetServer civet;  ///< last: it ends before what it uses
};

Web::Web(const std::string& listen, std::vector<std::string> names, Metrics metrics,
         Console& console)
    : server_(std::make_unique<Server>(listen, std::move(names), std::move(metrics), console)) {}

Web::~Web() = default;

}  // namespace jvpn::console
