// jvpn-perf: the performance harness. Exit 0 when it has measured, whatever the figures; 1 when a
// measurement failed or broke a bar of `isolation` or `storm`, 2 for wrong usage, 130 after Ctrl-C.
#include <array>
#include <cstdio>
#include <exception>

#include "perf/harness/command.h"

namespace {

using namespace jvpn::perf;

int run(int argc, char** argv) {
  CLI::App app("Measures Jumping VPN.", "jvpn-perf");
  app.require_subcommand(1);
  const std::array commands{
      add_pipeline(app),  add_publish(app), add_scale(app),     add_ndr(app),   add_handshake(app),
      add_isolation(app), add_jump(app),    add_jump_load(app), add_peers(app), add_report(app),
      add_store(app),     add_storm(app),   add_flood(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  for (const auto& command : commands)
    if (command.parser->parsed()) return command.run();
  return kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "jvpn-perf: %s\n", error.what());
    return 1;
  }
}
