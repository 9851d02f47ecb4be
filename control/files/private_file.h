// Files of secrets: that their owner alone can read them.
#pragma once

#include <optional>
#include <string>

namespace jvpn::files {

struct Unfit {
  std::string expected;
  std::string got;
};

/// What is wrong with an opened file that is to hold a secret; nothing: a regular file, closed to
/// group and others.
std::optional<Unfit> privacy_trouble(int fd);

}  // namespace jvpn::files
