// The same store, with the product's cluster node and etcd's own process behind it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/cluster/cluster_node.h"
#include "control/cluster/etcd_client.h"
#include "control/session/system_sources.h"
#include "tests/matrix/stores.h"
#include "tests/support/etcd_server.h"

namespace jvpn::test {

/// One member for the whole run; each store has keys of its own in it.
inline EtcdServers& etcd_servers() {
  static const std::unique_ptr<EtcdServers> servers = [] {
    auto started = EtcdServers::start({});
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
    return started.ok() ? std::move(*started) : nullptr;
  }();
  return *servers;
}

class EtcdTestStore final : public TestStore {
 public:
  ~EtcdTestStore() override { cut_off(false); }
  EtcdTestStore() = default;
  EtcdTestStore(const EtcdTestStore&) = delete;
  EtcdTestStore& operator=(const EtcdTestStore&) = delete;
  /// Its process is stopped: connections stay, nothing is answered.
  void cut_off(bool cut) override { cut ? etcd_servers().stop(0) : etcd_servers().proceed(0); }

 private:
  static cluster::NodeTime now() { return {boottime_now(), realtime_ms()}; }

  /// A node whose calls are carried out while the caller waits.
  class InEtcd final : public Backend {
   public:
    explicit InEtcd(EtcdTestStore& of) : live_(of.live_), name_("n" + std::to_string(++of.nodes_)) {
      auto made = cluster::EtcdClient::create({.endpoints = etcd_servers().endpoints()});
      EXPECT_TRUE(made.ok());
      client_ = std::move(*made);
      cluster::NodeOptions options;
      options.node = name_;
      options.prefix = of.prefix_;
      options.instance.fill(static_cast<uint8_t>(of.nodes_));
      options.safe = Millis{5'000};
      options.random = [this] { return ++randoms_; };
      node_ = std::make_unique<cluster::ClusterNode>(
          options, cluster::RecordKey{},
          [this](uint64_t number, const cluster::Txn& txn, Millis patience) {
            client_->send(number, txn, patience);
          });
      work([this] { return node_->safe_until() != Millis{}; });
      of.names_[node_->epoch()] = name_;
      live_->insert(this);
    }
    ~InEtcd() override { live_->erase(this); }
    InEtcd(const InEtcd&) = delete;
    InEtcd& operator=(const InEtcd&) = delete;
    uint64_t epoch() const override { return node_->epoch(); }
    OwnershipReply apply(Millis, const OwnershipCall& call) override {
      OwnershipReply found;
      node_->ask(now(), call);
      work([&] {
        const auto reply = node_->take_reply();
        if (reply) found = *reply;
        return reply.has_value();
      });
      return found;
    }
    std::optional<OwnershipNotice> take_notice() override {
      turn(Millis{});
      return node_->take_notice();
    }
    void begin_again() override { node_->begin_again(now()); }

   private:
    void turn(Millis wait) {
      node_->serve(now());
      client_->wait(wait);
      while (const auto answer = client_->take()) node_->answered(now(), *answer);
    }
    template <typename Done>
    void work(Done done) {
      const Millis until = now().boot + Millis{10'000};
      while (!done()) {
        ASSERT_LT(now().boot, until) << "no answer within 10 s";
        turn(Millis{1});
      }
    }

    std::shared_ptr<std::set<InEtcd*>> live_;
    std::string name_;
    std::unique_ptr<cluster::EtcdClient> client_;
    std::unique_ptr<cluster::ClusterNode> node_;
    uint64_t randoms_ = 0;
  };

  std::unique_ptr<Backend> open() override { return std::make_unique<InEtcd>(*this); }
  /// As a node does of which the run itself hears nothing. The others have heard of it when it
  /// returns.
  void end_run(Millis at, uint64_t epoch) override {
    const cluster::Keys keys(prefix_);
    const std::string node = names_.at(epoch);
    const std::string beat = keys.beat(node);
    const cluster::RecordKey mac;
    cluster::BeatRecord last;
    last.past.front() = {epoch, realtime_ms()};
    cluster::Txn txn;
    txn.then = {cluster::Op::put(keys.epoch(node),
                                 write_value(mac, keys.epoch(node), cluster::EpochRecord{})),
                cluster::Op::put(beat, write_value(mac, beat, last))};
    const auto client = cluster::EtcdClient::create({.endpoints = etcd_servers().endpoints()});
    (*client)->send(1, txn, Millis{5'000});
    std::optional<cluster::TxnAnswer> answer;
    while (!(answer = (*client)->take())) (*client)->wait(Millis{100});
    ASSERT_TRUE(answer->reply) << answer->trouble;
    for (InEtcd* const each : *live_)
      if (each->epoch() != epoch) wait_until_free(*each, at);
  }
  void wait_until_free(InEtcd& node, Millis at) const {
    const Millis until = now().boot + Millis{10'000};
    for (const auto& [session, peer] : peers()) {
      OwnershipCall load{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = session};
      load.record.peer = peer;
      while (node.apply(at, load).found.value_or(StoredSession{}).served)
        ASSERT_LT(now().boot, until) << "the run isn't known to be over after 10 s";
    }
  }

  static inline int stores_ = 0;
  std::string prefix_ = "store" + std::to_string(++stores_) + "/";
  uint64_t nodes_ = 0;
  std::map<uint64_t, std::string> names_;  ///< of nodes, by epoch
  /// The nodes' too: those of gateways go after this.
  std::shared_ptr<std::set<InEtcd*>> live_{std::make_shared<std::set<InEtcd*>>()};
};

}  // namespace jvpn::test
