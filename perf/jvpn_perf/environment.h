// Where a measurement was made. Any thread.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace jvpn::perf {

struct Environment {
  std::string cpu;
  std::vector<std::string> cpu_flags;  ///< those that AEADs depend on
  std::string ipsec_mb;                ///< instruction set that it uses
  unsigned cpus = 0;
  std::string kernel;
  std::string commit;  ///< that was built
  std::string build;   ///< how
  std::string date;    ///< UTC, ISO 8601
  double load = 0;     ///< processes that ran or wanted to, over the latest minute
};
Environment describe_environment();
nlohmann::ordered_json to_json(const Environment& environment);

/// `git describe` of what was built.
extern const char kCommit[];

}  // namespace jvpn::perf
