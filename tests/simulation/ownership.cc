#include "tests/simulation/ownership.h"

#include <utility>

namespace jvpn::sim {

using session::OwnershipCall;
using session::OwnershipNotice;
using session::OwnershipReply;

SimulatedOwnership::SimulatedOwnership(Surroundings around, cluster::NodeOptions options,
                                       const cluster::RecordKey& mac,
                                       cluster::ClusterNode::Send send)
    : around_(std::move(around)),
      safe_(options.safe),
      patience_(options.patience),
      node_(std::move(options), mac, std::move(send)),
      alive_(around_.now().boot) {}

bool SimulatedOwnership::ask(Millis, const OwnershipCall& call) {
  calls_.push_back(call);
  around_.wake_store();
  return true;
}

std::optional<OwnershipReply> SimulatedOwnership::take() {
  if (replies_.empty()) return std::nullopt;
  const OwnershipReply reply = replies_.front();
  replies_.pop_front();
  // Lost, and nothing is there: as good as ended.
  const bool ended = reply.answer == session::OwnershipAnswer::kCommitted ||
                     (reply.answer == session::OwnershipAnswer::kLost && !reply.found);
  if (reply.kind == OwnershipCall::Kind::kRelease && ended) around_.ended(reply.session);
  return reply;
}

std::optional<OwnershipNotice> SimulatedOwnership::take_notice() {
  if (notices_.empty()) return std::nullopt;
  const OwnershipNotice notice = notices_.front();
  notices_.pop_front();
  return notice;
}

void SimulatedOwnership::begin_again() {
  begin_again_ = true;
  around_.wake_store();
}

void SimulatedOwnership::turn() {
  const cluster::NodeTime now = around_.now();
  for (; !calls_.empty(); calls_.pop_front()) node_.ask(now, calls_.front());
  if (finishing_) {
    const bool in_time = now.boot < *finishing_ + patience_;
    if (!closing_ && (node_.idle() || !in_time)) {
      node_.close(now);
      closing_ = true;
    }
  } else {
    if (std::exchange(begin_again_, false)) node_.begin_again(now);
    node_.hold_beats(now.boot - alive_ > Millis{safe_.value / kControlLate});
  }
  for (; !answers_.empty(); answers_.pop_front()) node_.answered(now, answers_.front());
  node_.serve(now);
  publish();
}

void SimulatedOwnership::publish() {
  safe_until_ = node_.safe_until();
  epoch_ = node_.epoch();
  bool told = false;
  for (; const auto notice = node_.take_notice(); told = true) notices_.push_back(*notice);
  for (; const auto reply = node_.take_reply(); told = true) replies_.push_back(*reply);
  if (told) around_.wake_control();
}

void SimulatedOwnership::finish() {
  finishing_ = around_.now().boot;
  around_.wake_store();
}

bool SimulatedOwnership::finished() const {
  if (!finishing_) return false;
  const bool late = around_.now().boot >= *finishing_ + patience_ + patience_;
  return (closing_ && node_.epoch() == 0) || late;
}

}  // namespace jvpn::sim
