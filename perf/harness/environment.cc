#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/chrono.h>
#include <sys/utsname.h>

#include "common/aead.h"
#include "perf/harness/command.h"

namespace jvpn::perf {

extern const char* const kCommit;  // `git describe` of what was built

namespace {

constexpr std::array<std::string_view, 8> kAeadFlags{"aes",  "avx2",      "avx512f", "avx512ifma",
                                                     "gfni", "pclmulqdq", "vaes",    "vpclmulqdq"};

/// A line of the first CPU's.
std::string cpu_line(std::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name) && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::vector<std::string> cpu_flags() {
  std::istringstream words(cpu_line("flags"));
  std::vector<std::string> flags;
  for (std::string word; words >> word;)
    if (std::ranges::find(kAeadFlags, word) != kAeadFlags.end()) flags.push_back(word);
  return flags;
}

std::string ipsec_mb_architecture() {
  const auto aead = Aead::create();
  return aead ? aead->architecture() : aead.error().message;
}

}  // namespace

Json describe_environment() {
  utsname kernel{};
  uname(&kernel);
  double load = 0;
  getloadavg(&load, 1);
  return {{"cpu", cpu_line("model name")},
          {"cpu_flags", cpu_flags()},
          {"ipsec_mb", ipsec_mb_architecture()},
          {"cpus", std::thread::hardware_concurrency()},
          {"kernel", std::string(kernel.sysname) + " " + kernel.release},
          {"commit", kCommit},
          {"build", JVPN_BUILD},
          {"date", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
          {"load", load}};
}

}  // namespace jvpn::perf
