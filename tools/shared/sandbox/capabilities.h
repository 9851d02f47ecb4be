// What root may do that a program needn't: given up once it has started, capabilities(7).
#pragma once

#include <cstdint>
#include <initializer_list>

#include "common/result.h"

namespace jvpn::sandbox {

/// A set of capabilities: bit N is the kernel's number N.
class Capabilities {
 public:
  Capabilities() = default;
  /// By the kernel's numbers, e.g. CAP_NET_ADMIN.
  Capabilities(std::initializer_list<int> numbers) {
    for (const int number : numbers) add(number);
  }
  void add(int number) { bits_ |= uint64_t{1} << number; }
  uint64_t bits() const { return bits_; }

 private:
  uint64_t bits_ = 0;
};

/// Every thread of this process has these at most from now on, whoever made it; what it doesn't
/// have, it doesn't get. The main thread calls it once, while no other begins new threads. An
/// Error: some thread kept more, and nothing is certain.
Result<void> keep_only(Capabilities kept);

/// Those that some thread of this process may still use. An Error: /proc can't be read.
Result<uint64_t> permitted_in_any_thread();

}  // namespace jvpn::sandbox
