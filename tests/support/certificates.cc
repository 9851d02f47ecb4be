#include "tests/support/certificates.h"

#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

namespace jvpn::test {
namespace {

constexpr long kHour = 3600;

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

File create_file(const std::string& path, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return nullptr;
  File file(fdopen(fd, "w"));
  if (!file) close(fd);
  return file;
}

}  // namespace

Authority::Certificate Authority::unsigned_certificate(EVP_PKEY* key, const std::string& name) {
  Certificate certificate(X509_new());
  uint64_t serial = 0;
  if (!certificate || RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) {
    return nullptr;
  }
  X509* const x = certificate.get();
  X509_NAME* const subject = X509_get_subject_name(x);
  const bool good = X509_set_version(x, X509_VERSION_3) == 1 &&
                    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1 &&
                    X509_gmtime_adj(X509_getm_notBefore(x), -kHour) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(x), 24 * kHour) != nullptr &&
                    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                               reinterpret_cast<const unsigned char*>(name.c_str()),
                                               -1, -1, 0) == 1 &&
                    X509_set_pubkey(x, key) == 1;
  return good ? std::move(certificate) : nullptr;
}

bool Authority::extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool good = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return good;
}

Result<void> Authority::write(const std::string& file, X509* certificate) {
  const File out = create_file(file, 0644);
  if (!out || PEM_write_X509(out.get(), certificate) != 1) return errno_error(file);
  return {};
}

Result<Authority> Authority::make(const std::string& name, const std::string& file) {
  Authority authority;
  authority.key_.reset(EVP_EC_gen("P-256"));
  if (!authority.key_) return Error{"no key for an authority"};
  authority.certificate_ = unsigned_certificate(authority.key_.get(), name);
  X509* const x = authority.certificate_.get();
  if (x == nullptr || X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 ||
      !extend(x, x, NID_basic_constraints, "critical,CA:TRUE") ||
      !extend(x, x, NID_key_usage, "critical,keyCertSign") ||
      X509_sign(x, authority.key_.get(), EVP_sha256()) == 0) {
    return Error{"no certificate for an authority"};
  }
  const auto written = write(file, x);
  if (!written) return written.error();
  return authority;
}

Result<void> Authority::issue(const std::string& stem, const std::string& name,
                              const std::string& alternative_names, long hours) const {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return Error{"no key for " + stem};
  const Certificate certificate = unsigned_certificate(key.get(), name);
  X509* const x = certificate.get();
  if (x == nullptr || X509_set_issuer_name(x, X509_get_subject_name(certificate_.get())) != 1 ||
      X509_gmtime_adj(X509_getm_notBefore(x), (hours < 0 ? 2 * hours : -1) * kHour) == nullptr ||
      X509_gmtime_adj(X509_getm_notAfter(x), hours * kHour) == nullptr ||
      !extend(x, certificate_.get(), NID_key_usage, "critical,digitalSignature") ||
      !extend(x, certificate_.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      (!alternative_names.empty() &&
       !extend(x, certificate_.get(), NID_subject_alt_name, alternative_names)) ||
      X509_sign(x, key_.get(), EVP_sha256()) == 0) {
    return Error{"no certificate for " + stem};
  }
  const File out = create_file(stem + ".key", 0600);
  if (!out ||
      PEM_write_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return errno_error(stem + ".key");
  }
  return write(stem + ".pem", x);
}

}  // namespace jvpn::test
