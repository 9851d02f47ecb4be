// Assertions: what must hold whatever comes in. A failed one is a bug of ours, never an input; the
// program prints where and why, and aborts. JVPN_ASSERT is always on, for control and the tools.
// JVPN_DEBUG_ASSERT is for code on the workers: on in debug and sanitizer builds (meson.build
// defines JVPN_DEBUG_ASSERTIONS), otherwise it evaluates nothing and costs nothing.
#pragma once

namespace jvpn {

/// Prints `file:line: assertion failed: condition: message` to stderr and aborts. Any thread.
[[noreturn, gnu::cold]] void assertion_failed(const char* condition, const char* message,
                                              const char* file, int line);

}  // namespace jvpn

#define JVPN_ASSERT(condition, message)                                    \
  do {                                                                     \
    if (!(condition)) [[unlikely]]                                         \
      ::jvpn::assertion_failed(#condition, (message), __FILE__, __LINE__); \
  } while (false)

#ifdef JVPN_DEBUG_ASSERTIONS
#define JVPN_DEBUG_ASSERT(condition, message) JVPN_ASSERT(condition, message)
#else
// Compiled, so that it stays correct, but never evaluated.
#define JVPN_DEBUG_ASSERT(condition, message) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
