// Events as JSON lines: to a logger, and the latest of them kept in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "control/events.h"

namespace jvpn {

class EventLog {
 public:
  /// `sink` writes a line as it is, and should not block: spdlog's asynchronous loggers don't.
  EventLog(std::string node, std::shared_ptr<spdlog::logger> sink, size_t capacity = 256)
      : node_(std::move(node)), sink_(std::move(sink)), capacity_(capacity) {}

  void add(const Event& event);
  /// Oldest first; at most the capacity.
  const std::deque<std::string>& lines() const { return lines_; }
  uint64_t written() const { return sequence_; }

 private:
  std::string node_;
  std::shared_ptr<spdlog::logger> sink_;
  size_t capacity_;
  uint64_t sequence_ = 0;
  std::deque<std::string> lines_;
};

}  // namespace jvpn
