// A public key of a certificate as a profile pins it: SHA-256 of its SubjectPublicKeyInfo
// (RFC 7469, 2.4).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <openssl/x509.h>

namespace jvpn::fallback {

using PublicKeyPin = std::array<uint8_t, 32>;

PublicKeyPin pin_of(const X509& certificate);
/// In base64.
std::string pin_text(const PublicKeyPin& pin);

}  // namespace jvpn::fallback
