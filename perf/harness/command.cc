#include "perf/harness/command.h"

#include <cstdio>
#include <thread>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

/// Figures, JSON and tables are Python's. Gives the exit code.
int show(const Json& document) {
  std::FILE* script = ::popen("python3 -B '" JVPN_SOURCE_ROOT "/perf/harness/show.py'", "w");
  if (script == nullptr) return kExitFailed;
  std::fputs(document.dump().c_str(), script);
  const int status = ::pclose(script);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitFailed;
  return code == 0 || code == kExitInterrupted ? code : kExitFailed;
}

}  // namespace

int run_command(const std::string& name, const Needs& needs, bool json,
                const std::function<Result<Measured>()>& measure) {
  const auto say = [&](const std::string& what) {
    std::fprintf(stderr, "jvpn-perf %s: %s\n", name.c_str(), what.c_str());
  };
  if ((needs.root && geteuid() != 0) || std::thread::hardware_concurrency() < needs.cpus) {
    say(std::string("needs ") + needs.why);
    return needs.root ? kExitUsage : kExitFailed;
  }
  catch_interrupts();
  Json environment = describe_environment();  // its load is that before the run
  auto measured = measure();
  if (!measured) {
    if (interrupted()) return kExitInterrupted;
    say(measured.error().message);
    return kExitFailed;
  }
  environment.update(measured->environment);
  return show({{"command", name},
               {"json", json},
               {"measured", std::move(measured->json)},
               {"interrupted", interrupted()},
               {"environment", std::move(environment)}});
}

}  // namespace jvpn::perf
