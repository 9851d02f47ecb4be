// `jvpn audit`: replays event logs, prints each session's timeline and a verdict.
#pragma once

#include <string>
#include <vector>

#include "tools/jvpn/audit_check.h"

namespace jvpn {

struct AuditCommand {
  std::vector<std::string> files;  ///< `-`: standard input
  bool partial = false;
  bool quiet = false;  ///< findings and verdict alone
  bool as_json = false;
};

/// Exit status 0: sound; 1: something broken; 2: a file can't be read; 3: events are missing.
int run_audit(const AuditCommand& command);

/// Timelines, findings and verdict for people. `files` are the names of LogPlace::file.
std::string render_audit(const AuditReport& report, const std::vector<std::string>& files,
                         bool with_timelines, bool with_colours);

}  // namespace jvpn
