// A gateway among others over one store: its run, and its sessions (docs/CLUSTER.md). Time, and the
// store's answers, are parameters, so that the same code runs against etcd and in a simulation. One
// thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

#include "control/cluster/membership.h"
#include "control/cluster/session_writer.h"

namespace jvpn::cluster {

class ClusterNode {
 public:
  /// `send` takes a transaction under a number; its answer comes by answered().
  using Send = std::function<void(uint64_t number, const Txn& txn, Millis patience)>;

  ClusterNode(NodeOptions options, const RecordKey& mac, Send send);
  ClusterNode(const ClusterNode&) = delete;
  ClusterNode& operator=(const ClusterNode&) = delete;

  /// Gets one reply, within the options' patience.
  void ask(const NodeTime& now, const session::OwnershipCall& call) { writer_.ask(now, call); }
  void answered(const NodeTime& now, const TxnAnswer& answer);
  /// Does what is due; then due() is later.
  void serve(const NodeTime& now);
  Millis due() const { return std::min(membership_.due(), writer_.due()); }

  std::optional<session::OwnershipReply> take_reply() { return writer_.take(); }
  std::optional<session::OwnershipNotice> take_notice();

  /// No call is unanswered.
  bool idle() const { return writer_.idle(); }
  uint64_t epoch() const { return membership_.epoch(); }
  Millis safe_until() const { return membership_.safe_until(); }
  /// Why the latest transaction got no answer, for a person; empty: it got one.
  const std::string& trouble() const { return trouble_; }
  /// Control isn't at work: the run isn't kept up.
  void hold_beats(bool held) { membership_.hold_beats(held); }
  /// Sessions are about to be asked for.
  void hurry(bool hurried) { membership_.hurry(hurried); }
  /// After kEpochOver: control has forgotten its sessions.
  void begin_again(const NodeTime& now);
  /// Gives all sessions up: kEpochOver follows.
  void resign(const NodeTime& now);
  /// Ends the run, so that others needn't wait; done when epoch() is 0.
  void close(const NodeTime& now) { membership_.close(now); }

 private:
  uint64_t send(const Txn& txn, Millis patience);
  bool is_earlier(uint64_t number, const TxnReply& reply);
  void collect();

  NodeOptions options_;
  Keys keys_;
  RecordKey mac_;
  Send send_;
  uint64_t latest_number_ = 0;
  std::unordered_map<uint64_t, Revision> sent_at_;  ///< what the store had reached at least
  Revision reached_ = 0;
  uint64_t cluster_ = 0;
  bool distrusted_ = false;
  std::string trouble_;
  Membership membership_;
  SessionWriter writer_;
  std::deque<session::OwnershipNotice> notices_;
};

}  // namespace jvpn::cluster
