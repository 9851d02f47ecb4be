#include "tools/shared/fallback/public_key_pin.h"

#include <openssl/evp.h>

#include "common/openssl_handles.h"
#include "common/profile.h"

namespace jvpn::fallback {

PublicKeyPin pin_of(const X509& certificate) {
  PublicKeyPin pin{};
  unsigned length = pin.size();
  unsigned char* der = nullptr;
  const int bytes = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  openssl::require(bytes > 0);
  const int done =
      EVP_Digest(der, static_cast<size_t>(bytes), pin.data(), &length, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  openssl::require(done == 1);
  return pin;
}

std::string pin_text(const PublicKeyPin& pin) {
  return key_to_base64(pin);
}

}  // namespace jvpn::fallback
