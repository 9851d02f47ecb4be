// Tells ThreadSanitizer of order between threads that DPDK's libraries make: they are not
// instrumented. Nothing in other builds. (DPDK's inline rings and RCU it follows by itself, for
// sanitizer builds take the rings' variant with atomics: RTE_USE_C11_MEM_MODEL in meson.build.)
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace jvpn {

/// What this thread did before, others see after order_after() of the same address.
inline void order_before([[maybe_unused]] const void* at) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(const_cast<void*>(at));
#endif
}
inline void order_after([[maybe_unused]] const void* at) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(const_cast<void*>(at));
#endif
}

}  // namespace jvpn
