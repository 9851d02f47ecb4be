// Session engines on an in-memory network under a virtual clock. Everything random comes from one
// seed: JVPN_SEED replays a run, and every failure names the seed it had.
//
//   node 0 ──┐                    ┌── node 1
//            └── World: delay, ───┘        datagrams in order of arrival; between two of them
//                loss, dup, filter         the engines' timers run at their own deadlines
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/engine/engine.h"
#include "tests/support/engine_node.h"
#include "tests/support/random.h"
#include "tests/support/rooms.h"
#include "tests/support/seed.h"

namespace jvpn::test {

/// Nodes, each configured with the others as peers (in order of number, itself left out).
class World {
 public:
  using Adjust = std::function<void(size_t node, EngineConfig&)>;

  /// `recording`: of node 1.
  explicit World(uint64_t seed = 1, const Adjust& adjust = nullptr, size_t count = 2,
                 Recording* recording = nullptr)
      : seed_(seed), random_(seed), adjust_(adjust), count_(count) {
    const std::vector<SecretKey> keys = keys_of(random_, count);
    for (const SecretKey& key : keys) public_keys_.push_back(public_key_of(key));
    for (size_t i = 0; i < count; ++i) {
      nodes_.push_back(std::make_unique<Node>(*this, i, random_.next()));
      if (i == 1) nodes_[i]->recording = recording;
      EngineConfig config = config_of(keys, i);
      if (adjust) adjust(i, config);
      auto engine = SessionEngine::create(std::move(config), *nodes_[i], now);
      EXPECT_TRUE(engine.ok());
      nodes_[i]->engine = std::move(*engine);
      nodes_[i]->asked_by_engine = false;
    }
  }

  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// A node's program is killed and started again: it has its configuration and nothing else.
  void restart(size_t i) {
    nodes_[i]->lose_all();
    auto engine = SessionEngine::create(config_from(seed_, adjust_, count_, i), *nodes_[i], now);
    EXPECT_TRUE(engine.ok());
    nodes_[i]->engine = std::move(*engine);
  }

  /// The configuration that a world of this seed gives a node.
  static EngineConfig config_from(uint64_t seed, const Adjust& adjust, size_t count, size_t self) {
    Random random(seed);
    EngineConfig config = config_of(keys_of(random, count), self);
    if (adjust) adjust(self, config);
    return config;
  }

  /// The node's program dies, and another run of it begins. Whatever it had in memory is gone.
  void restart(size_t i, const Adjust& adjust) {
    nodes_[i] = std::make_unique<Node>(*this, i, random_.next());
    auto engine =
        SessionEngine::create(config_from(seed_, adjust, public_keys_.size(), i), *nodes_[i], now);
    EXPECT_TRUE(engine.ok());
    nodes_[i]->engine = std::move(*engine);
    nodes_[i]->asked_by_engine = false;
  }

  Node& node(size_t i) { return *nodes_[i]; }
  SessionEngine& engine(size_t i) { return *nodes_[i]->engine; }
  const PublicKey& public_key(size_t i) const { return public_keys_[i]; }

  /// Node `from` dials its peer number `peer`, which is node `to`.
  void dial(size_t from, size_t to) {
    engine(from).dial(now, peer(from, to), path_between(from, to));
  }
  static PeerId peer(size_t of, size_t other) {
    return PeerId{static_cast<uint32_t>(other > of ? other - 1 : other)};
  }
  /// Dials and runs until both ends are attached.
  void connect(size_t from = 0, size_t to = 1) {
    dial(from, to);
    run_for(Millis{100});
  }

  void send(size_t from, const Path& path, std::span<const uint8_t> bytes) {
    const size_t to = path.remote.address.bytes[3] - size_t{1};
    Datagram datagram{
        from, to, {bytes.begin(), bytes.end()}, {path.interface, path.remote, path.local}};
    if (rewrite) rewrite(datagram);
    sent.push_back(datagram);
    if (cut.contains(datagram.network())) return;
    if (filter && filter(datagram) == Fate::kDrop) return;
    const bool data = datagram.type() == wire::MessageType::kData;
    if (!data && random_.chance(weather.loss)) return;
    if (!data && random_.chance(weather.duplicate)) schedule(datagram);
    schedule(std::move(datagram));
  }

