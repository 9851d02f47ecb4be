// What a person is told whose words jvpn doesn't understand.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace jvpn {

/// In one line: what is wrong, of which command, the word that may have been meant, and who tells
/// more. `error` came of parsing `argv` by `root`.
std::string misuse(const CLI::App& root, const CLI::ParseError& error, int argc, char** argv);

}  // namespace jvpn
