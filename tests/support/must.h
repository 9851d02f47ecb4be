// For what can't fail in a sound test.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "common/result.h"

namespace jvpn::test {

/// The value; without one the program ends and says why.
template <typename T>
T must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::abort();
}

}  // namespace jvpn::test
