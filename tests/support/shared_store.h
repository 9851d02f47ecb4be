// A gateway's end of a store that others share, in a simulation: a cluster's node over a key-value
// store in memory. Transactions reach it after half of `round_trip`, their answers come after the
// other half.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "control/cluster/cluster_node.h"
#include "control/session/ownership.h"
#include "tests/support/kv_store.h"
#include "tests/support/random.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

class SharedStore : public session::Ownership {
 public:
  SharedStore(KvStore& keys, const std::string& name, uint64_t seed, Millis round_trip)
      : keys_(keys), random_(seed), half_{round_trip.value / 2} {
    cluster::NodeOptions options;
    options.node = name;
    options.prefix = "c/";
    options.instance.fill(static_cast<uint8_t>(seed));
    options.random = [this] { return random_.next(); };
    node_ = std::make_unique<cluster::ClusterNode>(
        options, cluster::RecordKey{}, [this](uint64_t number, const cluster::Txn& txn, Millis) {
          out_.emplace(now_ + half_, std::pair(number, txn));
        });
  }

  /// As its thread does: whatever is due by then.
  void pump(Millis now) {
    now_ = now;
    for (auto at = out_.begin(); at != out_.end() && at->first <= now; at = out_.erase(at))
      back_.emplace(at->first + half_, std::pair(at->second.first, keys_.apply(at->second.second)));
    for (; !back_.empty() && back_.begin()->first <= now; back_.erase(back_.begin())) {
      const auto& [number, reply] = back_.begin()->second;
      node_->answered(time(), {number, reply, {}});
    }
    node_->serve(time());
    while (const auto reply = node_->take_reply()) replies_.push_back(*reply);
    while (const auto notice = node_->take_notice()) notices_.push_back(*notice);
  }
  bool ready() const { return node_->epoch() != 0 && !silent(); }

  bool durable() const override { return true; }
  bool reachable() const override { return !silent(); }
  uint64_t epoch() const override { return node_->epoch(); }
  Millis safe_until() const override { return node_->safe_until(); }
  bool silent() const override { return now_ > node_->safe_until(); }
  bool may_ask_owner() const override { return true; }
  void hurry(bool hurried) override { node_->hurry(hurried); }
  bool ask(Millis, const session::OwnershipCall& call) override {
    node_->ask(time(), call);
    return true;
  }
  bool has_replies() const override { return !replies_.empty() || !notices_.empty(); }
  std::optional<session::OwnershipReply> take() override { return pop(replies_); }
  std::optional<session::OwnershipNotice> take_notice() override { return pop(notices_); }

 private:
  template <typename T>
  static std::optional<T> pop(std::deque<T>& queue) {
    if (queue.empty()) return std::nullopt;
    const T first = queue.front();
    queue.pop_front();
    return first;
  }
  cluster::NodeTime time() const { return {now_, 1'700'000'000'000 + now_.value}; }

  KvStore& keys_;
  Random random_;
  Millis half_;
  Millis now_;
  std::unique_ptr<cluster::ClusterNode> node_;
  std::multimap<Millis, std::pair<uint64_t, cluster::Txn>> out_;
  std::multimap<Millis, std::pair<uint64_t, cluster::TxnReply>> back_;
  std::deque<session::OwnershipReply> replies_;
  std::deque<session::OwnershipNotice> notices_;
};

}  // namespace jvpn::test
