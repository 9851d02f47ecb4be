// Time, a store in memory, and nodes of a cluster whose transactions reach it at once, unless a
// test holds them back.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/cluster/cluster_node.h"
#include "tests/support/kv_store.h"
#include "tests/support/random.h"

namespace jvpn::cluster {

using session::OwnershipAnswer;
using session::OwnershipCall;
using session::OwnershipNotice;
using session::OwnershipReply;
using Kind = OwnershipCall::Kind;

inline constexpr Millis kSafe{3'000};
inline constexpr uint64_t kWall = 1'700'000'000'000;

inline PublicKey peer_key(uint8_t number) {
  PublicKey key{};
  key.fill(number);
  return key;
}

inline SessionId id_of(uint8_t number) {
  SessionId id;
  id.bytes.fill(number);
  return id;
}

/// Time, a store, and nodes whose transactions reach it at once, unless a test holds them back.
class ClusterWorld {
 public:
  struct Sent {
    uint64_t number = 0;
    Txn txn;
  };
  struct Node {
    std::unique_ptr<ClusterNode> node;
    std::deque<Sent> sent;
    bool cut = false;                       ///< the store isn't reached
    bool paused = false;                    ///< the process doesn't run
    bool answers_lost = false;              ///< the store is reached, and isn't heard
    std::function<bool(const Txn&)> loses;  ///< what never gets there
    std::function<bool(const Txn&)> holds;  ///< what is carried out, and answered by let_go()
    std::vector<TxnAnswer> held;
    uint64_t wall_ahead = 0;  ///< its wall clock is wrong by so much
    std::vector<std::string> news;
  };

  ClusterWorld() = default;
  ClusterWorld(const ClusterWorld&) = delete;
  ClusterWorld& operator=(const ClusterWorld&) = delete;

  size_t start(const std::string& name, uint8_t instance = 0) {
    NodeOptions options;
    options.node = name;
    options.prefix = "c/";
    options.instance.fill(instance != 0 ? instance : static_cast<uint8_t>(++instances_ + 100));
    options.boot.fill(1);
    options.safe = kSafe;
    options.random = [this] { return random_.next(); };
    const size_t number = nodes_.size();
    nodes_.push_back(std::make_unique<Node>());
    Node* const at = nodes_.back().get();
    options.news = [at](const std::string& line) { at->news.push_back(line); };
    at->node = std::make_unique<ClusterNode>(options, RecordKey{},
                                             [at](uint64_t number_sent, const Txn& txn, Millis) {
                                               at->sent.push_back({number_sent, txn});
                                             });
    return number;
  }

  NodeTime now() const { return {Millis{now_}, kWall + now_}; }
  NodeTime now(const Node& at) const { return {Millis{now_}, kWall + now_ + at.wall_ahead}; }
  Node& at(size_t i) { return *nodes_[i]; }
  ClusterNode& node(size_t i) { return *nodes_[i]->node; }

  void settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (const auto& each : nodes_) {
        if (each->paused || !each->node) continue;
        each->node->serve(now(*each));
        while (!each->sent.empty()) {
          busy = true;
          const Sent sent = each->sent.front();
          each->sent.pop_front();
          if (each->cut || (each->loses && each->loses(sent.txn))) {
            each->node->answered(now(*each), {sent.number, std::nullopt, "no route"});
            continue;
          }
          const TxnReply reply = store.apply(sent.txn);
          if (each->holds && each->holds(sent.txn))
            each->held.push_back({sent.number, reply, {}});
          else if (each->answers_lost)
            each->node->answered(now(*each), {sent.number, std::nullopt, "no answer"});
          else
            each->node->answered(now(*each), {sent.number, reply, {}});
        }
      }
      if (busy) continue;
    }
  }
  /// The answers that were held back come.
  void let_go(size_t i) {
    for (const TxnAnswer& each : std::exchange(at(i).held, {})) node(i).answered(now(at(i)), each);
  }
  void run_for(uint64_t ms) {
    for (const uint64_t until = now_ + ms; now_ < until; now_ += 10) settle();
  }
  bool safe(size_t i) { return now().boot < node(i).safe_until(); }

  OwnershipCall call(Kind kind, uint8_t session, uint8_t peer) {
    OwnershipCall made;
    made.kind = kind;
    made.ticket = ++tickets_;
    made.session = id_of(session);
    made.record.peer = peer_key(peer);
    made.record.id = id_of(session);
    return made;
  }
  /// Asks, and runs until there is an answer.
  OwnershipReply ask(size_t i, const OwnershipCall& made) {
    node(i).ask(now(at(i)), made);
    for (const uint64_t until = now_ + 1'100; now_ <= until; now_ += 10) {
      settle();
      while (const auto reply = node(i).take_reply())
        if (reply->ticket == made.ticket) return *reply;
      if (on_turn) on_turn();
    }
    ADD_FAILURE() << "no answer within the patience";
    return {};
  }
  OwnershipReply acquire(size_t i, uint8_t session, uint8_t peer) {
    OwnershipCall made = call(Kind::kAcquire, session, peer);
    made.record.binding_version = BindingVersion{1};
    made.record.ceiling = made.ceiling = StateVersion{1'024};
    return ask(i, made);
  }
  OwnershipReply commit(size_t i, uint8_t session, uint8_t peer, uint64_t from, uint64_t to,
                        uint64_t from_epoch = 0) {
    OwnershipCall made = call(Kind::kCommit, session, peer);
    made.expected = made.attempted = BindingVersion{from};
    made.next = BindingVersion{to};
    made.from_epoch = from_epoch;
    return ask(i, made);
  }
  OwnershipReply load(size_t i, uint8_t session, uint8_t peer) {
    return ask(i, call(Kind::kLoad, session, peer));
  }

  test::KvStore store;
  std::function<void()> on_turn;
  uint64_t now_ = 10'000;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
  test::Random random_{1};
  uint64_t instances_ = 0;
  uint64_t tickets_ = 0;
};

}  // namespace jvpn::cluster
