// What is wrong with one profile: all of it, not only the first.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/profile.h"
#include "common/result.h"

namespace jvpn {

class Findings {
 public:
  explicit Findings(std::string_view file) : file_(file) {}

  /// `key` is dotted and absolute, e.g. `ports[1].mtu`.
  void add(Place place, std::string_view key, std::string_view expected, std::string_view got);

  bool empty() const { return found_.empty(); }
  /// Nothing is wrong at this key or below it.
  bool clean(std::string_view key) const { return !troubled_.contains(std::string(key)); }
  /// One line per finding, in the order of the text.
  Error error() const;

 private:
  struct Finding {
    Place place;
    std::string line;
  };

  std::string file_;
  std::vector<Finding> found_;
  std::unordered_set<std::string> troubled_;  // keys with findings and all their parents
};

/// Values that may stand in the profile once. Remembers where each was first.
class UniqueValues {
 public:
  /// `noun` completes "expected <noun>, got <value> (as <key of the first>)".
  UniqueValues(Findings& findings, std::string_view noun) : findings_(findings), noun_(noun) {}

  /// A finding when `value` was seen before.
  void check(const std::string& value, Place place, const std::string& key);

 private:
  Findings& findings_;
  std::string noun_;
  std::unordered_map<std::string, std::string> first_key_;
};

}  // namespace jvpn
