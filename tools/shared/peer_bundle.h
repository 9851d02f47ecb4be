// What a gateway's operator hands to a new client: its profile and its keys in one secret file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/noise.h"
#include "common/result.h"

namespace jvpn {

/// What such a file is called behind the peer's name.
inline constexpr std::string_view kBundleEnd = ".jvpn";

struct PeerBundle {
  std::string name;                      ///< of the peer: safe for files
  std::optional<SecretKey> private_key;  ///< none: the client made its own
  std::optional<PresharedKey> preshared_key;
  std::string profile;  ///< role: client, but for `underlays`, which only the client's host knows
};

/// Of NAME's files, which the profile names.
std::string private_key_file(std::string_view name);
std::string preshared_key_file(std::string_view name);

/// The file's text. Whoever has it wipes it.
std::string bundle_text(const PeerBundle& bundle);
/// An Error names line, key and what was expected; nothing of the text is repeated.
Result<PeerBundle> parse_bundle(std::string_view text, std::string_view file);

}  // namespace jvpn
