// What the tests of the event pipeline share: events, conditions, and readers of what is written.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/events/event_log.h"
#include "tests/support/rooms.h"
#include "tests/support/unix_client.h"

namespace jvpn::test {

inline Event some_event(uint64_t number = 1) {
  Event event;
  event.kind = EventKind::kKeyEvent;
  event.reason = Reason::kHandshakeOk;
  event.detail = Detail::kRekeyed;
  event.policy_version = 3;
  event.at = Millis{number};
  event.to_path = Path{1, *Endpoint::parse("192.0.2.2:40000"), *Endpoint::parse("192.0.2.1:51900")};
  return event;
}

/// Waits for a condition; false when it hasn't come true within a minute.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline std::vector<nlohmann::json> parse_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(nlohmann::json::parse(text.substr(at, end - at), nullptr, false));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

inline std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every number from 1 to `last` is an event's line, or one of those that a loss line counts.
inline void expect_complete(const std::vector<nlohmann::json>& lines, uint64_t last,
                            uint64_t& lost) {
  uint64_t at = 0;
  lost = 0;
  for (const auto& line : lines) {
    ASSERT_TRUE(line.is_object());
    const uint64_t sequence = line.at("seq");
    const uint64_t count = line.value("lost", uint64_t{0});
    ASSERT_EQ(count != 0, line.at("reason") == "EVENTS_LOST");
    ASSERT_EQ(sequence - (count == 0 ? 1 : count), at) << line.dump();
    lost += count;
    at = sequence;
  }
  EXPECT_EQ(at, last);
}

class EventFolder : public testing::Test {
 protected:
  EventFolder() {
    char folder[] = "/tmp/jvpn-events-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~EventFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  EventSinkProfile file(const std::string& name) const {
    return {EventSinkKind::kFile, path(name)};
  }
  EventSinkProfile unix_socket(const std::string& name) const {
    return {EventSinkKind::kUnix, path(name)};
  }
  std::vector<nlohmann::json> lines_of(const std::string& name) const {
    return parse_lines(text_of_file(path(name)));
  }

  std::string folder_;
};

inline EventLogOptions options_with(std::vector<EventSinkProfile> sinks, size_t ring = 4'096) {
  return {"n1", "jvpn-test", ring, std::move(sinks), nullptr};
}

/// A collector of lines on a unix socket.
class Collector {
 public:
  explicit Collector(const std::string& path) : listener_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    const sockaddr_un address = unix_address(path);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 4), 0);
  }
  ~Collector() {
    hang_up();
    close(listener_);
  }
  void accept_one() { connection_ = accept(listener_, nullptr, nullptr); }
  void hang_up() {
    if (connection_ >= 0) close(connection_);
    connection_ = -1;
  }
  /// Reads until so many whole lines have come on this connection.
  std::string read_until(const std::function<bool(const std::string&)>& enough) {
    std::string text;
    char bytes[65'536];
    while (!enough(text)) {
      const ssize_t got = recv(connection_, bytes, sizeof bytes, 0);
      if (got <= 0) break;
      text.append(bytes, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  int listener_ = -1;
  int connection_ = -1;
};

}  // namespace jvpn::test
