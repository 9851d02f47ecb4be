// The certificate and key that jvpn-fallback shows to clients.
#pragma once

#include <string>

#include "common/result.h"
#include "tools/shared/fallback/tls_stream.h"

namespace jvpn::fallback {

struct Credentials {
  TlsContext context;
  std::string warning;     ///< of a certificate that has expired, or soon will; empty: none
  std::string public_key;  ///< its SHA-256 in base64, as a client's profile pins it
};

/// Reads both files. An Error names the file, what is expected of it and the mend: a key that
/// others than its owner may read is refused.
Result<Credentials> load_credentials(const std::string& certificate_file,
                                     const std::string& key_file);

}  // namespace jvpn::fallback
