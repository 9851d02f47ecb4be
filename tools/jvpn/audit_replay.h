// One node's sessions, replayed: every row against the table, every companion event that a row
// owes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/jvpn/event_record.h"

namespace jvpn {

struct AuditReport;

/// So long a responder carried a session.
struct ActiveSpan {
  std::string node;
  uint64_t from_ms = 0;
  uint64_t to_ms = 0;
  LogPlace place;  ///< of the row that began it
};
/// By session.
using ActiveSpans = std::map<std::string, std::vector<ActiveSpan>>;

/// Finds two responders that carried one session at the same time. Puts the spans in order of time.
void find_dual_active(ActiveSpans& spans, AuditReport& report);

class SessionReplay {
 public:
  SessionReplay(AuditReport& report, ActiveSpans& spans) : report_(report), spans_(spans) {}

  void add(const EventRecord& event);
  /// Events are missing here: what follows need not fit to what came before.
  void note_gap();
  /// The program ended, or its log does; `ts_ms` is the last that was heard of it.
  void end_run(uint64_t ts_ms);

 private:
  using Owed = uint8_t;  ///< bits: companion events that must follow
  static constexpr Owed kSwitch = 1;
  static constexpr Owed kSingleActive = 2;
  static constexpr Owed kNoReset = 4;
  static constexpr Owed kLimit = 8;
  static constexpr Owed kTimeline = 16;

  struct Track {
    bool known = false;      ///< a row was seen: `row` is the latest
    bool uncertain = false;  ///< others may be missing since
    bool restarted = false;  ///< the program that told of it has ended since
    EventRecord row;
    Owed owed = 0;
    EventRecord owing;                ///< the event that owes
    uint64_t denied_at = UINT64_MAX;  ///< boot_ms of the latest TRANSPORT_SWITCH_DENIED
    uint64_t heard_ms = 0;
    std::string bound;  ///< the path that carries it; empty: not known
    bool active = false;
    ActiveSpan span;  ///< while active
  };

  void take_row(Track& track, const EventRecord& event);
  void check_row(const EventRecord& event);
  void check_continuity(const Track& track, const EventRecord& event);
  void check_life(const Track& track, const EventRecord& event);
  void take_switch(Track& track, const EventRecord& event);
  void take_audit(Track& track, const EventRecord& event);
  void owe(Track& track, const EventRecord& event, Owed owed);
  void settle(Track& track, bool at_end);
  void follow_activity(Track& track, const EventRecord& event);
  void end_activity(Track& track, const std::string& session, uint64_t ts_ms);
  void lose(Track& track, const EventRecord& event);
  void follow_proof(const EventRecord& event);
  void broken(const EventRecord& event, std::string what);

  AuditReport& report_;
  ActiveSpans& spans_;
  std::map<std::string, Track> tracks_;
  bool silent_ = false;         ///< the node can't prove that its sessions are its own
  bool births_missed_ = false;  ///< sessions may turn up in the middle of their lives
  uint64_t latest_boot_ms_ = 0;
};

}  // namespace jvpn
