// jvpn-perf jump: options, progress, output.
#include <algorithm>
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/interrupt.h"
#include "perf/jvpn_perf/jump_report.h"
#include "perf/jvpn_perf/progress.h"
#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {
namespace {

void print_courses(const JumpOptions& options, JumpRun& run, const JumpResults& results) {
  std::vector<JumpRecord> worst = results.jumps;
  std::ranges::stable_sort(worst, std::ranges::greater{},
                           [](const JumpRecord& jump) { return jump.worse().ms; });
  worst.resize(std::min<size_t>(worst.size(), options.timelines));
  for (const JumpRecord& jump : worst) {
    const std::string head = fmt::format("\n{} -> {}: blocked up {:.1f} ms, down {:.1f} ms\n",
                                         jump.from, jump.to, jump.up.ms, jump.down.ms);
    std::fputs(head.c_str(), stderr);
    for (const CourseLine& line : run.course(jump)) {
      const std::string text = fmt::format("{:>10.3f} ms  {:<8} {}\n",
                                           to_ms(line.at - jump.fault_at), line.who, line.what);
      std::fputs(text.c_str(), stderr);
    }
  }
}

int run_jump(const JumpOptions& options) {
  if (geteuid() != 0) {
    std::fputs("jvpn-perf jump: needs root, for network namespaces and hugepages\n", stderr);
    return kExitUsage;
  }
  catch_interrupts();
  const Environment environment = describe_environment();
  auto line = std::make_unique<ProgressLine>();
  JumpRun run(options, [&](const JumpResults& results, const std::string& doing) {
    line->show(results.jumps.size(), options.count, doing);
  });
  const JumpResults results = run.run();
  line.reset();
  if (options.json)
    std::puts(jump_json(options, results, environment).dump(2).c_str());
  else if (!results.jumps.empty())
    std::fputs(jump_table(options, results, environment).c_str(), stdout);
  std::fflush(stdout);
  print_courses(options, run, results);
  if (!options.keep_logs.empty()) {
    if (const auto kept = run.keep_logs(options.keep_logs); !kept)
      std::fprintf(stderr, "jvpn-perf jump: %s\n", kept.error().message.c_str());
  }
  if (results.failure) std::fprintf(stderr, "jvpn-perf jump: %s\n", results.failure->c_str());
  return results.failure ? kExitFailed : results.interrupted ? kExitInterrupted : 0;
}

}  // namespace

Command add_jump(CLI::App& app) {
  auto options = std::make_shared<JumpOptions>();
  CLI::App* parser = app.add_subcommand(
      "jump", "How long traffic stands still while a session jumps, on real packets in the lab");
  add_jump_options(*parser, *options);
  return {parser, [options] { return run_jump(*options); }};
}

}  // namespace jvpn::perf
