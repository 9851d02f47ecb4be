// Certificates that live as long as a test, made by OpenSSL's library.
#pragma once

#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/result.h"

namespace jvpn::test {

/// A certificate authority with keys on P-256.
class Authority {
 public:
  /// Writes its certificate to `file`.
  static Result<Authority> make(const std::string& name, const std::string& file);

  /// Writes `stem`.pem, for either side of a connection, and its key, `stem`.key (0600).
  /// `alternative_names` as OpenSSL takes them: `IP:127.0.0.1,DNS:example.org`; empty: none.
  /// It ends `hours` from now, or so long ago.
  Result<void> issue(const std::string& stem, const std::string& name,
                     const std::string& alternative_names, long hours = 24) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  struct FreeCertificate {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
  using Certificate = std::unique_ptr<X509, FreeCertificate>;

  static Certificate unsigned_certificate(EVP_PKEY* key, const std::string& name);
  static bool extend(X509* certificate, X509* issuer, int nid, const std::string& value);
  static Result<void> write(const std::string& file, X509* certificate);

  Key key_;
  Certificate certificate_;
};

}  // namespace jvpn::test
