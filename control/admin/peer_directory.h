// Peers with files of their own: the directory beside a gateway's profile, `peers.d/NAME.yaml`.
// Files of other names (keys, temporary ones) lie there unread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/noise.h"
#include "common/peer_file.h"
#include "common/profile.h"
#include "common/result.h"
#include "control/admin/peer_diff.h"

namespace jvpn::admin {

/// Of a peer's file.
std::string peer_file_path(std::string_view directory, std::string_view name);

/// The names of the peers in it, in order. An Error names what can't be read, or is misnamed.
Result<std::vector<std::string>> list_peer_files(const std::string& directory);

/// nullopt: there is no such file. An Error has the form of a profile's.
Result<std::optional<PeerFile>> read_peer_file(const std::string& directory,
                                               const std::string& name);

/// The peer with its secret, as load_gateway() has it; nullopt: there is no such file. It isn't
/// compared with other peers. `own`: this node's key, which no peer may have.
Result<std::optional<ConfiguredPeer>> load_peer(const std::string& directory,
                                                const std::string& name, const PublicKey& own);

/// Adds the peers of its directory to those of a profile; gives what is wrong with them, and which
/// have what another peer has. `file` is the profile's; enrolment.directory is resolved. A
/// directory that is not there has no peers, unless the profile names it.
std::vector<std::string> add_enrolled(GatewayProfile& profile, const std::string& file);

}  // namespace jvpn::admin
