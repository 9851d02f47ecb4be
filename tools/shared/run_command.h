// Runs another program of the host and waits for its end, within a bound.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/result.h"

namespace jvpn {

/// A program, found by PATH, its arguments, and what it reads. No shell looks at any of it.
struct Command {
  std::vector<std::string> words;
  std::string input{};
  bool operator==(const Command&) const = default;
};

/// As somebody would type it.
std::string to_string(const Command& command);

/// Some file of that name in a folder of PATH may be run.
bool is_installed(const std::string& program);

/// What the program printed, both streams together, 16 KiB at most. An Error: it can't be run, it
/// ended with another exit code than 0 (then the Error has what it printed), or not within
/// `patience`: then it was killed.
Result<std::string> run_command(const Command& command, std::chrono::milliseconds patience);

}  // namespace jvpn
