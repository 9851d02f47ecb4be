#include "tools/shared/peer_bundle.h"

#include <utility>

#include <fmt/format.h>

#include "common/peer_file.h"
#include "common/profile.h"

namespace jvpn {
namespace {

constexpr std::string_view kVersion = "1";
constexpr std::string_view kProfileMark = "---";

/// The lines before the mark, each `key: value`.
class BundleReader {
 public:
  BundleReader(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  Result<PeerBundle> read() {
    while (next_line()) {
      if (line_ == kProfileMark) return finish();
      if (line_.empty() || line_.front() == '#') continue;
      if (auto taken = take_line(); !taken) return taken.error();
    }
    return finding(kProfileMark, "a line that says so, and the profile behind it", "none");
  }

 private:
  bool next_line() {
    if (text_.empty()) return false;
    const size_t end = text_.find('\n');
    line_ = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    ++number_;
    return true;
  }

  Result<void> take_line() {
    const size_t colon = line_.find(": ");
    const std::string_view key = line_.substr(0, colon);
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : line_.substr(colon + 2);
    if (key == "bundle") {
      versioned_ = value == kVersion;
      if (!versioned_) return finding(key, kVersion, "another: use the gateway's version of jvpn");
    } else if (key == "name") {
      bundle_.name = value;
      if (!is_peer_file_name(value)) return finding(key, kPeerNameForm, "something else");
    } else if (key == "private_key") {
      return take_key(key, value, bundle_.private_key);
    } else if (key == "preshared_key") {
      return take_key(key, value, bundle_.preshared_key);
    } else {
      return finding("bundle", "one of bundle, name, private_key, preshared_key, ---",
                     "something else (not shown, it may be a secret)");
    }
    return {};
  }

  template <typename Key>
  Result<void> take_key(std::string_view key, std::string_view value, std::optional<Key>& into) {
    auto bytes = key_from_base64(value);
    if (!bytes)
      return finding(key, "a key of 32 bytes in base64",
                     "something else (not shown, it may be a secret)");
    into.emplace(*bytes);
    wipe(bytes->data(), bytes->size());
    return {};
  }

  Result<PeerBundle> finish() {
    if (!versioned_) return finding("bundle", "bundle: 1 before the profile", "none");
    if (bundle_.name.empty()) return finding("name", kPeerNameForm, "none");
    if (text_.empty()) return finding("profile", "a client's profile", "nothing");
    bundle_.profile = text_;
    return std::move(bundle_);
  }

  Error finding(std::string_view key, std::string_view expected, std::string_view got) const {
    return Error{profile_finding(file_, {number_, 1}, key, expected, got)};
  }

  std::string_view text_;
  std::string_view file_;
  std::string_view line_;
  uint32_t number_ = 0;
  bool versioned_ = false;
  PeerBundle bundle_;
};

void add_key(std::string& text, std::string_view name, const Secret<32>& key) {
  std::string encoded = key_to_base64(key.bytes());
  text.append(name).append(": ").append(encoded).append("\n");
  wipe(encoded.data(), encoded.size());
}

}  // namespace

std::string private_key_file(std::string_view name) {
  return std::string(name) + ".key";
}
std::string preshared_key_file(std::string_view name) {
  return std::string(name) + ".psk";
}

std::string bundle_text(const PeerBundle& bundle) {
  std::string text;
  text.reserve(4'096 + bundle.profile.size());  // growing would leave copies of the keys behind
  text += fmt::format(
      "# Profile and keys of {0}: keep it secret. On its host: jvpn-client --import {0}{1}\n"
      "bundle: {2}\nname: {0}\n",
      bundle.name, kBundleEnd, kVersion);
  if (bundle.private_key) add_key(text, "private_key", *bundle.private_key);
  if (bundle.preshared_key) add_key(text, "preshared_key", *bundle.preshared_key);
  text.append(kProfileMark).append("\n").append(bundle.profile);
  return text;
}

Result<PeerBundle> parse_bundle(std::string_view text, std::string_view file) {
  return BundleReader(text, file).read();
}

}  // namespace jvpn
