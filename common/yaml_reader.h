// Reads a YAML document by its schema: the code that asks for keys is the schema. Whatever is wrong
// becomes a finding with its place, and reading goes on, so that one run tells everything.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "common/findings.h"
#include "common/profile.h"
#include "common/scalar_kind.h"

namespace jvpn {

enum class Need : uint8_t { kOptional, kRequired };

/// Bounds of a list's length.
struct Count {
  size_t min;
  size_t max;
};

/// A node with its dotted key and its place.
struct YamlValue {
  YAML::Node node;
  std::string key;
  Place place;
};

/// A converted value that still knows where it stands.
template <typename T>
struct Located {
  T value;
  std::string key;
  Place place;
};

/// The only document in `text`, a map; nullopt with a finding when that isn't so.
std::optional<YamlValue> load_yaml(std::string_view text, Findings& findings);

/// How a node is named after "got": its text, cut and made printable, or what it is instead.
std::string describe(const YAML::Node& node);

/// Converts a scalar; nullopt with a finding when it isn't of that kind.
template <typename T>
std::optional<T> read_scalar(const YamlValue& value, const ScalarKind<T>& kind,
                             Findings& findings) {
  if (value.node.IsScalar()) {
    if (auto converted = kind.parse(value.node)) return converted;
  }
  const bool hide = kind.confidential && value.node.IsScalar();
  findings.add(value.place, value.key, kind.expected,
               hide ? "something else (not shown, it may be a secret)" : describe(value.node));
  return std::nullopt;
}

/// A key as a reader asks for it.
struct KeySchema {
  enum class Form : uint8_t { kValue, kList, kMap, kMaps };
  std::string name;
  bool required = false;
  std::string expected;         ///< in words; of a list, of each item
  Form form = Form::kValue;     ///< kValue: a scalar, or what a reader takes apart by itself
  std::vector<KeySchema> keys;  ///< of a map, and of the maps of a list
};

/// One map of the document. Keys that were never asked for are unknown: `finish()` reports them.
class YamlMap {
 public:
  /// Reports keys that stand twice. `value.node` is a map.
  YamlMap(const YamlValue& value, Findings& findings);

  /// A map that has no keys and records those that are asked for, and the maps below it. `findings`
  /// says nothing of use afterwards.
  YamlMap(KeySchema& record, Findings& findings) : findings_(findings), record_(&record) {}

  /// Give true and set `out` when the key is there and valid; else `out` keeps its default.
  template <typename T, typename Out>
  bool required(std::string_view name, const ScalarKind<T>& kind, Out& out) {
    return scalar(name, kind, out, Need::kRequired);
  }
  template <typename T, typename Out>
  bool optional(std::string_view name, const ScalarKind<T>& kind, Out& out) {
    return scalar(name, kind, out, Need::kOptional);
  }

  /// The valid ones of a list of scalars.
  template <typename T>
  std::vector<Located<T>> list(std::string_view name, const ScalarKind<T>& kind, Need need,
                               Count count) {
    std::vector<Located<T>> values;
    for (const YamlValue& item : items(name, need, count, kind.expected)) {
      if (auto converted = read_scalar(item, kind, findings_)) {
        values.push_back({std::move(*converted), item.key, item.place});
      }
    }
    return values;
  }

  /// Runs `body(YamlMap&)` on a map below this one, if it is there.
  template <typename Body>
  void section(std::string_view name, Need need, Body&& body) {
    if (const auto value = take(name, need, "a map")) read_map(*value, findings_, body);
    record_below(name, KeySchema::Form::kMap, body);
  }

  /// Runs `body(YamlMap&)` on each map of a list.
  template <typename Body>
  void sections(std::string_view name, Need need, Count count, Body&& body) {
    for (const YamlValue& item : items(name, need, count, "a map")) {
      read_map(item, findings_, body);
    }
    record_below(name, KeySchema::Form::kMaps, body);
  }

  /// The value of a key. A missing one that is needed is a finding that says what was expected.
  std::optional<YamlValue> take(std::string_view name, Need need, std::string_view expected);
  /// A key that there was once: a finding with `expected`, which says what to do.
  void refuse(std::string_view name, std::string_view expected);
  /// Reports the keys that nobody asked for.
  void finish();

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Where a key's value stands, or the map when the key is missing.
  Place place(std::string_view name) const;
  /// The dotted key of `name` in this map.
  std::string key(std::string_view name) const;
  Findings& findings() { return findings_; }

  /// Runs `body(YamlMap&)` on a value that must be a map, and reports its unknown keys.
  template <typename Body>
  static void read_map(const YamlValue& value, Findings& findings, Body&& body) {
    if (!value.node.IsMap()) {
      findings.add(value.place, value.key, "a map", describe(value.node));
      return;
    }
    YamlMap map(value, findings);
    body(map);
    map.finish();
  }

 private:
  struct Entry {
    std::string name;
    Place key_place;
    YamlValue value;
  };

  void add_entry(const YAML::Node& key, const YAML::Node& value);
  const Entry* find(std::string_view name) const;
  std::vector<YamlValue> items(std::string_view name, Need need, Count count,
                               std::string_view expected);

  /// What was recorded of that key; nullptr: this map doesn't record.
  KeySchema* recorded(std::string_view name);
  template <typename Body>
  void record_below(std::string_view name, KeySchema::Form form, Body&& body) {
    KeySchema* const below = recorded(name);
    if (below == nullptr) return;
    below->form = form;
    YamlMap map(*below, findings_);
    body(map);
  }

  template <typename T, typename Out>
  bool scalar(std::string_view name, const ScalarKind<T>& kind, Out& out, Need need) {
    const auto value = take(name, need, kind.expected);
    if (!value) return false;
    auto converted = read_scalar(*value, kind, findings_);
    if (!converted) return false;
    out = static_cast<Out>(std::move(*converted));
    return true;
  }

  Findings& findings_;
  std::string key_;
  Place place_;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;    // names asked for
  std::vector<std::string> refused_;  // names that have their finding
  KeySchema* record_ = nullptr;
};

}  // namespace jvpn
