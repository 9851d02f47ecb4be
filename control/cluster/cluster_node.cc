#include "control/cluster/cluster_node.h"

#include <algorithm>
#include <utility>

namespace jvpn::cluster {
namespace {

constexpr size_t kMostNotices = 1'024;

}  // namespace

ClusterNode::ClusterNode(NodeOptions options, const RecordKey& mac, Send send)
    : options_(std::move(options)),
      keys_(options_.prefix),
      mac_(mac),
      send_(std::move(send)),
      membership_(options_, keys_, mac_,
                  [this](const Txn& txn, Millis patience) { return this->send(txn, patience); }),
      writer_(options_, keys_, mac_, membership_,
              [this](const Txn& txn, Millis patience) { return this->send(txn, patience); }) {}

uint64_t ClusterNode::send(const Txn& txn, Millis patience) {
  const uint64_t number = ++latest_number_;
  sent_at_[number] = reached_;
  send_(number, txn, patience);
  return number;
}

/// The store has forgotten what it had answered before, or is another one: a backup was put in its
/// place. Nothing that it says is a proof any more.
bool ClusterNode::is_earlier(uint64_t number, const TxnReply& reply) {
  const auto at = sent_at_.find(number);
  const Revision least = at == sent_at_.end() ? 0 : at->second;
  if (cluster_ == 0) cluster_ = reply.cluster;
  return reply.revision < least || reply.cluster != cluster_;
}

void ClusterNode::answered(const NodeTime& now, const TxnAnswer& answer) {
  const bool earlier = answer.reply && is_earlier(answer.number, *answer.reply);
  sent_at_.erase(answer.number);
  if (earlier && !std::exchange(distrusted_, true)) {
    membership_.lose();
    if (options_.news) {
      options_.news(
          "the cluster's store has gone back in time, or is another one: no session is owned until "
          "this gateway is started again");
    }
  }
  const TxnAnswer heard =
      distrusted_ ? TxnAnswer{answer.number, std::nullopt, "the store is distrusted"} : answer;
  trouble_ = heard.trouble;
  if (heard.reply) reached_ = std::max(reached_, heard.reply->revision);
  if (!membership_.answered(now, heard)) writer_.answered(now, heard);
  collect();
}

void ClusterNode::serve(const NodeTime& now) {
  membership_.serve(now);
  writer_.serve(now);
  collect();
}

void ClusterNode::collect() {
  for (const auto& [peer, ask] : membership_.take_asks()) {
    if (writer_.is_busy(peer) || notices_.size() >= kMostNotices)
      continue;  // it is asked for again with the next beat
    notices_.push_back({session::OwnershipNotice::Kind::kWanted, peer, ask.session, ask.epoch});
  }
  if (const auto over = membership_.take_over()) {
    writer_.forget_owned();
    notices_.clear();
    notices_.push_back({session::OwnershipNotice::Kind::kEpochOver, {}, {}, *over});
  }
}

std::optional<session::OwnershipNotice> ClusterNode::take_notice() {
  if (notices_.empty()) return std::nullopt;
  const session::OwnershipNotice notice = notices_.front();
  notices_.pop_front();
  return notice;
}

void ClusterNode::resign(const NodeTime& now) {
  membership_.resign(now);
  collect();
}

void ClusterNode::begin_again(const NodeTime& now) {
  if (!distrusted_) membership_.begin_again(now);
}

}  // namespace jvpn::cluster
