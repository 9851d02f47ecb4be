#include "tools/jvpn/console/web.h"

#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <CivetServer.h>
#include <fmt/format.h>

#include "common/ip.h"
#include "tools/jvpn/console/console_page.h"

namespace jvpn::console {
namespace {

constexpr size_t kThreads = Console::kMostViewers + 8;  ///< a viewer keeps one
constexpr const char* kText = "text/plain; charset=utf-8";

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

bool answer(mg_connection* connection, const char* status, const char* type,
            std::string_view body) {
  write_all(connection,
            fmt::format("{}Content-Length: {}\r\n\r\n", head(status, type), body.size()));
  write_all(connection, body);
  return true;
}

/// A page from elsewhere can't read our answers, but could use up what we have for viewers.
bool is_led_from_elsewhere(mg_connection* connection) {
  const std::string_view site = header(connection, "Sec-Fetch-Site");
  return !is_own_name(header(connection, "Host")) ||
         (!site.empty() && site != "same-origin" && site != "none");
}

class MetricsHandler : public CivetHandler {
 public:
  explicit MetricsHandler(Web::Metrics metrics) : metrics_(std::move(metrics)) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    return answer(connection, "200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics_());
  }

 private:
  Web::Metrics metrics_;
};

/// Of the console's own parts.
class ConsoleHandler : public CivetHandler {
 public:
  explicit ConsoleHandler(Console& console) : console_(console) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    if (is_led_from_elsewhere(connection))
      return answer(
          connection, "403 Forbidden", kText,
          "The console answers under its address, or as localhost, and to its own page.\n");
    return serve(connection);
  }

 protected:
  virtual bool serve(mg_connection* connection) = 0;
  Console& console_;
};

class PageHandler : public ConsoleHandler {
  using ConsoleHandler::ConsoleHandler;
  bool serve(mg_connection* connection) override {
    if (std::strcmp(mg_get_request_info(connection)->local_uri, "/") != 0)
      return answer(connection, "404 Not Found", kText, "Here are / and /metrics.\n");
    return answer(connection, "200 OK", "text/html; charset=utf-8", kPage);
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

bool is_own_name(std::string_view host) {
  const bool in_brackets = host.starts_with('[');
  const size_t end = in_brackets ? host.find(']') : host.rfind(':');
  if (in_brackets && end == std::string_view::npos) return false;
  const std::string_view name = host.substr(in_brackets ? 1 : 0, in_brackets ? end - 1 : end);
  return name == "localhost" || IpAddress::parse(std::string(name)).has_value();
}

struct Web::Server {
  Server(const std::string& listen, Metrics of, Console& console)
      : metrics(std::move(of)),
        page(console),
        stream(console),
        timeline(console),
        civet(options(listen)) {
    civet.addHandler("/metrics", metrics);
    civet.addHandler("/console/stream", stream);
    civet.addHandler("/console/timeline", timeline);
    civet.addHandler("/", page);
  }

  MetricsHandler metrics;
  PageHandler page;
  StreamHandler stream;
  TimelineHandler timeline;
  CivetServer civet;  ///< last: it ends before what it uses
};

Web::Web(const std::string& listen, Metrics metrics, Console& console)
    : server_(std::make_unique<Server>(listen, std::move(metrics), console)) {}

Web::~Web() = default;

}  // namespace jvpn::console
