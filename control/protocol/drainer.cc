#include "control/protocol/drainer.h"

#include <algorithm>

namespace jvpn::protocol {
namespace {

constexpr uint64_t kMicrosPerSecond = 1'000'000;
constexpr Millis kFirstPause{1'000};  // each doubles it
constexpr uint32_t kMostDoublings = 4;

}  // namespace

void Drainer::begin(Millis now) {
  context_.draining = true;
  next_turn_us_ = 0;
  told_ = false;
  context_.store.ownership().hurry(true);
  reporter_.emit_config(now, Reason::kDrainBegun);
}

void Drainer::end(Millis now) {
  context_.draining = false;
  context_.store.ownership().hurry(false);
  reporter_.emit_config(now, Reason::kDrainEnded);
}

void Drainer::plan(Millis now, Session& session) {
  if (session.initiates()) return;
  next_turn_us_ = std::max(next_turn_us_, now.value * 1'000);
  session.responder->leave = LeaveHints{Millis{next_turn_us_ / 1'000}, 0};
  next_turn_us_ += kMicrosPerSecond / std::max(context_.config.handshakes_per_s, 1U);
}

void Drainer::report_news(Millis now) {
  if (!has_news()) return;
  told_ = true;
  reporter_.emit_config(now, Reason::kDrainDone);
}

Millis Drainer::due(const Session& session) const {
  const bool asks = context_.draining && !session.initiates() && session.has_transport() &&
                    session.responder->leave;
  return asks ? session.responder->leave->due : kNever;
}

bool Drainer::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  LeaveHints& leave = *session.responder->leave;
  channel_.send_hint(session, session.path, wire::Hint::kLeave);
  const uint32_t doublings = std::min(leave.sent++, kMostDoublings);
  leave.due = now + Millis{kFirstPause.value << doublings};
  return true;
}

void Drainer::on_rows(Millis now, Session& session) {
  if (context_.draining && !session.initiates() && !session.responder->leave) plan(now, session);
}

}  // namespace jvpn::protocol
