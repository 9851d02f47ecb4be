// `jvpn peer`: who may hold a session with a gateway, one file each. The files are changed first,
// whole or not at all; then the running gateway is asked to apply that one, and nothing else.
#pragma once

#include <string>
#include <vector>

#include "tools/jvpn/peer_files.h"

namespace jvpn {

struct PeerAddition {
  std::vector<std::string> allowed_ips{};  ///< none: addresses of the profile's pool
  std::vector<std::string> endpoints{};    ///< of a peer that the gateway dials
  std::string public_key{};  ///< of a client that made its key itself; empty: one is made for it
  std::string out{};         ///< of the client's bundle; empty: NAME.jvpn here
  bool qr = false;           ///< draw the bundle on the terminal
};

// Each prints what was done and gives the exit status: 0, or kNotRunning when the files are changed
// and no gateway runs that could apply it. 1: refused, nothing has changed.

/// Makes keys and addresses, the peer's file, and the bundle that its client imports.
int run_peer_add(const PeerCommand& command, const PeerAddition& addition);
/// Its session ends, its files go.
int run_peer_remove(const PeerCommand& command);
/// Without a session until it is enabled; it keeps its keys and addresses.
int run_peer_disable(const PeerCommand& command);
int run_peer_enable(const PeerCommand& command);
/// What the files say; nothing is asked of the gateway but where they are.
int run_peer_list(const PeerCommand& command);
int run_peer_show(const PeerCommand& command);

}  // namespace jvpn
