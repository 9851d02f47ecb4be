// The commands of jvpn-perf and what they share: what a run needs, what becomes of what it
// measured, the exit code.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/result.h"

namespace jvpn::perf {

using Json = nlohmann::ordered_json;

/// Exit codes besides 0: measured, whatever the figures; a broken bar of `isolation` or `storm` is
/// a failure.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

/// What a command measured, from which perf/harness/show.py makes figures and tables.
struct Measured {
  Json json;
  Json environment = Json::object();  ///< of this command alone
};

/// Without root where it is needed a command exits with kExitUsage.
struct Needs {
  bool root = false;
  unsigned cpus = 1;
  const char* why = "";
};

struct Command {
  CLI::App* parser = nullptr;
  std::function<int()> run;  ///< gives the program's exit code
};

/// Checks `needs`, measures, has it shown.
int run_command(const std::string& name, const Needs& needs, bool json,
                const std::function<Result<Measured>()>& measure);

/// `add` puts the options on the parser; Options has a member `json`.
template <typename Options>
Command make_command(CLI::App& app, const char* name, const char* help, const Needs& needs,
                     void (*add)(CLI::App&, Options&),
                     Result<Measured> (*measure)(const Options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* parser = app.add_subcommand(name, help);
  add(*parser, *options);
  return {parser, [=] {
            return run_command(name, needs, options->json, [&] { return measure(*options); });
          }};
}

/// When a measurement was made, and of what: the instruction set that IPsec-MB uses, CPUs, commit
/// and build, UTC date, and the load (processes that ran or wanted to) of the latest minute.
/// show.py adds CPU and kernel.
Json describe_environment();

Command add_handshake(CLI::App& app);
Command add_isolation(CLI::App& app);
Command add_jump(CLI::App& app);
Command add_jump_load(CLI::App& app);
Command add_ndr(CLI::App& app);
Command add_peers(CLI::App& app);
Command add_flood(CLI::App& app);
Command add_pipeline(CLI::App& app);
Command add_publish(CLI::App& app);
Command add_report(CLI::App& app);
Command add_scale(CLI::App& app);
Command add_store(CLI::App& app);
Command add_storm(CLI::App& app);

}  // namespace jvpn::perf
