// Linked to every target: what GoogleTest's macros find wrong ends the process, as libFuzzer has
// it.
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  testing::InitGoogleTest(argc, *argv);
  GTEST_FLAG_SET(throw_on_failure, true);
  return 0;
}
