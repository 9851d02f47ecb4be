// A client and several gateways of one cluster: they share a key pair and a store. Engines alone,
// on the network of World.
//
//   node 0, client ──┬── node 1, gateway 0 ──┐
//                    ├── node 2, gateway 1 ──┼── MemoryStore
//                    └── node 3, gateway 2 ──┘
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/memory_ownership.h"
#include "tests/support/engine_world.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

/// A gateway's end of the store. Its answers to commits may be held back.
class Slow : public MemoryOwnership {
 public:
  using MemoryOwnership::MemoryOwnership;
  bool ask(Millis now, const OwnershipCall& call) override {
    if (!holds || call.kind != OwnershipCall::Kind::kCommit) return MemoryOwnership::ask(now, call);
    held.push_back(store().apply(now, call, epoch()));
    return true;
  }
  bool silent() const override { return lost; }
  void release() {
    for (const OwnershipReply& each : held) reply(each);
    held.clear();
  }
  bool holds = false;
  bool lost = false;  ///< it can't be asked
  std::vector<OwnershipReply> held;
};

class Cluster {
 public:
  /// Gateway 0 is node 1, and so on; each is reached over `networks`. `apart`: gateways that have
  /// stores of their own.
  explicit Cluster(size_t gateways = 2, size_t networks = 2, std::set<size_t> apart = {},
                   uint64_t seed = 1)
      : gateways_(gateways),
        networks_(networks),
        apart_(std::move(apart)),
        world(seed, adjust(), gateways + 1) {
    world.one_peer = true;
    world.filter = [this](const Datagram& each) {
      const bool lost = dead.contains(each.from) || dead.contains(each.to);
      if (lost || (filter && filter(each) == Fate::kDrop)) return Fate::kDrop;
      return Fate::kDeliver;
    };
    world.engine(0).set_candidates(world.now, kPeer, paths());
  }
  std::vector<Path> paths() const {
    std::vector<Path> all;
    for (size_t node = 1; node <= gateways_; ++node)
      for (size_t network = 0; network < networks_; ++network)
        all.push_back(path_between(0, node, network));
    return all;
  }
  void connect() {
    world.engine(0).dial(world.now, kPeer, paths().front());
    world.run_for(Millis{100});
    ASSERT_EQ(client().state, State::kAttached);
  }
  World::Adjust adjust() {
    return [this](size_t node, EngineConfig& config) { adjust_node(node, config); };
  }
  /// A gateway is killed, and was last known to run `ago`; and another run of it stands ready, whom
  /// nobody reaches before raise().
  void kill(size_t node, Millis ago = Millis{0}) {
    sessions.end_epoch(runs_[node]->epoch(), world.now - ago);
    world.restart(node, adjust());
    dead.insert(node);
  }
  void raise(size_t node) { dead.erase(node); }
  Slow& store(size_t node) { return *runs_[node]; }
  SessionView client() { return world.node(0).session(); }
  /// Which node the client's data goes to.
  size_t at() { return client().path.remote.address.bytes[3] - size_t{1}; }
  size_t sent_to(size_t node, std::optional<wire::MessageType> type = {}) const {
    return static_cast<size_t>(std::ranges::count_if(world.sent, [&](const Datagram& each) {
      return each.from == 0 && each.to == node && (!type || each.type() == *type);
    }));
  }
  size_t sent_beside_inquiries(size_t node) const {
    return sent_to(node) - sent_to(node, wire::MessageType::kInquiry);
  }
  /// The first gateway dies, and the second one's answer to the client waits for its store.
  void until_second_waits() {
    kill(1);
    store(2).holds = true;
    while (store(2).held.empty()) world.run_with_data(Millis{10}, 10);
  }
  /// Data flows until the client has noticed that nobody answers.
  void until_lost() {
    while (client().state == State::kAttached || client().state == State::kVolatile)
      world.run_with_data(Millis{10}, 10);
  }
  /// Data flows until the client is attached at `node`; how long that took.
  Millis until_at(size_t node, Millis limit = Millis{10'000}) {
    const Millis begun = world.now;
    while (world.now - begun < limit && (at() != node || client().state != State::kAttached))
      world.run_with_data(Millis{10}, 10);
    return world.now - begun;
  }

 private:
  void adjust_node(size_t node, EngineConfig& config) {
    if (node == 0) {
      config.peers.resize(1);
      for (size_t gateway = 0; gateway < gateways_; ++gateway)
        for (size_t network = 0; network < networks_; ++network)
          config.peers[0].gateways.push_back(
              {endpoint_of(gateway + 1, network), GatewayNumber{static_cast<uint8_t>(gateway)}});
      return;
    }
    if (node == 1) key_ = std::make_unique<SecretKey>(config.private_key);
    config.private_key = *key_;
    config.peers.resize(1);
    if (!own_[node]) own_[node] = std::make_unique<MemoryStore>();
    auto run = std::make_unique<Slow>(apart_.contains(node) ? *own_[node] : sessions);
    config.ownership = run.get();
    runs_[node] = run.get();
    kept_.push_back(std::move(run));
  }

  size_t gateways_;
  size_t networks_;
  std::set<size_t> apart_;
  std::unique_ptr<SecretKey> key_;
  std::map<size_t, Slow*> runs_;
  std::map<size_t, std::unique_ptr<MemoryStore>> own_;
  std::vector<std::unique_ptr<Slow>> kept_;

 public:
  MemoryStore sessions;
  std::set<size_t> dead;  ///< nodes
  std::function<Fate(const Datagram&)> filter;
  World world;
};

/// Client and node are attached to one session, and can open what the other sends.
inline void expect_one_session_at(Cluster& cluster, size_t node) {
  const SessionView left = cluster.client();
  const SessionView right = cluster.world.node(node).session();
  EXPECT_EQ(left.state, State::kAttached);
  EXPECT_EQ(right.state, State::kAttached);
  EXPECT_EQ(left.id, right.id);
  EXPECT_EQ(left.binding_version, right.binding_version);
  EXPECT_EQ(cluster.at(), node);
  const uint64_t lost = cluster.world.node(0).lost + cluster.world.node(node).lost;
  const uint64_t there = cluster.world.node(node).delivered;
  const uint64_t here = cluster.world.node(0).delivered;
  cluster.world.run_with_data(Millis{500}, 10);
  EXPECT_EQ(cluster.world.node(0).lost + cluster.world.node(node).lost, lost);
  EXPECT_GE(cluster.world.node(node).delivered, there + 48);
  EXPECT_GE(cluster.world.node(0).delivered, here + 48);
}

}  // namespace jvpn::test
