// The profile of a client that a gateway enrols.
#pragma once

#include <string>

#include "common/noise.h"
#include "common/profile.h"

namespace jvpn {

/// All of it but `underlays`, which only the client's host knows. It dials the endpoints that the
/// gateway's profile gives to clients, else those of its outside ports, and routes into the tunnel
/// what that says, else the networks of the inside ports. `own`: the gateway's public key.
std::string client_profile_text(const GatewayProfile& gateway, const PublicKey& own,
                                const std::string& name, bool preshared);

}  // namespace jvpn
