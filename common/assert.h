// Assertions state what the reader would otherwise have to prove: preconditions, found iterators,
// one active binding, deadlines that rise. A failed one ends the program.
#pragma once

namespace jvpn {

/// Prints where and what, then aborts. Any thread.
[[noreturn]] void assertion_failed(const char* condition, const char* message, const char* file,
                                   int line);

}  // namespace jvpn

/// For control: on in every build. `message` is a literal that says what is wrong.
#define JVPN_ASSERT(condition, message) \
  (static_cast<bool>(condition)         \
       ? static_cast<void>(0)           \
       : ::jvpn::assertion_failed(#condition, message, __FILE__, __LINE__))
