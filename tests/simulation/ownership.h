// A gateway's end of the cluster's store, as cluster::EtcdOwnership is: a real ClusterNode, whose
// turns are a thread's of its own, and rings between it and control. Here the world says when each
// of the two runs.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "control/cluster/cluster_node.h"
#include "control/session/ownership.h"

namespace jvpn::sim {

class SimulatedOwnership final : public session::Ownership {
 public:
  struct Surroundings {
    std::function<cluster::NodeTime()> now;
    std::function<void()> wake_store;             ///< the store's thread has work
    std::function<void()> wake_control;           ///< there are replies or notices
    std::function<void(const SessionId&)> ended;  ///< the store was asked to, and has answered
  };

  SimulatedOwnership(Surroundings around, cluster::NodeOptions options,
                     const cluster::RecordKey& mac, cluster::ClusterNode::Send send);

  // ---- Control.

  bool durable() const override { return true; }
  bool reachable() const override { return !silent(); }
  uint64_t epoch() const override { return epoch_; }
  Millis safe_until() const override { return safe_until_; }
  bool silent() const override { return around_.now().boot > safe_until_; }
  bool may_ask_owner() const override { return true; }
  bool ask(Millis now, const session::OwnershipCall& call) override;
  std::optional<session::OwnershipReply> take() override;
  bool has_replies() const override { return !replies_.empty() || !notices_.empty(); }
  std::optional<session::OwnershipNotice> take_notice() override;
  void begin_again() override;
  void note_alive(Millis now, bool) override { alive_ = now; }

  // ---- The store's thread.

  /// What its loop does once.
  void turn();
  Millis due() const { return node_.due(); }
  void answered(const cluster::TxnAnswer& answer) { answers_.push_back(answer); }
  /// Control is gone: the calls that it made are finished first, then the run is ended.
  void finish();
  /// There is nothing more to do, or no time.
  bool finished() const;

 private:
  void publish();

  static constexpr uint64_t kControlLate = 3;

  Surroundings around_;
  Millis safe_;
  Millis patience_;
  cluster::ClusterNode node_;
  std::deque<session::OwnershipCall> calls_;
  std::deque<session::OwnershipReply> replies_;
  std::deque<session::OwnershipNotice> notices_;
  std::deque<cluster::TxnAnswer> answers_;
  uint64_t epoch_ = 0;
  Millis safe_until_;
  Millis alive_;
  bool begin_again_ = false;
  std::optional<Millis> finishing_;  ///< since then
  bool closing_ = false;
};

}  // namespace jvpn::sim
