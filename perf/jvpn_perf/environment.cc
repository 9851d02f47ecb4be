#include "perf/jvpn_perf/environment.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include "common/aead.h"

namespace jvpn::perf {
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

std::string utc_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text;
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

}  // namespace

Environment describe_environment() {
  utsname kernel{};
  uname(&kernel);
  double load = 0;
  getloadavg(&load, 1);
  return {cpu_line("model name"),
          cpu_flags(),
          ipsec_mb_architecture(),
          std::thread::hardware_concurrency(),
          std::string(kernel.sysname) + " " + kernel.release,
          kCommit,
          JVPN_BUILD,
          utc_date(),
          load};
}

nlohmann::ordered_json to_json(const Environment& environment) {
  return {{"cpu", environment.cpu},           {"cpu_flags", environment.cpu_flags},
          {"ipsec_mb", environment.ipsec_mb}, {"cpus", environment.cpus},
          {"kernel", environment.kernel},     {"commit", environment.commit},
          {"build", environment.build},       {"date", environment.date},
          {"load", environment.load}};
}

}  // namespace jvpn::perf
