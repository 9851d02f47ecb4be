// Results whose value goes to a place that exists already. Any thread.
#pragma once

#include <utility>

#include "common/result.h"

namespace jvpn::perf {

/// Moves the value to `place`, or gives the error.
template <typename T>
Result<void> keep(T& place, Result<T> made) {
  if (!made) return made.error();
  place = *std::move(made);
  return {};
}

}  // namespace jvpn::perf
