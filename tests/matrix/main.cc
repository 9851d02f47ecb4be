// Runs GoogleTest inside DPDK's environment; at the end, the coverage of rows and reasons is
// judged.
#include <cstdio>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/matrix/coverage.h"
#include "tests/support/eal.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto eal = jvpn::test::start_eal({.megabytes = 512});
  if (!eal) {
    std::fprintf(stderr, "%s\n", eal.error().message.c_str());
    return 1;
  }
  spdlog::set_level(spdlog::level::off);  // tests provoke what operators should read
  testing::AddGlobalTestEnvironment(new jvpn::test::Coverage);
  return RUN_ALL_TESTS();
}
