#include "tools/jvpn/audit_replay.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "tools/jvpn/audit_check.h"

namespace jvpn {
namespace {

bool is_switch(const EventRecord& row) {
  return row.from == session::State::kRecovering && row.to == session::State::kAttached &&
         row.reason == Reason::kTransportSwitchOk;
}

/// A bound of the policy brought it about.
bool is_limit(const EventRecord& row) {
  constexpr std::array kLimits = {Reason::kRecoveryBoundsExceeded, Reason::kEnterDegradedMode,
                                  Reason::kTtlSessionExpired, Reason::kTtlTransportLossExpired,
                                  Reason::kKeyLifetimeExceeded};
  return row.detail == to_string(Detail::kSwitchRate) ||
         (row.reason && std::ranges::find(kLimits, *row.reason) != kLimits.end());
}

/// What doesn't concern the session that it names: somebody was turned away.
bool is_refusal(const EventRecord& event) {
  return event.kind == session::EventKind::kSecurityEvent ||
         (event.kind == session::EventKind::kReattach && event.result == "reject") ||
         event.reason == Reason::kAuditTransitionRefused;
}

/// The responder's own refusal, for a limit. An initiator only repeats what it was told.
bool refuses_for_a_limit(const EventRecord& event) {
  return event.kind == session::EventKind::kReattach && event.result == "reject" &&
         !event.check.empty() &&
         (event.detail == to_string(Detail::kCooldown) ||
          event.detail == to_string(Detail::kSwitchRate));
}

/// A fresh handshake has claimed the session: what was before may be in another run's log.
bool is_resumed(const EventRecord& row) {
  return row.detail == to_string(Detail::kResumed);
}

/// DEGRADED goes on with what the session had; out of RECOVERING that may be nothing.
bool carries(session::State state, bool before) {
  return state == session::State::kAttached || state == session::State::kVolatile ||
         (state == session::State::kDegraded && before);
}

}  // namespace

void SessionReplay::add(const EventRecord& event) {
  latest_boot_ms_ = std::max(latest_boot_ms_, event.boot_ms);
  if (event.reason_text.empty())
    broken(event, "no reason");
  else if (!event.reason)
    broken(event, fmt::format("unknown reason {}", event.reason_text));
  if (event.kind == session::EventKind::kStateChange && event.session.empty())
    broken(event, "a STATE_CHANGE of no session");
  if (event.session.empty()) return follow_proof(event);

  Track& track = tracks_[event.session];
  if (event.kind == session::EventKind::kStateChange) {
    take_row(track, event);
  } else {
    check_life(track, event);
    if (refuses_for_a_limit(event)) owe(track, event, kLimit);
    if (event.kind == session::EventKind::kTransportSwitch) take_switch(track, event);
    if (event.kind == session::EventKind::kAuditEvent) take_audit(track, event);
    if (event.kind == session::EventKind::kOwnershipChange) lose(track, event);
  }
  track.heard_ms = event.ts_ms;
}

void SessionReplay::take_row(Track& track, const EventRecord& event) {
  if (!event.from || !event.to || !event.version) {
    broken(event, "a STATE_CHANGE without from, to or state_version");
    track.uncertain = true;
    return;
  }
  check_row(event);
  check_continuity(track, event);
  Owed owed = 0;
  if (is_switch(event)) owed |= kSwitch | kSingleActive | kNoReset;
  if (is_limit(event)) owed |= kLimit;
  if (event.from == session::State::kRecovering) owed |= kTimeline;
  owe(track, event, owed);
  follow_activity(track, event);
  if (event.detail == to_string(Detail::kSwitchRate) &&
      event.end == session::SessionEnd::kResponder && track.denied_at != event.boot_ms &&
      !track.uncertain)
    broken(event, "no TRANSPORT_SWITCH_DENIED before it");
  if (event.from == session::State::kBirth) track.bound = event.path;
  if (is_resumed(event) && (!track.known || track.uncertain)) track.bound.clear();
  track.known = true;
  track.uncertain = track.restarted = false;
  track.row = event;
}

void SessionReplay::check_row(const EventRecord& event) {
  if (!event.reason || session::legal_row(*event.from, *event.to, *event.reason)) return;
  broken(event, fmt::format("illegal transition: no row leads from {} to {} by {}",
                            to_string(*event.from), to_string(*event.to), event.reason_text));
}

void SessionReplay::check_continuity(const Track& track, const EventRecord& event) {
  const uint64_t version = *event.version;
  if (!track.known) {
    if (is_resumed(event)) return;
    if (event.from != session::State::kBirth && !births_missed_)
      broken(event, fmt::format("begins in {}, not in BIRTH", to_string(*event.from)));
    if (event.from == session::State::kBirth && version != 1)
      broken(event, fmt::format("begins with state_version {}, not 1", version));
    return;
  }
  // An end that its store never heard of is found, and told, again by another run.
  const bool ends_again = track.restarted && is_resumed(event) && event.to == track.row.to;
  if (track.row.to == session::State::kTerminated && !ends_again)
    return broken(event, "a transition after TERMINATED");
  const uint64_t before = *track.row.version;
  if (version <= before)
    return broken(event, fmt::format("state_version {} after {}", version, before));
  if (track.restarted && !is_resumed(event))
    broken(event, "goes on after its program has ended, without a resume");
  if (track.uncertain) return;
  if (version != before + 1)
    broken(event, fmt::format("state_version {} after {}: a gap", version, before));
  if (event.from != track.row.to)
    broken(event, fmt::format("leaves {}, but the session was in {}", to_string(*event.from),
                              to_string(*track.row.to)));
}

/// Whether an event that is no row may stand here.
void SessionReplay::check_life(const Track& track, const EventRecord& event) {
  if (is_refusal(event)) return;
  if (!track.known && !births_missed_)
    return broken(event, fmt::format("a {} before its BIRTH", to_string(event.kind)));
  const bool owed = (event.reason == Reason::kAuditPolicyLimitTriggered && (track.owed & kLimit)) ||
                    (event.reason == Reason::kAuditRecoveryTimeline && (track.owed & kTimeline));
  if (track.known && track.row.to == session::State::kTerminated && !owed)
    broken(event, fmt::format("a {} after TERMINATED", to_string(event.kind)));
}

void SessionReplay::take_switch(Track& track, const EventRecord& event) {
  if (event.reason == Reason::kTransportSwitchDenied) track.denied_at = event.boot_ms;
  if (event.reason != Reason::kTransportSwitchOk) return;
  if ((track.owed & kSwitch) == 0 && track.known && !track.uncertain)
    broken(event, "a switch without a transition from RECOVERING to ATTACHED");
  if (!track.bound.empty() && event.from_path != track.bound)
    broken(event, fmt::format("a switch from {}, but the session was bound to {}",
                              event.from_path.empty() ? "nowhere" : event.from_path, track.bound));
  track.bound = event.path;
  track.owed &= static_cast<Owed>(~kSwitch);
}

void SessionReplay::take_audit(Track& track, const EventRecord& event) {
  if (event.result == "violated")
    broken(event, fmt::format("an invariant is violated: {}",
                              event.check.empty() ? event.reason_text : event.check));
  Owed paid = 0;
  const bool failed = event.reason == Reason::kAuditInvariantViolated;
  if (event.reason == Reason::kAuditInvariantOkSingleActive) paid = kSingleActive;
  if (event.reason == Reason::kAuditInvariantOkNoReset) paid = kNoReset;
  if (failed) paid = event.check == "no_reset" ? kNoReset : kSingleActive;
  if (event.reason == Reason::kAuditPolicyLimitTriggered) paid = kLimit;
  if (event.reason == Reason::kAuditRecoveryTimeline) paid = kTimeline;
  track.owed &= static_cast<Owed>(~paid);
}

/// Debts of an earlier event are due by now. A session that ends in the very step of its switch has
/// nothing published that could be audited.
void SessionReplay::owe(Track& track, const EventRecord& event, Owed owed) {
  const bool ends = event.to == session::State::kTerminated;
  if (ends && event.boot_ms == track.owing.boot_ms)
    track.owed &= static_cast<Owed>(~(kSingleActive | kNoReset));
  settle(track, false);
  track.owed = owed;
  track.owing = event;
}

/// Debts are paid within the step: a log that ends with it may have been cut.
void SessionReplay::settle(Track& track, bool at_end) {
  constexpr std::array<std::pair<Owed, Reason>, 5> kNames = {
      {{kSwitch, Reason::kTransportSwitchOk},
       {kSingleActive, Reason::kAuditInvariantOkSingleActive},
       {kNoReset, Reason::kAuditInvariantOkNoReset},
       {kLimit, Reason::kAuditPolicyLimitTriggered},
       {kTimeline, Reason::kAuditRecoveryTimeline}}};
  const bool cut = at_end && latest_boot_ms_ == track.owing.boot_ms;
  for (const auto& [bit, reason] : kNames) {
    if ((track.owed & bit) == 0) continue;
    const std::string what =
        fmt::format("no {}{} follows {}", bit == kSwitch ? "TRANSPORT_SWITCH " : "",
                    to_string(reason), track.owing.reason_text);
    if (cut)
      report_.findings.push_back({AuditFinding::Kind::kIncomplete, track.owing.place,
                                  track.owing.session, track.owing.node, what + ": the log ends"});
    else
      broken(track.owing, what);
  }
  track.owed = 0;
}

void SessionReplay::follow_activity(Track& track, const EventRecord& event) {
  const bool carries_on = carries(*event.to, track.active) && !silent_;
  if (event.end != session::SessionEnd::kResponder || carries_on == track.active) return;
  if (track.active) return end_activity(track, event.session, event.ts_ms);
  track.active = true;
  track.span = {event.node, event.ts_ms, 0, event.place};
}

void SessionReplay::end_activity(Track& track, const std::string& session, uint64_t ts_ms) {
  if (!track.active) return;
  track.active = false;
  track.span.to_ms = ts_ms;
  spans_[session].push_back(track.span);
}

/// A gateway in a cluster carries nothing while it can't prove that it may, whatever rows it goes
/// through; the event says for how long that has been so.
void SessionReplay::follow_proof(const EventRecord& event) {
  if (event.kind != session::EventKind::kOwnershipChange) return;
  silent_ = event.reason != Reason::kOwnershipProven;
  const uint64_t since = event.ts_ms - std::min(event.ts_ms, event.duration_ms.value_or(0));
  for (auto& [session, track] : tracks_) {
    if (silent_) {
      end_activity(track, session, since);
    } else if (track.known && track.row.end == session::SessionEnd::kResponder && !track.active &&
               !track.uncertain && carries(*track.row.to, true)) {
      track.active = true;
      track.span = {event.node, event.ts_ms, 0, event.place};
    }
  }
}

/// Fenced: another node owns it. This one fell silent by itself before it could say so. Or parked:
/// it waits in the store, whoever goes on with it.
void SessionReplay::lose(Track& track, const EventRecord& event) {
  if (event.reason == Reason::kSessionParked) {
    end_activity(track, event.session, event.ts_ms);
    track.restarted = track.uncertain = true;
    return;
  }
  if (event.detail != to_string(Detail::kOwnershipLost)) return;
  end_activity(track, event.session, track.heard_ms);
  track.uncertain = true;
}

void SessionReplay::note_gap() {
  births_missed_ = true;
  for (auto& [session, track] : tracks_) {
    track.uncertain = true;
    track.owed = 0;
    track.bound.clear();
  }
}

void SessionReplay::end_run(uint64_t ts_ms) {
  for (auto& [session, track] : tracks_) {
    settle(track, true);
    end_activity(track, session, ts_ms);
    track.uncertain = track.restarted = true;
  }
  latest_boot_ms_ = 0;
  silent_ = false;
}

void SessionReplay::broken(const EventRecord& event, std::string what) {
  report_.findings.push_back(
      {AuditFinding::Kind::kBroken, event.place, event.session, event.node, std::move(what)});
}

void find_dual_active(ActiveSpans& spans, AuditReport& report) {
  for (auto& [session, all] : spans) {
    std::ranges::stable_sort(all, {}, &ActiveSpan::from_ms);
    std::map<std::string, const ActiveSpan*> longest;  // of each node, so far
    for (const ActiveSpan& span : all) {
      for (const auto& [node, other] : longest) {
        if (node == span.node || other->to_ms <= span.from_ms) continue;
        report.findings.push_back(
            {AuditFinding::Kind::kBroken, span.place, session, span.node,
             fmt::format("dual active: {} carries it at the same time", node)});
      }
      const ActiveSpan*& mine = longest[span.node];
      if (mine == nullptr || mine->to_ms < span.to_ms) mine = &span;
    }
  }
}

}  // namespace jvpn
