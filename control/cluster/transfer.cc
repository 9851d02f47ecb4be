#include "control/cluster/transfer.h"

#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "common/bytes.h"

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

/// A message goes behind a byte that is 0, since it isn't compressed, and its length.
constexpr size_t kFrameHeader = 5;
constexpr long kHttpOk = 200;

/// The value of a header of that name, which is in lower case; nullopt: the line is another.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (!line.starts_with(name) || line.size() == name.size() || line[name.size()] != ':')
    return std::nullopt;
  line.remove_prefix(name.size() + 1);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  return line;
}

/// curl before 8.0 sends no second request on a connection whose HTTP/2 wasn't agreed on by TLS
/// (its pull request 10643).
bool keeps_plain_connections() {
  static constexpr unsigned kMended = 0x080000;
  static const unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  return version >= kMended;
}

/// As gRPC sends a message for people. What isn't such an encoding stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const bool encoded = text[i] == '%' && i + 2 < text.size() &&
                         std::from_chars(&text[i + 1], &text[i + 3], value, 16).ptr == &text[i + 3];
    decoded += encoded ? static_cast<char>(value) : text[i];
    if (encoded) i += 2;
  }
  return decoded;
}

}  // namespace

Result<std::unique_ptr<Transfer>> Transfer::create(const Credentials& credentials) {
  std::unique_ptr<Transfer> transfer(new Transfer);
  transfer->easy_.reset(curl_easy_init());
  if (!transfer->easy_ || !transfer->configure(credentials)) {
    return Error{std::string("libcurl can't do what the etcd client needs (") + curl_version() +
                 "): 7.88 with OpenSSL and nghttp2 is expected, and memory"};
  }
  return transfer;
}

bool Transfer::configure(const Credentials& credentials) {
  CURL* const easy = easy_.get();
  for (const char* each : {"Content-Type: application/grpc", "TE: trailers",
                           "Accept:", "Expect:"}) {  // no waiting for leave to send a large body
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
         set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE}) &&
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

bool Transfer::prepare(const std::string& url, std::string_view message) {
  request_.assign(kFrameHeader, '\0');
  store_be32(reinterpret_cast<uint8_t*>(request_.data()) + 1,
             static_cast<uint32_t>(message.size()));
  request_ += message;
  body_.clear();
  grpc_status_.clear();
  grpc_message_.clear();
  curl_says_[0] = '\0';
  header_bytes_ = 0;
  requested_ = too_large_ = repeated_ = false;
  const bool once = !keeps_plain_connections() && url.starts_with("http:");
  return set(easy_.get(), CURLOPT_URL, url.c_str()) &&
         set(easy_.get(), CURLOPT_FORBID_REUSE, once ? 1L : 0L) &&
         set(easy_.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.size())) &&
         set(easy_.get(), CURLOPT_POSTFIELDS, request_.data());
}

Result<std::string> Transfer::finish(CURLcode code) {
  request_ = {};  // it may be large, and the next one may come late
  std::string body = std::exchange(body_, {});
  if (auto fine = judge(code); !fine) return fine.error();
  const bool whole =
      body.size() >= kFrameHeader && body[0] == '\0' &&
      load_be32(reinterpret_cast<const uint8_t*>(body.data()) + 1) == body.size() - kFrameHeader;
  if (!whole) return Error{"the answer isn't one message, not compressed"};
  body.erase(0, kFrameHeader);
  return body;
}

/// In TLS 1.3 a client hears only after its first bytes that its certificate is refused, and then
/// curl may see nothing but a connection that is closed.
bool Transfer::is_turned_away(CURLcode code) const {
  long connections = 0;
  const char* scheme = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &connections);
  curl_easy_getinfo(easy_.get(), CURLINFO_SCHEME, &scheme);
  const bool encrypted = scheme != nullptr && curl_strequal(scheme, "https") != 0;
  return (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) && encrypted && connections == 1 &&
         header_bytes_ == 0;
}

/// Whether there is an answer by the server's own word.
Result<void> Transfer::judge(CURLcode code) const {
  if (too_large_) return Error{"the answer is larger than 4 MiB, or its header than 64 KiB"};
  if (repeated_) return Error{"the connection was closed before the answer"};
  if (code != CURLE_OK) {
    std::string why = curl_says_[0] != '\0' ? curl_says_.data() : curl_easy_strerror(code);
    if (is_turned_away(code)) why += "; etcd ends so whose certificate it doesn't accept";
    return Error{std::move(why)};
  }
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (grpc_status_ == "0" && status == kHttpOk) return {};
  const std::string said = percent_decoded(grpc_message_);
  const char* const colon = said.empty() ? "" : ": ";
  if (status == kHttpOk && !grpc_status_.empty())
    return Error{fmt::format("gRPC status {}{}{}", grpc_status_, colon, said)};
  if (status == kHttpOk) return Error{"the answer has no gRPC status"};
  return Error{fmt::format("HTTP status {}{}{}", status, colon, said)};
}

Transfer* Transfer::of(CURL* easy) {
  char* self = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
  return reinterpret_cast<Transfer*>(self);
}

/// Headers and trailers, a line each; curl gives their names as they came, which HTTP/2 has in
/// lower case.
size_t Transfer::on_header(char* bytes, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.header_bytes_ += size * count;
  transfer.too_large_ |= transfer.header_bytes_ > kLargestHeader;
  if (transfer.too_large_) return 0;
  transfer.note_header({bytes, size * count});
  return size * count;
}

void Transfer::note_header(std::string_view line) {
  if (const auto status = value_of(line, "grpc-status")) grpc_status_ = *status;
  if (const auto message = value_of(line, "grpc-message")) grpc_message_ = *message;
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
