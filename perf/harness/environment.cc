#include <cstdlib>
#include <ctime>
#include <thread>

#include <fmt/chrono.h>

#include "common/aead.h"
#include "perf/harness/command.h"

namespace jvpn::perf {

extern const char* const kCommit;  // `git describe` of what was built

namespace {

std::string ipsec_mb_architecture() {
  const auto aead = Aead::create();
  return aead ? aead->architecture() : aead.error().message;
}

}  // namespace

Json describe_environment() {
  double load = 0;
  getloadavg(&load, 1);
  return {{"ipsec_mb", ipsec_mb_architecture()},
          {"cpus", std::thread::hardware_concurrency()},
          {"commit", kCommit},
          {"build", JVPN_BUILD},
          {"date", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
          {"load", load}};
}

}  // namespace jvpn::perf
