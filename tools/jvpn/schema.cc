// The JSON schema of profiles, made of what their readers ask for.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/profile_parts.h"
#include "common/yaml_reader.h"
#include "tools/jvpn/check.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

/// "one of a, b, c" as its words.
std::vector<std::string> words_of(const std::string& expected) {
  static constexpr std::string_view kBegin = "one of ";
  std::vector<std::string> words;
  if (!expected.starts_with(kBegin)) return words;
  for (size_t at = kBegin.size(); at < expected.size();) {
    const size_t end = std::min(expected.find(", ", at), expected.size());
    words.push_back(expected.substr(at, end - at));
    at = end + 2;
  }
  return words;
}

/// A value by its description in words: what no schema can say, an editor shows.
Json value_schema(const std::string& expected) {
  Json schema{{"description", expected}};
  if (const auto words = words_of(expected); !words.empty()) schema["enum"] = words;
  if (expected == "true or false") schema["type"] = "boolean";
  if (expected.starts_with("an integer") || expected.starts_with("a power of two"))
    schema["type"] = "integer";
  return schema;
}

Json schema_of(const KeySchema& key);

Json map_schema(const KeySchema& map) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const KeySchema& each : map.keys) {
    properties[each.name] = schema_of(each);
    if (each.required) required.push_back(each.name);
  }
  Json schema{
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

Json schema_of(const KeySchema& key) {
  switch (key.form) {
    case KeySchema::Form::kMap:
      return map_schema(key);
    case KeySchema::Form::kMaps:
      return {{"type", "array"}, {"items", map_schema(key)}};
    case KeySchema::Form::kList:
      return {{"type", "array"}, {"items", value_schema(key.expected)}};
    case KeySchema::Form::kValue:
      break;
  }
  return value_schema(key.expected);
}

}  // namespace

int run_schema(const std::string& role) {
  Json schema =
      map_schema(profile_schema(role == "gateway" ? ProfileRole::kGateway : ProfileRole::kClient));
  schema["$schema"] = "http://json-schema.org/draft-07/schema#";
  schema["title"] = "Profile of Jumping VPN, role: " + role;
  return print_text(schema.dump(2) + '\n');
}

}  // namespace jvpn
