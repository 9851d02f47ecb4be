// What the commands share: reading an answer's fields, and writing to standard output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "tools/jvpn/text_table.h"

namespace jvpn {

/// Digits of a session id that a table shows.
inline constexpr size_t kShortIdDigits = 8;

/// A field of an object, or null.
const nlohmann::json& field(const nlohmann::json& object, const char* name);
/// Its text, safe to print, or its number; else `-`.
std::string text_of(const nlohmann::json& object, const char* name);
/// nullopt for anything but a whole number from 0 on.
std::optional<uint64_t> number_of(const nlohmann::json& object, const char* name);
std::optional<double> decimal_of(const nlohmann::json& object, const char* name);
/// A field of microseconds; `-` when it is none.
std::string milliseconds_of(const nlohmann::json& object, const char* name);
/// A field of fractions, as per cent; `-` when it is none.
std::string percent_of(const nlohmann::json& object, const char* name);

/// The texts of an array, joined by commas and safe to print; empty for anything else.
std::string list_of(const nlohmann::json& array);

Colour colour_of_state(std::string_view state);

/// Standard output is a terminal, and NO_COLOR isn't set.
bool wants_colours();
/// Gives the exit status.
int print_text(const std::string& text);
/// `jvpn: …` to standard error; gives the exit status of a failure.
int complain(const std::string& what);

}  // namespace jvpn
