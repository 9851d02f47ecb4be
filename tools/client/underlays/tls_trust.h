// How a client knows the server behind a TCP endpoint: by who vouches for its certificate, by the
// hash of its public key, or by both.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/profile.h"
#include "common/result.h"
#include "tools/shared/fallback/public_key_pin.h"
#include "tools/shared/fallback/tls_stream.h"

namespace jvpn::client::underlays {

class TlsTrust {
 public:
  /// Reads the CA file, if there is one. An Error names it.
  static Result<std::shared_ptr<TlsTrust>> create(const FallbackProfile& profile);

  /// A connection to that endpoint; its handshake fails without a certificate that is valid, if
  /// there is a CA file.
  fallback::TlsStream connect(FileDescriptor socket, const Endpoint& remote,
                              fallback::TlsStream::Bounds bounds) const;
  /// After the handshake: why the server isn't ours, and the mend; nullopt: it is.
  std::optional<std::string> refuse(SSL& ssl) const;
  /// After a handshake that failed: what to look at, behind the reason; may be empty.
  std::string mend(SSL& ssl) const;

 private:
  TlsTrust(fallback::TlsContext context, const FallbackProfile& profile);

  fallback::TlsContext context_;
  FallbackProfile profile_;
};

}  // namespace jvpn::client::underlays
