// The one key of a profile that opening a closed host needs.
#pragma once

#include <string>

#include "common/result.h"

namespace jvpn::client::control {

/// interface.name of a profile that may be unfit for anything else: its keys, folders and other
/// settings are not looked at.
Result<std::string> read_interface_name(const std::string& profile_path);

/// Whether a device could have that name; an Error says why not.
Result<void> check_interface_name(const std::string& name);

}  // namespace jvpn::client::control
