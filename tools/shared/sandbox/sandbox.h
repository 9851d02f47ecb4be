// What a program gives up when it has started: capabilities, system calls, other privileges.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "tools/shared/sandbox/capabilities.h"
#include "tools/shared/sandbox/system_calls.h"

namespace jvpn::sandbox {

/// How much is given up.
enum class Mode { kEnforce, kLog, kOff };

/// The option's words, `--sandbox MODE`, and what it says of them.
const std::vector<std::string>& mode_words();
inline constexpr const char* kHelp =
    "what it gives up once started. enforce: capabilities, system calls (it ends at one that isn't "
    "foreseen), and writing elsewhere than in its own folders; log: capabilities, and the kernel's "
    "log tells of calls that aren't foreseen; off: nothing";
inline constexpr const char* kRunWithout = " (--sandbox off runs without)";
/// `word` is one of them.
Mode mode_of(const std::string& word);

/// What a program keeps.
struct Needs {
  Capabilities capabilities;
  std::vector<const char*> calls{};    ///< beside those that all programs make
  std::vector<std::string> folders{};  ///< in which it writes
};

/// Whose path is relative: to where the program was started.
inline std::string folder_of(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).parent_path();
}

/// Of the profile's operator's socket, and of the files that take its events.
template <typename Profile>
std::vector<std::string> folders_of(const Profile& profile) {
  std::vector<std::string> folders{folder_of(profile.admin.socket)};
  for (const auto& sink : profile.events.sinks) {
    if (!sink.path.empty()) folders.push_back(folder_of(sink.path));
  }
  return folders;
}

/// Gives up the rest, in all threads. Returns what this kernel can't take away, for the log; empty:
/// nothing. An Error names what it refused; the program then shouldn't run, or says kRunWithout.
Result<std::string> enter(Mode mode, const Needs& needs);

}  // namespace jvpn::sandbox
