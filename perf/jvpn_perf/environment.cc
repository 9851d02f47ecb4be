#include "perf/jvpn_perf/environment.h"

#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace jvpn::perf {
namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  return "unknown";
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
  return {cpu_model(),
          std::thread::hardware_concurrency(),
          std::string(kernel.sysname) + " " + kernel.release,
          kCommit,
          utc_date(),
          load};
}

nlohmann::ordered_json to_json(const Environment& environment) {
  return {{"cpu", environment.cpu},       {"cpus", environment.cpus},
          {"kernel", environment.kernel}, {"commit", environment.commit},
          {"date", environment.date},     {"load", environment.load}};
}

}  // namespace jvpn::perf
