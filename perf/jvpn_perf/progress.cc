#include "perf/jvpn_perf/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace jvpn::perf {
namespace {

constexpr size_t kWidth = 30;

}  // namespace

std::string progress_bar(size_t done, size_t total, size_t width) {
  const size_t filled = total == 0 ? 0 : std::min(width, done * width / total);
  return fmt::format("[{}{}] {}/{}", std::string(filled, '#'), std::string(width - filled, '.'),
                     done, total);
}

ProgressLine::ProgressLine()
    : started_(std::chrono::steady_clock::now()), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressLine::~ProgressLine() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(size_t done, size_t total, const std::string& doing) {
  if (!terminal_) return;
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_)
          .count();
  std::fputs(fmt::format("\r\033[K{} {}:{:02} {}", progress_bar(done, total, kWidth), elapsed / 60,
                         elapsed % 60, doing)
                 .c_str(),
             stderr);
  std::fflush(stderr);
}

}  // namespace jvpn::perf
