// Two session engines between which a target plays the network, and either end's dishonest peer
// that has the keys. Whatever they are given, what each engine tells its host makes sense.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "control/engine/engine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/matrix/stores.h"
#include "tests/support/rooms.h"
#include "tests/support/silent_host.h"

namespace jvpn::fuzz {

inline constexpr PeerId kPeer{0};  ///< either end's only one
inline constexpr size_t kNetworks = 3;

struct Datagram {
  Path path;  ///< as the sender sees it
  Bytes bytes;
};

inline Path from_other_side(const Path& path) {
  return {path.interface, path.remote, path.local};
}

/// An engine, what it sent and nobody has delivered yet, and what holds of everything it says.
class Side : public test::SilentHost {
 public:
  explicit Side(uint64_t seed) : SilentHost(seed) {}

  void send(const Path& path, std::span<const uint8_t> datagram) override {
    sent.push_back({path, {datagram.begin(), datagram.end()}});
  }
  bool reserve_rx(PeerId, ReceiverIndex index, uint16_t) override {
    if (!short_of_memory) promised_.insert(index.value);
    return !short_of_memory;
  }
  void release_rx(ReceiverIndex index) override { promised_.erase(index.value); }
  bool reserve_tx(PeerId, uint16_t) override { return !short_of_memory; }
  void install_rx(const RxInstall& install) override {
    EXPECT_EQ(promised_.erase(install.index.value), 1U) << "no memory was promised for it";
  }
  /// Each session's states follow the table, one version after the other.
  void emit(const Event& event) override {
    if (event.result != nullptr) {
      EXPECT_STRNE(event.result, "violated");
    }
    if (event.kind != EventKind::kStateChange) return;
    auto& [state, version] = lives_[event.session.bytes];
    EXPECT_EQ(event.from, state);
    EXPECT_EQ(event.state_version.value, version + 1);
    EXPECT_TRUE(legal_row(event.from, event.to, event.reason));
    EXPECT_NE(event.from, State::kTerminated);
    state = event.to;
    version = event.state_version.value;
  }
  Activity activity(PeerId) override { return traffic; }

  /// After the end of all sessions nothing is installed, or kept for an install.
  void expect_nothing_left() {
    EXPECT_TRUE(promised_.empty()) << "memory is still promised";
    EXPECT_TRUE(published(kPeer).rx.empty()) << "keys still open";
    EXPECT_FALSE(published(kPeer).tx.has_value()) << "keys still seal";
  }

  std::unique_ptr<SessionEngine> engine;
  std::deque<Datagram> sent;
  test::TestStore store;
  Activity traffic;
  bool short_of_memory = false;
  const Millis* now = nullptr;

 private:
  std::set<uint32_t> promised_;
  std::map<std::array<uint8_t, 16>, std::pair<State, uint64_t>> lives_;
};

class Pair {
 public:
  explicit Pair(uint32_t handshakes_per_s = 1'000) {
    for (size_t i = 0; i < 2; ++i) {
      Side& side = sides_[i];
      side.now = &now;
      EngineConfig config;
      config.private_key = secret(i);
      config.peers = {{"peer", public_key_of(secret(1 - i)), {}, {}}};
      config.suites = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};
      config.rekey_after = Millis{5'000};
      config.handshakes_per_s = handshakes_per_s;
      config.ownership = &side.store.client();
      auto engine = SessionEngine::create(std::move(config), side, now);
      EXPECT_TRUE(engine.ok());
      side.engine = *std::move(engine);
    }
  }

  static SecretKey secret(size_t side) {
    SecretKey key;
    key.bytes().fill(static_cast<uint8_t>(7 + side));
    return key;
  }
  Side& side(size_t i) { return sides_[i]; }
  SessionEngine& engine(size_t i) { return *sides_[i].engine; }

  /// Side 0 calls; both are attached, and it knows the other paths.
  void connect() {
    engine(0).dial(now, kPeer, path(0, 0));
    settle();
    std::vector<Path> candidates;
    for (size_t network = 0; network < kNetworks; ++network) candidates.push_back(path(0, network));
    engine(0).set_candidates(now, kPeer, candidates);
    pass(Millis{100});
  }

  static Path path(size_t from, size_t network) {
    const auto net = static_cast<uint8_t>(network);
    const auto at = [net](size_t side) {
      return Endpoint{IpAddress::v4({192, 0, net, static_cast<uint8_t>(side + 1)}),
                      wire::kDefaultPort};
    };
    return {net, at(from), at(1 - from)};
  }

  /// Gives side `to` a datagram of the other one.
  void deliver(size_t to, const Datagram& datagram) {
    Bytes bytes = datagram.bytes;
    const Path from = from_other_side(datagram.path);
    if (bytes.size() >= sizeof(wire::TransportHeader) &&
        wire::MessageType{bytes[0]} == wire::MessageType::kControl) {
      remember(to, bytes);
    }
    test::give(engine(to), now, from, bytes);
  }
  /// Delivers until both are silent, or have talked for too long.
  void settle() {
    constexpr int kMostDatagrams = 400;
    for (int i = 0; i < kMostDatagrams; ++i) {
      const size_t from = sides_[0].sent.empty() ? 1 : 0;
      if (sides_[from].sent.empty()) return;
      const Datagram next = std::move(sides_[from].sent.front());
      sides_[from].sent.pop_front();
      deliver(1 - from, next);
    }
    for (Side& side : sides_) side.sent.clear();
  }
  /// Time goes by, timers run when they are due, and datagrams arrive.
  void pass(Millis span) {
    constexpr int kMostTurns = 200;
    const Millis end = now + span;
    settle();
    for (int turn = 0; turn < kMostTurns; ++turn) {
      const Millis due = std::min(engine(0).next_deadline(), engine(1).next_deadline());
      if (due > end) break;
      now = std::max(now, due);
      for (Side& side : sides_) side.engine->advance(now);
      settle();
    }
    now = std::max(now, end);
  }
  /// Everybody goes, and leaves nothing behind.
  void end() {
    for (Side& side : sides_) {
      side.store.answer(now, OwnershipAnswer::kUnavailable);
      side.engine->advance(now);
      side.engine->stop_dialling(kPeer);
      side.engine->shutdown(now);
      drain(*side.engine);
      side.expect_nothing_left();
    }
  }

  /// The latest control message of that type that reached a side.
  Bytes known(size_t to, uint8_t type) const {
    const auto found = known_.find({to, type});
    return found == known_.end() ? Bytes{} : found->second;
  }

  Millis now{1'000'000};

 private:
  /// What was superseded still opens what is on its way, for a while.
  void drain(SessionEngine& engine) {
    constexpr int kMostTurns = 1'000;
    const Millis until = now + Millis{60'000};
    for (int turn = 0; turn < kMostTurns && engine.next_deadline() <= until; ++turn)
      engine.advance(now = std::max(now, engine.next_deadline()));
  }
  void remember(size_t to, const Bytes& sealed) {
    Bytes copy = sealed;
    const auto opened = engine(to).open_control(copy);
    if (!opened || opened->plaintext.size() < sizeof(wire::ControlHeader)) return;
    const auto type = opened->plaintext[offsetof(wire::ControlHeader, type)];
    known_[{to, type}] = Bytes(opened->plaintext.begin(), opened->plaintext.end());
  }

  std::array<Side, 2> sides_{Side{1}, Side{2}};
  std::map<std::pair<size_t, uint8_t>, Bytes> known_;
};

}  // namespace jvpn::fuzz
