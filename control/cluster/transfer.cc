#include "control/cluster/transfer.h"

#include <utility>

namespace jvpn::cluster {
namespace {

/// Sets an option; false: curl doesn't know it, or has no memory.
template <typename T>
bool set(CURL* easy, CURLoption option, T value) {
  return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

/// Memory that stays where it is while curl may use it.
bool set_blob(CURL* easy, CURLoption option, std::string_view text) {
  if (text.empty()) return true;
  curl_blob blob{};
  blob.data = const_cast<char*>(text.data());  // curl's interface; it only reads
  blob.len = text.size();
  blob.flags = CURL_BLOB_NOCOPY;
  return set(easy, option, &blob);
}

}  // namespace

Result<std::unique_ptr<Transfer>> Transfer::create(const Credentials& credentials) {
  std::unique_ptr<Transfer> transfer(new Transfer);
  transfer->easy_.reset(curl_easy_init());
  if (!transfer->easy_ || !transfer->configure(credentials)) {
    return Error{std::string("libcurl can't do what the etcd client needs (") + curl_version() +
                 "): 7.88 with OpenSSL is expected, and memory"};
  }
  return transfer;
}

bool Transfer::configure(const Credentials& credentials) {
  CURL* const easy = easy_.get();
  for (const char* each : {"Content-Type: application/json", "Accept: application/json",
                           "Expect:"}) {  // no waiting for leave to send a large body
    curl_slist* const longer = curl_slist_append(headers_.get(), each);
    if (longer == nullptr) return false;
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }
  return set(easy, CURLOPT_PRIVATE, this) && set(easy, CURLOPT_ERRORBUFFER, curl_says_.data()) &&
         set(easy, CURLOPT_HTTPHEADER, headers_.get()) &&
         set(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header) &&
         set(easy, CURLOPT_HEADERDATA, this) &&
         set(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body) &&
         set(easy, CURLOPT_WRITEDATA, this) &&
         set(easy, CURLOPT_PREREQFUNCTION, &Transfer::on_request) &&
         set(easy, CURLOPT_PREREQDATA, this) &&
         // Nothing from the environment, and nowhere but where we send it.
         set(easy, CURLOPT_PROXY, "") && set(easy, CURLOPT_FOLLOWLOCATION, 0L) &&
         set(easy, CURLOPT_PROTOCOLS_STR, "http,https") && set(easy, CURLOPT_NOSIGNAL, 1L) &&
         set(easy, CURLOPT_NETRC, long{CURL_NETRC_IGNORED}) &&
         // One connection for each request that is under way: none waits behind another.
         set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
         set(easy, CURLOPT_TCP_KEEPALIVE, 1L) && set(easy, CURLOPT_TCP_KEEPIDLE, 10L) &&
         set(easy, CURLOPT_TCP_KEEPINTVL, 5L) && configure_tls(credentials);
}

bool Transfer::configure_tls(const Credentials& credentials) {
  CURL* const easy = easy_.get();
  const char* const none = nullptr;
  return set(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2}) &&
         set(easy, CURLOPT_SSL_VERIFYPEER, 1L) && set(easy, CURLOPT_SSL_VERIFYHOST, 2L) &&
         // Our CA alone: whoever the system trusts has no say in it.
         set(easy, CURLOPT_CAINFO, none) && set(easy, CURLOPT_CAPATH, none) &&
         set_blob(easy, CURLOPT_CAINFO_BLOB, credentials.ca) &&
         set(easy, CURLOPT_SSLCERTTYPE, "PEM") && set(easy, CURLOPT_SSLKEYTYPE, "PEM") &&
         set_blob(easy, CURLOPT_SSLCERT_BLOB, credentials.certificate) &&
         set_blob(easy, CURLOPT_SSLKEY_BLOB, credentials.key.view());
}

bool Transfer::prepare(const std::string& url, std::string body) {
  request_ = std::move(body);
  body_.clear();
  curl_says_[0] = '\0';
  header_bytes_ = 0;
  requested_ = too_large_ = repeated_ = false;
  return set(easy_.get(), CURLOPT_URL, url.c_str()) &&
         set(easy_.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.size())) &&
         set(easy_.get(), CURLOPT_POSTFIELDS, request_.data());
}

Result<HttpAnswer> Transfer::finish(CURLcode code) {
  request_ = {};  // it may be large, and the next one may come late
  std::string body = std::exchange(body_, {});
  if (too_large_) return Error{"the answer is larger than 16 MiB, or its header than 64 KiB"};
  if (repeated_) return Error{"the connection was closed before the answer"};
  if (code != CURLE_OK) {
    return Error{curl_says_[0] != '\0' ? curl_says_.data() : curl_easy_strerror(code)};
  }
  HttpAnswer answer;
  if (curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer.status) != CURLE_OK) {
    return Error{"the answer has no status"};
  }
  answer.body = std::move(body);
  return answer;
}

Transfer* Transfer::of(CURL* easy) {
  char* self = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
  return reinterpret_cast<Transfer*>(self);
}

size_t Transfer::on_header(char*, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.header_bytes_ += size * count;
  transfer.too_large_ |= transfer.header_bytes_ > kLargestHeader;
  return transfer.too_large_ ? 0 : size * count;
}

size_t Transfer::on_body(char* bytes, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.too_large_ |= size * count > kLargestBody - transfer.body_.size();
  if (transfer.too_large_) return 0;
  transfer.body_.append(bytes, size * count);
  return size * count;
}

int Transfer::on_request(void* self, char*, char*, int, int) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.repeated_ = std::exchange(transfer.requested_, true);
  return transfer.repeated_ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

}  // namespace jvpn::cluster
