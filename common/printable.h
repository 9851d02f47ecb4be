// Text from outside made safe for a terminal.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace jvpn {

/// Control characters but line ends become question marks.
inline std::string printable_lines(std::string_view text) {
  std::string result(text);
  std::ranges::replace_if(
      result, [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; }, '?');
  return result;
}
/// Line ends, too.
inline std::string printable(std::string_view text) {
  std::string result = printable_lines(text);
  std::ranges::replace(result, '\n', '?');
  return result;
}

}  // namespace jvpn
