// A peer in a file of its own, `NAME.yaml` in the directory of a gateway's peers. Text in, values
// out, and back: the files are read by control/admin/peer_directory.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/profile.h"
#include "common/result.h"

namespace jvpn {

/// What such a file is called behind the peer's name.
inline constexpr std::string_view kPeerFileEnd = ".yaml";
/// Letters, digits and `_ - .`, beginning with a letter, a digit or `_`: no hidden file, and
/// nothing that a command takes for an option.
bool is_peer_file_name(std::string_view name);
/// What is_peer_file_name() expects, for messages.
inline constexpr std::string_view kPeerNameForm =
    "a name of 1 to 63 letters, digits, '_', '-' or '.', the first no '-' or '.'";

/// A peer, with the places of what no other peer may have.
struct PeerFile {
  PeerProfile peer;
  Place key;
  std::vector<Place> prefixes;  ///< one for each of its allowed_ips
};

/// Parses whole or not at all, by the schema of a profile's `peers`, without `name`, and with
/// `enabled`. An Error is that of a profile's parser. What `peer_file_text()` writes, and whoever
/// writes as it does, is read in some microseconds; all other YAML takes a hundred.
Result<PeerFile> parse_peer_file(std::string_view yaml, std::string_view file,
                                 std::string_view name);

/// The file's text: no secret, but for where one lies.
std::string peer_file_text(const PeerProfile& peer);

/// The plain reader alone: nothing for a text that only YAML explains. For tests.
std::optional<PeerFile> read_plain_peer(std::string_view text, std::string_view name);

}  // namespace jvpn
