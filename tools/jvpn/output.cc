#include "tools/jvpn/output.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "common/printable.h"

namespace jvpn {

using Json = nlohmann::json;

const Json& field(const Json& object, const char* name) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string text_of(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_number()) return value.dump();
  return "-";
}

std::optional<uint64_t> number_of(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<int64_t>() < 0)) {
    return std::nullopt;
  }
  return value.get<uint64_t>();
}

std::optional<double> decimal_of(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

std::string milliseconds_of(const Json& object, const char* name) {
  const auto us = decimal_of(object, name);
  return us ? fmt::format("{:.1f} ms", *us / 1'000) : "-";
}

std::string percent_of(const Json& object, const char* name) {
  const auto fraction = decimal_of(object, name);
  return fraction ? fmt::format("{:.1f} %", 100 * *fraction) : "-";
}

std::string list_of(const Json& array) {
  std::string list;
  if (!array.is_array()) return list;
  for (const Json& item : array) {
    if (!item.is_string()) continue;
    if (!list.empty()) list += ", ";
    list += printable(item.get_ref<const std::string&>());
  }
  return list;
}

Colour colour_of_state(std::string_view state) {
  if (state == "ATTACHED") return Colour::kGreen;
  if (state == "TERMINATED") return Colour::kRed;
  if (state == "-" || state == "BIRTH") return Colour::kNone;
  return Colour::kYellow;
}

bool wants_colours() {
  const char* const no_color = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

int print_text(const std::string& text) {
  const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (whole && std::fflush(stdout) == 0) return 0;
  std::perror("jvpn: can't write");
  return 1;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "jvpn: %s\n", what.c_str());
  return 1;
}

}  // namespace jvpn
