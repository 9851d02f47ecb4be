// The table in words: names for events, rows for docs/STATE_MACHINE.md.
#include <map>
#include <set>
#include <string>

#include "common/reason.h"
#include "control/session/state_table.h"

namespace jvpn::session {
namespace {

constexpr States kAllLive = (1U << static_cast<unsigned>(State::kTerminated)) - 1;

std::string states_in_words(States states) {
  if (states == kAllLive) return "any live";
  if (states == static_cast<States>(kAllLive & ~only(State::kBirth))) return "any live but BIRTH";
  std::string words;
  for (size_t i = 0; i < kStateCount; ++i) {
    const auto state = static_cast<State>(i);
    if (includes(states, state))
      words += (words.empty() ? "" : ", ") + std::string(to_string(state));
  }
  return words;
}

std::string condition_of(const Row& row) {
  switch (row.when) {
    case When::kCorrupt:
      return "a record that no rows can have produced";
    case When::kDue:
      return row.deadline.words;
    case When::kTriggered: {
      std::string words = "`" + std::string(to_string(row.trigger)) + "`";
      if (row.guard.words != nullptr) words += ": " + std::string(row.guard.words);
      return words;
    }
  }
  return "";
}

std::string effect_of(const Row& row) {
  std::string words = to_string(row.binding);
  const auto add = [&](const char* more) {
    words += (words.empty() ? "" : "; ") + std::string(more);
  };
  if (row.counts == Counts::kFlap) add("counts as a flap");
  if (row.counts == Counts::kSwitch) add("counts as a switch");
  return words;
}

std::string table_lines() {
  std::string text =
      "| # | from | to | when | reason | detail | effect on the binding |\n"
      "|---|---|---|---|---|---|---|\n";
  size_t number = 0;
  for (const Row& row : state_table()) {
    text += "| " + std::to_string(++number) + " | " + states_in_words(row.from) + " | " +
            to_string(row.to) + " | " + condition_of(row) + " | " + to_string(row.reason) + " | " +
            (row.detail == Detail::kNone ? "" : to_string(row.detail)) + " | " + effect_of(row) +
            " |\n";
  }
  return text;
}

/// Arrows between live states; every live state also leads to TERMINATED, which is drawn once.
std::string drawing_lines() {
  std::map<std::pair<State, State>, std::set<std::string>> arrows;
  for (const TableRow& row : table_rows()) {
    if (row.to == State::kTerminated && row.from != State::kBirth) continue;
    arrows[{row.from, row.to}].insert(to_string(row.reason));
  }
  std::string text = "```mermaid\nstateDiagram-v2\n  [*] --> BIRTH\n";
  for (const auto& [ends, reasons] : arrows) {
    std::string label;
    for (const std::string& reason : reasons) label += (label.empty() ? "" : "<br>") + reason;
    text += "  " + std::string(to_string(ends.first)) + " --> " + to_string(ends.second) + ": " +
            label + "\n";
  }
  return text + "  TERMINATED --> [*]\n```\n";
}

}  // namespace

std::string state_table_markdown() {
  return drawing_lines() + "\n" + table_lines();
}

const char* to_string(BindingEffect effect) {
  switch (effect) {
    case BindingEffect::kKeep:
      return "";
    case BindingEffect::kLose:
      return "lost";
    case BindingEffect::kLoseIfSilent:
      return "lost, if silent for `transport_dead_ms`";
    case BindingEffect::kReplace:
      return "kept until the next row, which follows in the same step";
    case BindingEffect::kBind:
      return "bound anew";
    case BindingEffect::kEnd:
      return "ended";
  }
  return "";
}

const char* to_string(State state) {
  switch (state) {
    case State::kBirth:
      return "BIRTH";
    case State::kAttached:
      return "ATTACHED";
    case State::kVolatile:
      return "VOLATILE";
    case State::kRecovering:
      return "RECOVERING";
    case State::kDegraded:
      return "DEGRADED";
    case State::kTerminated:
      return "TERMINATED";
  }
  return "UNKNOWN";
}

const char* to_string(Trigger trigger) {
  switch (trigger) {
    case Trigger::kKeyConfirmed:
      return "key_confirmed";
    case Trigger::kHandshakeFailed:
      return "handshake_failed";
    case Trigger::kTick:
      return "tick";
    case Trigger::kTerminate:
      return "terminate";
    case Trigger::kProtocolViolation:
      return "protocol_violation";
    case Trigger::kQuality:
      return "quality";
    case Trigger::kTransportDead:
      return "transport_dead";
    case Trigger::kReattachCommitted:
      return "reattach_committed";
    case Trigger::kRequestDenied:
      return "request_denied";
    case Trigger::kSwitchRateExceeded:
      return "switch_rate_exceeded";
    case Trigger::kSwitchRequested:
      return "switch_requested";
    case Trigger::kHeard:
      return "heard";
    case Trigger::kIdleAgreed:
      return "idle_agreed";
    case Trigger::kWoken:
      return "woken";
    case Trigger::kKeysRenewed:
      return "keys_renewed";
    case Trigger::kCandidates:
      return "candidates";
  }
  return "unknown";
}

}  // namespace jvpn::session
