#include "control/cluster/etcd_options.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/ip.h"
#include "control/files/private_file.h"

namespace jvpn::cluster {
namespace {

constexpr size_t kLargestPem = size_t{256} << 10;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;
using Certificate = std::unique_ptr<X509, FreeCertificate>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeKey>;

Error unfit(std::string_view option, const std::string& path, std::string_view expected,
            std::string_view got) {
  return Error{fmt::format("etcd {}: expected {}, got {} ({})", option, expected, got, path)};
}

/// The text of a file; `secret`: only when its owner alone can read it.
Result<std::string> read_pem(std::string_view option, const std::string& path, bool secret) {
  // Non-blocking, so that a FIFO can't hold the program up.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return unfit(option, path, "a readable file", std::strerror(errno));
  if (secret) {
    if (const auto wrong = files::privacy_trouble(file.get())) {
      return unfit(option, path, wrong->expected, wrong->got);
    }
  }
  std::string text(kLargestPem, '\0');  // never grows, so a secret leaves no copies behind
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int cause = errno;
      wipe(text.data(), length);
      return unfit(option, path, "a readable file", std::strerror(cause));
    }
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  if (length == text.size()) {
    wipe(text.data(), length);
    return unfit(option, path, "PEM", "a file of 256 KiB or more");
  }
  text.resize(length);
  return text;
}

Bio memory_bio(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// The first certificate in a text.
Certificate first_certificate(std::string_view text) {
  const Bio bio = memory_bio(text);
  Certificate found(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  return found;
}

/// Without it OpenSSL would ask for a passphrase at the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

PrivateKey private_key(std::string_view text) {
  const Bio bio = memory_bio(text);
  PrivateKey found(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)
                       : nullptr);
  ERR_clear_error();
  return found;
}

Result<std::string> read_certificate(std::string_view option, const std::string& path) {
  auto text = read_pem(option, path, false);
  if (text && !first_certificate(*text)) {
    return unfit(option, path, "a certificate in PEM", "something else");
  }
  return text;
}

Result<KeyText> read_key(const std::string& path) {
  auto text = read_pem("key_file", path, true);
  if (!text) return text.error();
  KeyText key(*std::move(text));
  if (!private_key(key.view())) {
    return unfit("key_file", path, "a private key in PEM, without a passphrase", "something else");
  }
  return key;
}

bool belong_together(const Credentials& credentials) {
  const Certificate certificate = first_certificate(credentials.certificate);
  const PrivateKey key = private_key(credentials.key.view());
  const bool pair = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return pair;
}

}  // namespace

Result<void> check_endpoint(const std::string& endpoint) {
  std::string_view rest = endpoint;
  const size_t scheme = rest.find("://");
  const std::string_view name = rest.substr(0, std::min(scheme, rest.size()));
  if (scheme != std::string_view::npos) rest.remove_prefix(scheme + 3);
  const auto place = Endpoint::parse(rest);
  if ((name == "https" || name == "http") && place && place->port != 0) return {};
  return Error{fmt::format(
      "etcd endpoint {}: expected https://ADDRESS:PORT with nothing behind it, such as "
      "https://10.0.0.1:2379 or https://[2001:db8::1]:2379. It must be an address: a gateway can't "
      "wait for a name server",
      endpoint)};
}

Result<Credentials> read_credentials(const EtcdOptions& options) {
  const bool tls = std::ranges::any_of(
      options.endpoints, [](const std::string& each) { return each.starts_with("https:"); });
  if (tls && options.ca_file.empty()) {
    return Error{
        "etcd ca_file: expected the certificate that signed etcd's, because an endpoint "
        "is https; got none"};
  }
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return Error{"etcd certificate_file and key_file: expected both or none, got one"};
  }
  Credentials credentials;
  if (!options.ca_file.empty()) {
    auto ca = read_certificate("ca_file", options.ca_file);
    if (!ca) return ca.error();
    credentials.ca = *std::move(ca);
  }
  if (options.key_file.empty()) return credentials;
  auto certificate = read_certificate("certificate_file", options.certificate_file);
  if (!certificate) return certificate.error();
  auto key = read_key(options.key_file);
  if (!key) return key.error();
  credentials.certificate = *std::move(certificate);
  credentials.key = *std::move(key);
  if (!belong_together(credentials)) {
    return unfit("key_file", options.key_file, "the key of certificate_file",
                 "that of another certificate");
  }
  return credentials;
}

Result<void> check_options(const EtcdOptions& options) {
  for (const std::string& each : options.endpoints)
    if (auto fit = check_endpoint(each); !fit) return fit;
  const auto credentials = read_credentials(options);
  return credentials ? Result<void>{} : Result<void>{credentials.error()};
}

}  // namespace jvpn::cluster
