// Runs GoogleTest inside DPDK's environment, with two workers' lcores on the first CPU.
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/support/eal.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto eal = jvpn::test::start_eal({.workers = {0, 0}, .megabytes = 768});
  if (eal) return RUN_ALL_TESTS();
  std::fprintf(stderr, "%s\n", eal.error().message.c_str());
  return 1;
}
