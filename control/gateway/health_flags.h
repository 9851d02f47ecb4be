// What is wrong with a gateway now, by name. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace jvpn::gateway {

enum class Severity : uint8_t { kDegraded, kFailed };

struct HealthFlag {
  const char* name;  ///< a literal
  Severity severity;
  std::string what;               ///< for the operator
  std::optional<uint64_t> count;  ///< of what was refused so far for this
};

class HealthFlags {
 public:
  /// Several may have one name.
  void raise(const char* name, Severity severity, std::string what,
             std::optional<uint64_t> count = std::nullopt) {
    all_.push_back({name, severity, std::move(what), count});
  }
  const std::vector<HealthFlag>& all() const { return all_; }

 private:
  std::vector<HealthFlag> all_;
};

}  // namespace jvpn::gateway
