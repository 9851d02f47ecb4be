// A line on the terminal that says how far a run is. Writes nothing when stderr is no terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace jvpn::perf {

class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(size_t done, size_t total, const std::string& doing);

 private:
  std::chrono::steady_clock::time_point started_;
  bool terminal_;
};

/// `[#####.....] 5/10`; `width` characters between the brackets.
std::string progress_bar(size_t done, size_t total, size_t width);

}  // namespace jvpn::perf