  /// Hands a datagram to its receiver now, as the network would.
  void deliver(const Datagram& datagram) {
    Node& receiver = node(datagram.to);
    const Path from = datagram.path;
    switch (datagram.type()) {
      case wire::MessageType::kData:
        if (!receiver.receive_data(datagram, now)) report_unknown(receiver, datagram);
        return;
      case wire::MessageType::kReset:
        return deliver_reset(receiver, datagram);
      case wire::MessageType::kControl: {
        Bytes copy = datagram.bytes;
        wire::TransportHeader header{};
        if (copy.size() < sizeof header) {
          ++unopened;
          return;
        }
        __builtin_memcpy(&header, copy.data(), sizeof header);
        const auto found = receiver.engine->open_control(copy);
        if (!found) {
          ++unopened;
          const ReceiverIndex index{header.receiver};
          if (!receiver.engine->receives_on(index)) report_unknown(receiver, datagram);
          return;
        }
        const Bytes opened(found->plaintext.begin(), found->plaintext.end());
        if (opened.size() >= sizeof(wire::ControlHeader)) ++control_types[opened[1]];
        return receiver.tell(
            [at = now, from, header, opened, counter = found->counter](SessionEngine& engine) {
              engine.on_control(at, from, ReceiverIndex{header.receiver}, counter, opened);
            });
      }
      default:
        return receiver.tell([at = now, from, bytes = datagram.bytes](SessionEngine& engine) {
          engine.on_handshake(at, from, bytes, std::nullopt);
        });
    }
  }

  /// Nobody takes the other for one that lost the session, as long as both have it.
  void deliver_reset(Node& receiver, const Datagram& datagram) {
    const uint64_t taken = receiver.engine->counters().resets_taken;
    const PeerId sender = one_peer ? kPeer : peer(datagram.to, datagram.from);
    receiver.tell([at = now, from = datagram.path, peer = sender,
                   bytes = datagram.bytes](SessionEngine& engine) {
      engine.on_handshake(at, from, bytes, std::nullopt, peer);
    });
    if (receiver.engine->counters().resets_taken == taken) return;
    for (const SessionView& own : receiver.sessions()) {
      for (const SessionView& other : node(datagram.from).sessions())
        EXPECT_NE(own.id, other.id) << "seed " << seed_ << ": a reset of a session that lives";
    }
  }

  /// As a gateway's worker does.
  void report_unknown(Node& receiver, const Datagram& datagram) const {
    wire::TransportHeader header;
    __builtin_memcpy(&header, datagram.bytes.data(), sizeof header);
    receiver.tell([at = now, from = datagram.path, index = ReceiverIndex{header.receiver}](
                      SessionEngine& engine) { engine.on_unknown_index(at, from, index); });
  }

  void run_for(Millis span) { run_until(now + span); }

  void run_until(Millis end) {
    for (;;) {
      const Millis due = std::max(now, next_event());
      if (due > end) break;
      now = due;
      if (!queue_.empty() && queue_.begin()->first <= now) {
        const Datagram datagram = std::move(queue_.begin()->second);
        queue_.erase(queue_.begin());
        deliver(datagram);
      } else {
        for (auto& each : nodes_) {
          each->tell([at = now](SessionEngine& engine) { engine.advance(at); });
        }
      }
      for (auto& each : nodes_) report_closed(*each);
      if (after_each) after_each();
    }
    now = end;
  }

  /// A grace period has passed.
  void report_closed(Node& node) const {
    while (node.tells_closed && node.engine && !node.closed.empty()) {
      const auto [peer, report] = std::move(node.closed.front());
      node.closed.pop_front();
      node.tell([at = now, peer = peer, report = report](SessionEngine& engine) {
        lanes_closed(engine, at, peer, report);
      });
    }
  }

  /// Every `gap_ms` both nodes of a pair send a data packet, for `span`.
  void run_with_data(Millis span, uint64_t gap_ms) {
    for (const Millis end = now + span; now < end;) {
      for (auto& each : nodes_) {
        for (const auto& [peer, install] : each->tx) each->send_data(PeerId{peer});
      }
      run_for(Millis{gap_ms});
    }
  }

  /// Whatever one side may send, the other can open: its index is there, with the same keys.
  void expect_openable(size_t from, size_t to) {
    const auto tx = node(from).tx.find(peer(from, to).value);
    if (tx == node(from).tx.end()) return;
    const auto rx = node(to).rx.find(tx->second.peer_index.value);
    ASSERT_NE(rx, node(to).rx.end()) << "seed " << seed_ << ": index unknown at " << now.value;
    ASSERT_EQ(rx->second.traffic_key, tx->second.traffic_key) << "seed " << seed_;
    ASSERT_EQ(rx->second.first_lane, tx->second.first_lane) << "seed " << seed_;
  }

  Millis now{1'000'000};
  Weather weather;
  std::function<Fate(const Datagram&)> filter;
  std::function<void(Datagram&)> rewrite;  ///< a NAT, or somebody on the path
  std::set<size_t> cut;                    ///< networks that carry nothing
  bool one_peer = false;                   ///< all nodes but the first are gateways with one key
  std::function<void()> after_each;
  std::vector<Datagram> sent;
  uint64_t unopened = 0;
  std::map<unsigned, uint64_t> control_types;  ///< control messages delivered, by type

