#include "tools/client/underlays/tls_trust.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace jvpn::client::underlays {

using fallback::TlsStream;

TlsTrust::TlsTrust(fallback::TlsContext context, const FallbackProfile& profile)
    : context_(std::move(context)), profile_(profile) {}

Result<std::shared_ptr<TlsTrust>> TlsTrust::create(const FallbackProfile& profile) {
  auto context = fallback::new_tls_context();
  const std::string& file = profile.ca_file.path;
  if (file.empty() && profile.public_keys.empty())
    return Error{"gateway.fallback: expected ca_file or public_key_sha256"};
  if (!file.empty()) {
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context.get(), file.c_str()) != 1)
      return Error{fmt::format("{}: expected a file of certificates in PEM, got {}: {}",
                               profile.ca_file.key, file, fallback::take_tls_error())};
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return std::shared_ptr<TlsTrust>(new TlsTrust(std::move(context), profile));
}

TlsStream TlsTrust::connect(FileDescriptor socket, const Endpoint& remote,
                            TlsStream::Bounds bounds) const {
  TlsStream stream(*context_, std::move(socket), TlsStream::Role::kClient, bounds,
                   profile_.server_name);
  X509_VERIFY_PARAM* const expected = SSL_get0_param(&stream.ssl());
  const size_t bytes = remote.address.is_v4() ? 4 : 16;
  const int set = profile_.server_name.empty()
                      ? X509_VERIFY_PARAM_set1_ip(expected, remote.address.bytes.data(), bytes)
                      : X509_VERIFY_PARAM_set1_host(expected, profile_.server_name.c_str(), 0);
  openssl::require(set == 1);
  return stream;
}

std::optional<std::string> TlsTrust::refuse(SSL& ssl) const {
  const std::unique_ptr<X509, openssl::Freer<X509_free>> shown(SSL_get1_peer_certificate(&ssl));
  if (!shown) return "it shows no certificate, one is expected";
  if (!profile_.ca_file.path.empty() && SSL_get_verify_result(&ssl) != X509_V_OK)
    return "its certificate is refused";
  if (profile_.public_keys.empty()) return std::nullopt;
  const auto pin = fallback::pin_of(*shown);
  if (std::ranges::find(profile_.public_keys, pin) != profile_.public_keys.end())
    return std::nullopt;
  return fmt::format(
      "its public key is {}, expected one of gateway.fallback.public_key_sha256: somebody else "
      "answers, or the gateway has a new key, which belongs in this profile then",
      fallback::pin_text(pin));
}

std::string TlsTrust::mend(SSL& ssl) const {
  if (profile_.ca_file.path.empty()) return {};  // its certificate isn't judged
  switch (SSL_get_verify_result(&ssl)) {
    case X509_V_OK:
      return {};
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "renew it at the gateway and send jvpn-fallback SIGHUP; check this host's clock";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return profile_.server_name.empty()
                 ? "expected the endpoint's address in it: set gateway.fallback.server_name to a "
                   "name that it has"
                 : fmt::format("expected {} in it (gateway.fallback.server_name)",
                               profile_.server_name);
    default:
      return fmt::format("expected one that {} vouches for (gateway.fallback.ca_file)",
                         profile_.ca_file.path);
  }
}

}  // namespace jvpn::client::underlays
