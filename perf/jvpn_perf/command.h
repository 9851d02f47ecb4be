// The commands of jvpn-perf: each adds itself to the command line and is run when it was chosen.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace jvpn::perf {

/// Exit codes besides 0: measured, whatever the figures.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

struct Command {
  CLI::App* parser = nullptr;
  std::function<int()> run;  ///< gives the program's exit code
};

Command add_handshake(CLI::App& app);
Command add_jump(CLI::App& app);
Command add_jump_load(CLI::App& app);
Command add_ndr(CLI::App& app);
Command add_peers(CLI::App& app);
Command add_pipeline(CLI::App& app);
Command add_publish(CLI::App& app);
Command add_report(CLI::App& app);
Command add_scale(CLI::App& app);

}  // namespace jvpn::perf
