// The measurement behind `jvpn-perf jump`: the lab, traffic each way, and N jumps of one session,
// one after the other:
//   settled → fault → both ends on another binding → traffic flows → heal → settled → …
// Nothing waits for a fixed time: each arrow is a condition with a bound.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perf/harness/progress.h"
#include "perf/jump/control_tap.h"
#include "perf/jump/jump_options.h"
#include "perf/jump/lab_driver.h"
#include "perf/jump/session_watch.h"
#include "perf/jump/traffic.h"

namespace jvpn::perf {

/// What one direction's traffic suffered by a jump.
struct Blocked {
  uint64_t lost = 0;
  double ms = 0;  ///< lost ÷ offered rate
  double longest_gap_ms = 0;
};

struct JumpRecord {
  Nanos fault_at = 0;  ///< just before the fault was asked for
  Nanos done_at = 0;   ///< traffic flowed again both ways
  std::string from;
  std::string to;
  Blocked up;  ///< from the client
  Blocked down;
  bool session_kept = false;
  bool tcp_kept = false;

  const Blocked& worse() const { return up.ms > down.ms ? up : down; }
};

/// A line of a jump's course.
struct CourseLine {
  Nanos at = 0;
  std::string who;
  std::string what;
};

struct JumpResults {
  std::vector<JumpRecord> jumps;
  std::string policy;
  LabFacts facts;
  double rtt_ms = 0;  ///< measured, of the slowest link
  JumpBound bound;
  uint64_t offered = 0;  ///< probes, both ways
  uint64_t lost_in_jumps = 0;
  uint64_t lost_between = 0;  ///< outside every jump
  uint64_t duplicates = 0;
  std::optional<std::string> failure;  ///< why the run ended early
};

class JumpRun {
 public:
  explicit JumpRun(const JumpOptions& options) : options_(options) {}
  JumpRun(const JumpRun&) = delete;
  JumpRun& operator=(const JumpRun&) = delete;

  /// Measures until done, failed or interrupted; traffic has ended afterwards, the lab still is up.
  JumpResults run();
  /// Events, control messages and losses around a jump, in order of time.
  std::vector<CourseLine> course(const JumpRecord& jump);
  /// Copies the programs' logs to a folder.
  Result<void> keep_logs(const std::string& folder) const;

 private:
  Result<void> prepare();
  Result<void> start_traffic();
  Result<void> measure(const ProgressLine& line);
  Result<void> settle();
  Result<void> jump(JumpRecord& record);
  Result<void> apply_fault();
  Result<void> heal(const std::string& link);
  Result<void> await(const char* what, std::chrono::milliseconds limit,
                     std::chrono::milliseconds step,
                     const std::function<std::optional<std::string>()>& missing);
  std::optional<std::string> not_settled();
  std::optional<std::string> not_attached();
  std::optional<std::string> not_validated() const;
  std::optional<std::string> not_switched(Nanos since);
  std::optional<std::string> not_flowing(Nanos since) const;
  bool policy_allows() const;
  std::string next_link() const;
  Delivery delivery(const ProbeStream& stream, const JumpRecord& record) const;
  void measure(JumpRecord& record) const;
  void finish();

  const JumpOptions& options_;
  JumpResults results_;
  PolicyFacts policy_;
  std::unique_ptr<LabDriver> lab_;
  std::unique_ptr<ControlTap> tap_;
  std::unique_ptr<ProbeStream> up_;
  std::unique_ptr<ProbeStream> down_;
  std::unique_ptr<TcpKeeper> tcp_;
  std::vector<EventFollower> logs_;  ///< gateway, client
  std::string session_id_;
  std::string active_;
  std::optional<std::string> lost_;  ///< what can't be waited for any more
  Nanos bound_at_ = 0;               ///< since when both ends have had the present binding
};

}  // namespace jvpn::perf