 private:
  static std::vector<SecretKey> keys_of(Random& random, size_t count) {
    std::vector<SecretKey> keys(count);
    for (SecretKey& key : keys) random.fill(key.span());
    return keys;
  }
  static EngineConfig config_of(const std::vector<SecretKey>& keys, size_t self) {
    EngineConfig config;
    config.private_key = keys[self];
    config.suites = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};
    for (size_t i = 0; i < keys.size(); ++i) {
      if (i == self) continue;
      EnginePeer peer;
      peer.name = "node" + std::to_string(i);
      peer.public_key = public_key_of(keys[i]);
      peer.inner_addresses = {*Prefix::parse("10.9.0." + std::to_string(i + 1) + "/32")};
      config.peers.push_back(std::move(peer));
    }
    return config;
  }

  void schedule(Datagram datagram) {
    const uint64_t jitter = weather.jitter_ms == 0 ? 0 : random_.below(weather.jitter_ms + 1);
    queue_.emplace(now + Millis{weather.delay_ms + jitter}, std::move(datagram));
  }

  Millis next_event() const {
    Millis next = queue_.empty() ? Millis{UINT64_MAX} : queue_.begin()->first;
    for (const auto& each : nodes_) next = std::min(next, each->engine->next_deadline());
    return next;
  }

  uint64_t seed_;
  Random random_;
  Adjust adjust_;
  size_t count_;
  std::vector<PublicKey> public_keys_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::multimap<Millis, Datagram> queue_;
};

inline void Node::send(const Path& path, std::span<const uint8_t> datagram) {
  witness("send", to_string(path) + " " +
                      std::string(reinterpret_cast<const char*>(datagram.data()), datagram.size()));
  world_.send(number_, path, datagram);
}

inline wire::Timestamp Node::timestamp() {
  const uint64_t now = (world_.now - clock_behind).value;
  const uint64_t seconds = (uint64_t{1} << 62) + 1'700'000'010 + now / 1000;
  const uint64_t nanoseconds = now % 1000 * 1'000'000;
  wire::Timestamp stamp{};
  for (size_t i = 0; i < 8; ++i) stamp[i] = static_cast<uint8_t>(seconds >> (56 - 8 * i));
  for (size_t i = 0; i < 4; ++i) stamp[8 + i] = static_cast<uint8_t>(nanoseconds >> (24 - 8 * i));
  if (records()) recording->timestamps.push_back(stamp);
  return stamp;
}

inline void Node::send_data(PeerId peer) {
  const TxInstall& install = tx.at(peer.value);
  wire::TransportHeader header{};
  header.type = wire::MessageType::kData;
  header.receiver = install.peer_index.value;
  const auto key = std::pair(install.traffic_key, install.first_lane.value);
  header.counter = wire::make_counter(install.first_lane, sequences_[key]++) ^ install.data_mask;
  Bytes bytes(sizeof header + install.traffic_key.size());
  __builtin_memcpy(bytes.data(), &header, sizeof header);
  std::copy(install.traffic_key.begin(), install.traffic_key.end(), bytes.begin() + sizeof header);
  ++activity_[peer.value].tx_packets;
  ++activity_[peer.value].tx_generation_packets;
  world_.send(number_, install.path, bytes);
}

/// The latest datagram of a type that a node sent.
inline Datagram last_sent(const World& world, size_t from, wire::MessageType type) {
  for (auto each = world.sent.rbegin(); each != world.sent.rend(); ++each) {
    if (each->from == from && each->type() == type) return *each;
  }
  ADD_FAILURE() << "nothing of that type was sent";
  return {};
}

inline size_t count_sent(const World& world, size_t from, wire::MessageType type) {
  return static_cast<size_t>(std::count_if(
      world.sent.begin(), world.sent.end(),
      [&](const Datagram& datagram) { return datagram.from == from && datagram.type() == type; }));
}

/// Both are attached, to the same session, and can open what the other sends.
inline void expect_one_session(World& world, size_t a = 0, size_t b = 1) {
  const SessionView left = world.node(a).session();
  const SessionView right = world.node(b).session();
  EXPECT_EQ(left.state, State::kAttached);
  EXPECT_EQ(right.state, State::kAttached);
  EXPECT_EQ(left.id, right.id);
  EXPECT_EQ(left.binding_version, right.binding_version);
  world.expect_openable(a, b);
  world.expect_openable(b, a);
}

}  // namespace jvpn::test
