// Where etcd is, and what proves either side to the other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/secret.h"

namespace jvpn::cluster {

struct EtcdOptions {
  /// `https://10.0.0.1:2379`, `https://[2001:db8::1]:2379`, or http:// where the network is
  /// trusted.
  std::vector<std::string> endpoints;
  std::string ca_file{};           ///< PEM; whoever signed etcd's certificates. Needed by https
  std::string certificate_file{};  ///< PEM; with its chain. Empty: none
  std::string key_file{};          ///< PEM, mode 0600; that of the certificate
};

/// A private key as text; wiped when it goes.
class KeyText {
 public:
  KeyText() = default;
  explicit KeyText(std::string text) : text_(std::move(text)) {}
  KeyText(KeyText&& other) noexcept { text_.swap(other.text_); }
  KeyText& operator=(KeyText&& other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  ~KeyText() { wipe(text_.data(), text_.size()); }

  std::string_view view() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

/// What the files hold, in PEM; empty: none.
struct Credentials {
  std::string ca;
  std::string certificate;
  KeyText key;
};

/// `https://10.0.0.1:2379` as it was given, if it can be one. An Error says what it should be.
Result<void> check_endpoint(const std::string& endpoint);

/// Both of all that they are given: what is wrong with the endpoints or the files.
Result<void> check_options(const EtcdOptions& options);

/// Reads the files, and sees that they hold what they should and that key and certificate are a
/// pair. Blocks; an Error names the file and how to mend it, and never what is in it.
Result<Credentials> read_credentials(const EtcdOptions& options);

}  // namespace jvpn::cluster
