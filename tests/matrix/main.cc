// Runs GoogleTest inside DPDK's environment, without hugepages, devices or files; at the end, the
// coverage of rows and reasons is judged.
#include <cstdio>
#include <vector>

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <spdlog/spdlog.h>

#include "tests/matrix/coverage.h"
#include "tests/support/rooms.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::vector<const char*> arguments{argv[0],          "--no-huge",      "--no-shconf", "--no-pci",
                                     "--no-telemetry", "--iova-mode=va", "-m",          "512",
                                     "--lcores=0@0"};
  if (rte_eal_init(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data())) < 0) {
    std::fputs("DPDK can't start\n", stderr);
    return 1;
  }
  spdlog::set_level(spdlog::level::off);  // tests provoke what operators should read
  testing::AddGlobalTestEnvironment(new jvpn::test::Coverage);
  const int failed = RUN_ALL_TESTS();
  rte_eal_cleanup();
  return failed;
}
