// Ownership of OpenSSL's objects, and what happens when it has none left.
#pragma once

#include <cstdlib>
#include <memory>

namespace jvpn::openssl {

/// Deleter that calls one of OpenSSL's functions.
template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

/// Aborts when OpenSSL failed where it can only fail without memory, or because its configuration
/// disables the algorithm: nothing can go on then.
inline void require(bool done) {
  if (!done) std::abort();
}

}  // namespace jvpn::openssl
