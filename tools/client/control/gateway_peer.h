// The one peer of a client's engine.
#pragma once

#include "common/types.h"

namespace jvpn::client::control {

inline constexpr PeerId kGateway{0};

}  // namespace jvpn::client::control
