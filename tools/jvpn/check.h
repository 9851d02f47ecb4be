// `jvpn check`: reads a profile and its key files as jvpnd or jvpn-client would.
#pragma once

#include <string>

namespace jvpn {

/// Exit status 0: sound; 2: the findings are on standard error, one a line.
int run_check(const std::string& path, bool as_json);
/// The JSON schema of the profiles of that role, `gateway` or `client`, for editors.
int run_schema(const std::string& role);

}  // namespace jvpn
