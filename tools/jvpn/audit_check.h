// Replays event logs through the state machine's table (docs/DESIGN.md, events): which of its rules
// the logs of one or more nodes break, and what is missing from them. No I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tools/jvpn/event_record.h"

namespace jvpn {

struct AuditFinding {
  enum class Kind : uint8_t {
    kBroken,     ///< the log shows something that must not be
    kIncomplete  ///< events are missing: nobody can tell
  };
  Kind kind = Kind::kBroken;
  LogPlace place;
  std::string session;  ///< empty: none in particular
  std::string node;
  std::string what;
};

enum class AuditVerdict : uint8_t { kOk, kBroken, kIncomplete };

struct AuditReport {
  /// The events of each session in order of time, over all nodes. The key is its id.
  std::map<std::string, std::vector<EventRecord>> sessions;
  std::vector<std::string> nodes;
  std::vector<AuditFinding> findings;
  uint64_t events = 0;
  uint64_t skipped = 0;   ///< lines that are no events of ours
  uint64_t repeated = 0;  ///< the same line once more

  /// Anything broken outweighs what is missing. Without any event nothing can be told.
  AuditVerdict verdict() const;
};

class Audit {
 public:
  struct Options {
    bool partial = false;  ///< the logs may begin in the middle of sessions' lives
  };

  explicit Audit(Options options) : options_(options) {}

  /// Lines of one node come in the order in which they were written; rotated parts and files of
  /// several nodes in any.
  void add_line(LogPlace place, std::string_view line);
  /// Judges everything that was added. Once.
  AuditReport finish();

 private:
  /// Events of one node with rising numbers, as they stand in one file.
  using Part = std::vector<EventRecord>;

  Options options_;
  AuditReport report_;
  std::map<std::string, std::vector<Part>> nodes_;
  std::map<std::string, uint32_t> latest_file_;  ///< that a node's last part is of
  std::unordered_set<size_t> seen_;              ///< hashes of lines
};

}  // namespace jvpn
