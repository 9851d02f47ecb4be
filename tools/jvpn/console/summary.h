// What the console says of the whole program: rates of what `show` counts, made of two answers.
#pragma once

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

namespace jvpn::console {

using Clock = std::chrono::steady_clock;

/// Not locked: one thread at a time.
class Summary {
 public:
  /// What `show` answered to a question of then.
  void take(const nlohmann::json& show, Clock::time_point asked);
  /// There was no answer; what was counted before is no base for rates.
  void fail(const std::string& why);
  void clear();

  /// Null before the first answer. `{"up": false, "why"}` while there is none; else `up`, the
  /// header of `show`, `states`, `jumps`, `ended`, `peers`, `health`, `troubles`, and with rates a
  /// second `workers`, `ports`, `drops`, `paths`.
  const nlohmann::json& text() const { return text_; }

 private:
  nlohmann::json before_;
  Clock::time_point asked_;
  nlohmann::json text_;
};

}  // namespace jvpn::console
