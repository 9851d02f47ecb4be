// Ownership in etcd: for gateways that go on with each other's sessions. A thread of its own runs
// the cluster's node and talks to etcd; two rings and an eventfd join it with control, which never
// waits.
//
//   control: ask() → calls → the thread: ClusterNode → EtcdClient → … → replies → control: take()
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "common/noise.h"
#include "common/result.h"
#include "common/spsc_ring.h"
#include "control/cluster/cluster_node.h"
#include "control/cluster/etcd_client.h"
#include "control/session/call_rings.h"
#include "control/store/state_dir.h"
#include "control/store/transaction_times.h"

namespace jvpn::cluster {

struct EtcdOwnershipOptions {
  EtcdOptions etcd;
  std::string node;       ///< unique in the cluster
  std::string prefix;     ///< of the cluster's keys
  std::string directory;  ///< whose lock shows that an earlier run is gone; empty: nothing does
  Millis safe{3'000};
  Millis patience{1'000};
  size_t calls = 4'096;  ///< that may be unanswered; then the store is Unavailable
  store::News news;      ///< called on the opening thread, and on the store's
};

class EtcdOwnership final : public session::Ownership {
 public:
  /// Reads files and takes the directory; doesn't wait for etcd. The thread runs on the caller's
  /// CPUs. `node`: the cluster's private key, which makes the records' MACs.
  static Result<std::unique_ptr<EtcdOwnership>> open(EtcdOwnershipOptions options,
                                                     const SecretKey& node);
  /// Waits for the calls that were taken, and ends the run, so that others needn't wait; not longer
  /// than twice the patience.
  ~EtcdOwnership() override;
  EtcdOwnership(const EtcdOwnership&) = delete;
  EtcdOwnership& operator=(const EtcdOwnership&) = delete;

  bool durable() const override { return true; }
  bool reachable() const override { return !silent(); }
  uint64_t epoch() const override { return epoch_.load(std::memory_order_acquire); }
  Millis safe_until() const override { return Millis{safe_until_.load(std::memory_order_acquire)}; }
  bool silent() const override;
  bool may_ask_owner() const override { return true; }
  bool ask(Millis now, const session::OwnershipCall& call) override;
  std::optional<session::OwnershipReply> take() override { return rings_.take(); }
  bool has_replies() const override { return rings_.has_replies() || !notices_.empty(); }
  std::optional<session::OwnershipNotice> take_notice() override;
  void begin_again() override;
  void note_alive(Millis now, bool carries) override {
    carries_.store(carries, std::memory_order_relaxed);
    alive_.store(now.value, std::memory_order_relaxed);
  }
  void hurry(bool hurried) override;
  int descriptor() const override { return rings_.descriptor(); }
  session::OwnershipStatus status() const override;

 private:
  EtcdOwnership(EtcdOwnershipOptions options, std::optional<store::StateDir> directory,
                std::unique_ptr<EtcdClient> client, const RecordKey& mac, Instance instance);
  void run();
  void turn(const NodeTime& now);
  void publish();
  void finish();
  bool control_is_late(const NodeTime& now) const;
  void note_reach(const NodeTime& now);
  void note_answer(const TxnAnswer& answer);

  EtcdOwnershipOptions options_;
  std::optional<store::StateDir> directory_;
  std::unique_ptr<EtcdClient> client_;
  ClusterNode node_;  ///< the thread's, once it runs
  session::CallRings rings_;
  SpscRing<session::OwnershipNotice> notices_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<uint64_t> safe_until_{0};
  std::atomic<uint64_t> alive_{0};
  std::atomic<bool> carries_{true};
  std::atomic<bool> hurried_{false};
  std::atomic<bool> begin_again_{false};
  std::atomic<bool> stop_{false};
  store::TransactionTimes times_;
  mutable std::mutex told_mutex_;  ///< taken when either changes, and for an operator
  std::string endpoint_;           ///< in use
  std::string trouble_;            ///< of the latest transaction
  std::unordered_map<uint64_t, uint64_t> sent_us_;  ///< the thread's, by number
  bool reached_ = false;                            ///< the thread's: as the operator was told
  std::thread thread_;
};

}  // namespace jvpn::cluster
