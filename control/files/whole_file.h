// Files that are there whole or not at all, whatever happens meanwhile.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "common/result.h"

namespace jvpn::files {

enum class Existing : uint8_t { kKeep, kReplace };

/// Writes a file beside its place, has the disk keep it, and moves it there in one step. kKeep: an
/// Error when there is a file already. No copy of the text stays behind. An Error names the path.
Result<void> write_whole(const std::string& path, std::string_view text, mode_t mode,
                         Existing existing);
/// Removes a file for good. One that isn't there is no Error.
Result<void> remove_file(const std::string& path);

}  // namespace jvpn::files
