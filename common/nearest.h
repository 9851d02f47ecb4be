// The word that somebody probably meant.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace jvpn {

/// The known word that was probably meant: one that goes on from here, or one with few letters
/// different. Empty when none is near, or `word` has more than 63 bytes.
std::string_view nearest(std::string_view word, const std::vector<std::string>& known);

/// ` (did you mean WORD?)`, or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace jvpn
