// The latest events of all sessions, for the console: what happened to one of them, and why.
#pragma once

#include <deque>
#include <string>

#include <nlohmann/json.hpp>

#include "tools/jvpn/event_record.h"

namespace jvpn::console {

/// Not locked: one thread at a time.
class Timeline {
 public:
  static constexpr size_t kMost = 16'384;    ///< events that are kept
  static constexpr size_t kOfSession = 200;  ///< that are told of one session, the latest

  explicit Timeline(size_t most = kMost) : most_(most) {}

  /// An event as the page has it, in the order in which eventItem() in panels.js takes
  /// it; null for one that isn't of
  /// a session's life: what an attacker can provoke would push out the rest.
  static nlohmann::json text_of(const EventRecord& event);
  /// What text_of() gave.
  void add(const nlohmann::json& text);
  /// An array, the latest last; of all sessions when `session` is empty.
  nlohmann::json latest(const std::string& session) const;

 private:
  struct Entry {
    std::string session;
    std::string text;
  };
  size_t most_;
  std::deque<Entry> entries_;
};

}  // namespace jvpn::console
