#include "tools/fallback/credentials.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/file_descriptor.h"
#include "control/files/private_file.h"
#include "tools/shared/fallback/public_key_pin.h"

namespace jvpn::fallback {
namespace {

constexpr int kSoonDays = 14;

using Bio = std::unique_ptr<BIO, openssl::Freer<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, openssl::Freer<EVP_PKEY_free>>;

/// Nobody is asked for a passphrase.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<Key> read_key(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file)
    return Error{fmt::format("--key {}: expected a private key in PEM, got: {}", path,
                             std::strerror(errno))};
  if (const auto wrong = files::privacy_trouble(file.get()))
    return Error{fmt::format("--key {}: expected {}, got {} (chmod 0600 {})", path, wrong->expected,
                             wrong->got, path)};
  const Bio bio(BIO_new_fd(file.get(), BIO_NOCLOSE));
  openssl::require(bio != nullptr);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key) return key;
  return Error{fmt::format("--key {}: expected a private key in PEM without a passphrase: {}", path,
                           take_tls_error())};
}

std::string trouble_with_dates(const X509& certificate, const std::string& path) {
  int days = 0;
  int seconds = 0;
  if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(&certificate)) != 1) return {};
  if (days < 0 || seconds < 0)
    return fmt::format(
        "--certificate {}: it has expired, so clients with a ca_file refuse it: renew it, then "
        "SIGHUP",
        path);
  if (days < kSoonDays)
    return fmt::format("--certificate {}: it expires in {} days: renew it, then SIGHUP", path,
                       days);
  return {};
}

}  // namespace

Result<Credentials> load_credentials(const std::string& certificate_file,
                                     const std::string& key_file) {
  ERR_clear_error();
  Credentials made{new_tls_context(), {}, {}};
  SSL_CTX* const context = made.context.get();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    return Error{
        fmt::format("--certificate {}: expected certificates in PEM, the server's first: {}",
                    certificate_file, take_tls_error())};
  const auto key = read_key(key_file);
  if (!key) return key.error();
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return Error{fmt::format("--key {}: expected the key of the certificate in {}: {}", key_file,
                             certificate_file, take_tls_error())};
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  made.warning = trouble_with_dates(*certificate, certificate_file);
  made.public_key = pin_text(pin_of(*certificate));
  return made;
}

}  // namespace jvpn::fallback
