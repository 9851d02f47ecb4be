#include "control/jump/hold_report.h"

#include <algorithm>
#include <utility>

#include "common/lane_report.h"
#include "control/session/message_fields.h"

namespace jvpn::jump {

// ---- Initiator.

bool holds_packets(const Context& context, const Session& session) {
  return context.policy_of(session).switching.holds();
}

std::vector<uint8_t> held_fields(const Context& context, const Session& session) {
  std::vector<uint8_t> fields;
  if (!holds_packets(context, session) || session.binding.tx_installed) return fields;
  std::vector<uint8_t> indices;
  const auto add = [&](ReceiverIndex index) {
    for (unsigned shift = 0; shift < 32; shift += 8)
      indices.push_back(static_cast<uint8_t>(index.value >> shift));
  };
  add(session.current->remote);
  if (session.previous && !session.previous->left) add(session.previous->remote);
  append_field(fields, wire::kHeldField, indices);
  return fields;
}

bool LaneCloser::is_closed(const Session& session, ReceiverIndex index) {
  const std::vector<LaneReport>& reports = session.initiator->closed.reports;
  return std::ranges::find(reports, index, &LaneReport::index) != reports.end();
}

bool LaneCloser::close(Session& session, ReceiverIndex index) {
  std::vector<LaneReport>& reports = session.initiator->closed.reports;
  if (is_closed(session, index)) return true;
  if (reports.size() == kReportedIndices) return false;
  auto report = context_.environment.stop_data(index);
  if (!report) return false;
  reports.push_back(std::move(*report));
  return true;
}

/// The responder has committed a request by one of the other paths, and its acknowledgement was
/// lost: which one we can't tell, so all of them are closed, and none is followed any more. Once
/// for each such commit, or a long outage would use up all spares.
void LaneCloser::close_asked(Session& session, const SpareBinding& by) {
  const BindingVersion told = session.initiator->jumping.told_version;
  BindingVersion& missed = session.initiator->closed.missed;
  if (told <= std::max(session.binding_version(), missed)) return;
  missed = told;
  for (SpareBinding& spare : session.current->spares) {
    const bool other = spare.status == SpareStatus::kAssigned && spare.number != by.number;
    if (other && close(session, spare.local)) spare.status = SpareStatus::kReturned;
  }
}

void LaneCloser::append_report(Session& session, const SpareBinding& by,
                               std::vector<uint8_t>& fields) {
  const bool dead = !session.binding.tx_installed;
  if (!dead || !session.initiator->responder_holds) return;
  close(session, session.current->local);
  if (session.previous && !session.previous->left) close(session, session.previous->local);
  close_asked(session, by);
  const std::vector<LaneReport>& reports = session.initiator->closed.reports;
  if (!reports.empty()) append_field(fields, wire::kReceivedField, encode_reports(reports));
}

bool settle_hold(Context& context, const Session& session, std::span<const uint8_t> fields) {
  if (!holds_packets(context, session)) return true;
  const auto told = find_field(fields, wire::kReceivedField);
  auto reports = decode_reports(told.value_or(std::span<const uint8_t>{}));
  if (!reports) return false;
  context.effects.settle_hold(session.peer, std::move(*reports), session.binding.tx_installed);
  return true;
}

// ---- Responder.

std::optional<HoldWord> hold_word(std::span<const uint8_t> fields) {
  HoldWord word{held_indices(fields), std::nullopt};
  if (const auto told = find_field(fields, wire::kReceivedField)) {
    word.received = decode_reports(*told);
    if (!word.received) return std::nullopt;
  }
  return word;
}

void settle_own_hold(Context& context, const Session& session, HoldWord& word) {
  if (!holds_packets(context, session)) return;
  // An initiator that can't tell what it took, as a gateway, leaves a dead path without a word.
  const bool carried = session.binding.cause != wire::ReattachCause::kDead;
  context.effects.settle_hold(
      session.peer, std::move(word.received).value_or(std::vector<LaneReport>{}), carried);
}

HeldIndices held_indices(std::span<const uint8_t> fields) {
  HeldIndices held{};
  const auto told = find_field(fields, wire::kHeldField);
  if (!told) return held;
  for (size_t i = 0; i < held.size() && (i + 1) * sizeof(uint32_t) <= told->size(); ++i) {
    uint32_t index;
    __builtin_memcpy(&index, told->data() + i * sizeof index, sizeof index);
    held[i] = ReceiverIndex{index};
  }
  return held;
}

bool ClosedLanes::close(Millis now, Session& session, const HeldIndices& held) {
  ClosedIndices& closed = session.responder->reattach->closed;
  std::erase_if(closed.list, [&](const ClosedIndex& each) {
    return std::ranges::find(held, each.index) == held.end();
  });
  for (const ReceiverIndex index : held) {
    const bool known =
        std::ranges::find(closed.list, index, &ClosedIndex::index) != closed.list.end();
    if (index == ReceiverIndex{} || known) continue;
    if (bindings_.close_index(session, index)) closed.list.push_back({index, std::nullopt});
  }
  closed.owes_ack = std::ranges::any_of(
      closed.list, [](const ClosedIndex& each) { return !each.report.has_value(); });
  closed.patience = now + kPatience;
  return closed.owes_ack;
}

bool ClosedLanes::answers_soon(Millis now, const Session& session) {
  const ClosedIndices& closed = session.responder->reattach->closed;
  return closed.owes_ack && now < closed.patience;
}

bool ClosedLanes::take(Session& session, const LaneReport& report) {
  if (session.initiates() || !session.responder->reattach) return false;
  ClosedIndices& closed = session.responder->reattach->closed;
  const auto at = std::ranges::find(closed.list, report.index, &ClosedIndex::index);
  if (at == closed.list.end() || at->report) {
    ++context_.counters.control_stale;
    return false;
  }
  at->report = report;
  const bool complete = std::ranges::all_of(
      closed.list, [](const ClosedIndex& each) { return each.report.has_value(); });
  return complete && std::exchange(closed.owes_ack, false);
}

std::vector<uint8_t> ClosedLanes::fields(const Session& session) {
  std::vector<uint8_t> fields;
  std::vector<LaneReport> reports;
  for (const ClosedIndex& each : session.responder->reattach->closed.list)
    if (each.report) reports.push_back(*each.report);
  if (!reports.empty()) append_field(fields, wire::kReceivedField, encode_reports(reports));
  return fields;
}

}  // namespace jvpn::jump
