// The events of one program, read back from the JSON lines that it wrote; and the count of every
// reason code over all tests of this executable.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/reason.h"
#include "control/session/event.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

/// One event, by the names of its JSON members; what a kind doesn't have is empty.
struct ToldEvent {
  std::string event;
  std::string reason;
  std::string detail;
  std::string session;
  std::string from;
  std::string to;
  std::string check;
  std::string result;
  uint64_t version = 0;
  Millis at;
  std::optional<uint64_t> duration_ms;
  std::optional<uint64_t> attempts;
  std::optional<uint64_t> count;
};

enum class Side : uint8_t { kGateway, kClient };

class EventBook {
 public:
  explicit EventBook(Side side) : side_(side) {}

  void add(const std::string& json_line);
  size_t size() const { return lines_.size(); }
  const std::vector<ToldEvent>& lines() const { return lines_; }
  /// How many there are after the first `since`; `detail` and `check` count when given.
  size_t count(EventKind kind, Reason reason, Detail detail = Detail::kNone,
               size_t since = 0) const;
  size_t count(Reason reason, size_t since = 0) const;
  /// STATE_CHANGE events as `ATTACHED>VOLATILE VOLATILITY_SIGNAL`, a detail behind a colon.
  std::vector<std::string> changes(size_t since = 0) const;
  /// The lines as they were written.
  const std::vector<std::string>& text_lines() const { return text_lines_; }
  /// The latest of them, for failure messages.
  std::string text() const;

 private:
  Side side_;
  std::vector<ToldEvent> lines_;
  std::vector<std::string> text_lines_;
};

/// Has `jvpn audit` judge the logs of all nodes together; fails the test unless all is well, or
/// nothing but the `planted` fault is found.
void expect_sound(const std::vector<const EventBook*>& books, const std::string& planted = {});

/// How often each reason was written so far, by gateways and by clients.
const std::map<std::string, std::array<uint64_t, 2>>& reason_totals();

}  // namespace jvpn::test
