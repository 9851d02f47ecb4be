#include "tools/shared/sandbox/sandbox.h"

#include <algorithm>

#include "common/assert.h"
#include "tools/shared/sandbox/files.h"

namespace jvpn::sandbox {
const std::vector<std::string>& mode_words() {
  static const std::vector<std::string> words{"enforce", "log", "off"};
  return words;
}

Mode mode_of(const std::string& word) {
  const auto& words = mode_words();
  const auto at = std::find(words.begin(), words.end(), word) - words.begin();
  JVPN_ASSERT(at <= static_cast<long>(Mode::kOff), "the command line was checked");
  return static_cast<Mode>(at);
}

Result<std::string> enter(Mode mode, const Needs& needs) {
  std::string missing;
  if (mode == Mode::kOff) return missing;
  if (const auto kept = keep_only(needs.capabilities); !kept)
    return Error{"capabilities can't be given up: " + kept.error().message};
  if (mode == Mode::kEnforce) {
    const auto restricted = write_only_beneath(needs.folders);
    if (!restricted)
      return Error{"writing to files can't be restricted: " + restricted.error().message};
    if (!*restricted)
      missing =
          "this kernel has no Landlock: what takes the program over can write all of its user's "
          "files";
  }
  const Refusal refusal = mode == Mode::kEnforce ? Refusal::kEnd : Refusal::kLog;
  if (const auto restricted = restrict_system_calls(needs.calls, refusal); !restricted)
    return Error{"system calls can't be restricted: " + restricted.error().message +
                 "; a kernel with CONFIG_SECCOMP_FILTER is expected"};
  return missing;
}

}  // namespace jvpn::sandbox
