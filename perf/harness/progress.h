// A line on the terminal that says how far a run is. Writes nothing when stderr is no terminal.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace jvpn::perf {

/// `[#####.....] 5/10`; `width` characters between the brackets.
inline std::string progress_bar(size_t done, size_t total, size_t width) {
  const size_t filled = total == 0 ? 0 : std::min(width, done * width / total);
  return fmt::format("[{}{}] {}/{}", std::string(filled, '#'), std::string(width - filled, '.'),
                     done, total);
}

class ProgressLine {
 public:
  ProgressLine() = default;
  ~ProgressLine() {
    if (terminal_) std::fputs("\r\033[K", stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(size_t done, size_t total, const std::string& doing) const {
    using std::chrono::floor, std::chrono::seconds;
    if (!terminal_) return;
    const auto elapsed = floor<seconds>(std::chrono::steady_clock::now() - started_).count();
    const std::string text = fmt::format("\r\033[K{} {}:{:02} {}", progress_bar(done, total, 30),
                                         elapsed / 60, elapsed % 60, doing);
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
  }

 private:
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  bool terminal_ = isatty(STDERR_FILENO) != 0;
};

}  // namespace jvpn::perf
