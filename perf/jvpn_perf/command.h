// The commands of jvpn-perf: each adds itself to the command line and is run when it was chosen.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

namespace jvpn::perf {

struct Command {
  CLI::App* parser = nullptr;
  std::function<int()> run;  ///< the program's exit code
};

Command add_jump(CLI::App& app);

}  // namespace jvpn::perf
