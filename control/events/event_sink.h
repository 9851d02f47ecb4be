// Where event lines go: standard output, a file, a unix socket, syslog, a collector. Each is used
// by one thread of its own (control/events/event_writer.h), so that it may be slow or dead without
// anyone else noticing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/profile.h"

namespace jvpn::events {

enum class Wrote : uint8_t {
  kAll,
  kBusy,   ///< it takes no more at this moment: write the same line again
  kFailed  ///< EventSink::error() says why; write the same line again, later
};

class EventSink {
 public:
  virtual ~EventSink() = default;

  /// Writes one line, which ends in '\n'; opens what it needs for that. A line that isn't kAll must
  /// be the next one written, too: part of it may be out. Waits 100 ms at most, but for a regular
  /// file or the syslog daemon as long as these take.
  virtual Wrote write(std::string_view line) = 0;
  /// errno of the latest kFailed.
  int error() const { return error_; }

 protected:
  Wrote failed(int error) {
    error_ = error;
    return Wrote::kFailed;
  }
  /// Goes on with a line from `sent_` on.
  Wrote send_line(int descriptor, std::string_view line, bool socket);

  size_t sent_ = 0;  ///< bytes of the present line that are out

 private:
  int error_ = 0;
};

/// `program` is the name that syslog shows.
std::unique_ptr<EventSink> make_event_sink(const EventSinkProfile& profile,
                                           const std::string& program);

}  // namespace jvpn::events
