// `jvpn-client --import FILE`: what `jvpn peer add` wrote becomes this host's profile and key
// files.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace jvpn::client::control {

struct ImportOrder {
  std::string file;  ///< mode 0600
  std::string directory = "/etc/jvpn";
  std::vector<std::string> devices;  ///< the underlays; none: those that a default route leaves by
};

/// Writes NAME.yaml and its key files, mode 0600, all or none; existing files stay as they are, and
/// are an Error. Gives the profile's path.
Result<std::string> import_bundle(const ImportOrder& order);

/// The devices of default routes, as /proc/net/route and /proc/net/ipv6_route list them, by metric,
/// each once.
std::vector<std::string> default_route_devices(const std::string& ipv4, const std::string& ipv6);

}  // namespace jvpn::client::control
