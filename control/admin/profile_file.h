// Profiles and keys from files: what common/profile.h must not read itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/noise.h"
#include "common/profile.h"
#include "common/result.h"
#include "common/secret.h"

namespace jvpn::admin {

/// The whole text of a file. An Error names the path and the cause.
Result<std::string> read_text_file(const std::string& path);

/// A path of the profile as the program must open it: relative ones start at the profile's folder.
std::string resolve_path(std::string_view path, std::string_view profile_path);

/// A base64 key (private or preshared) from a regular file that its owner alone may read. An Error
/// has the form `file:line:column: key: expected …, got …`; what the file holds is never repeated.
Result<SecretKey> read_key_file(const FileReference& file, std::string_view profile_path);

struct LoadedGateway {
  std::string path;        ///< of the profile
  GatewayProfile profile;  ///< its peers, and behind them those of its directory, by name
  SecretKey private_key;
  std::vector<std::optional<PresharedKey>> preshared;  ///< one for each of profile.peers
};

struct LoadedClient {
  std::string path;  ///< of the profile
  ClientProfile profile;
  SecretKey private_key;
  std::optional<PresharedKey> preshared;
};

/// Profile and all its keys, or every finding, one a line. The paths of the admin
/// socket, the event sinks and the directory of peers are resolved.
Result<LoadedGateway> load_gateway(const std::string& path);
Result<LoadedClient> load_client(const std::string& path);

/// What is allowed and yet seldom meant, for the operator; empty: nothing. A worker on control's
/// CPU is such: one that polls is refused, one that sleeps when idle takes half of the CPU under
/// load, by turns of milliseconds, and on a machine of few CPUs there is no other way.
std::string warning(const GatewayProfile& profile);

}  // namespace jvpn::admin
