// What tests and benchmarks put around a session engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "control/engine/engine.h"
#include "tests/support/random.h"

namespace jvpn::test {

/// Whose each installed index is, and next to no work of that: benchmarks time a host's, too. The
/// indices of one engine differ in their lowest bits, which number a slot; as many of those bits as
/// it takes are a place here.
class IndexOwners {
 public:
  void set(ReceiverIndex index, PeerId peer) {
    while (place(index).live && place(index).index != index) grow();
    place(index) = {index, peer, true};
  }
  /// And forgets it; nullopt: it isn't installed.
  std::optional<PeerId> take(ReceiverIndex index) {
    Place& at = place(index);
    if (!at.live || at.index != index) return std::nullopt;
    at.live = false;
    return at.peer;
  }

 private:
  struct Place {
    ReceiverIndex index;
    PeerId peer;
    bool live = false;
  };
  Place& place(ReceiverIndex index) { return places_[index.value % places_.size()]; }
  void grow() {
    const std::vector<Place> before =
        std::exchange(places_, std::vector<Place>(places_.size() * 2));
    for (const Place& each : before)
      if (each.live) place(each.index) = each;
  }

  std::vector<Place> places_ = std::vector<Place>(64);
};

/// A host that does nothing. Override what a test needs.
class SilentHost : public session::SessionHost {
 public:
  explicit SilentHost(uint64_t seed = 1) : random_(seed) {}

  void apply(const session::Effects& effects) final {
    for (const session::Effect& each : effects.list()) note(each);
    effects.carry_out(*this);
    applied();
  }
  /// All of a list was carried out.
  virtual void applied() {}

  virtual void send(const Path&, std::span<const uint8_t>) {}
  virtual void install_rx(const session::RxInstall&) {}
  virtual void retire_rx(ReceiverIndex) {}
  virtual void install_tx(const session::TxInstall&) {}
  virtual void withdraw_tx(PeerId) {}
  session::Activity activity(PeerId) override { return {}; }
  session::RxProgress rx_progress(ReceiverIndex) override { return {}; }
  session::Published published(PeerId peer) override { return of(peer); }
  uint16_t inner_mtu(const Path&) override { return 1'400; }
  virtual void configured(PeerId, const wire::ResponsePayload&) {}
  virtual void emit(const session::Event&) {}
  void random(std::span<uint8_t> bytes) override { random_.fill(bytes); }
  wire::Timestamp timestamp() override { return {}; }

 private:
  session::Published& of(PeerId peer) {
    if (peer.value >= published_.size()) published_.resize(peer.value + size_t{1});
    return published_[peer.value];
  }
  /// What a data path would have.
  void note(const session::Effect& effect) {
    if (const auto* rx = std::get_if<session::RxInstall>(&effect)) {
      of(rx->peer).rx.push_back({rx->index, rx->first_lane, rx->lanes});
      owners_.set(rx->index, rx->peer);
    } else if (const auto* gone = std::get_if<session::RxRetire>(&effect)) {
      forget(gone->index);
    } else if (const auto* closed = std::get_if<session::RxClose>(&effect)) {
      forget(closed->index);
    } else if (const auto* tx = std::get_if<session::TxInstall>(&effect)) {
      of(tx->peer).tx = {tx->binding_version, tx->peer_index, tx->first_lane, tx->path};
    } else if (const auto* none = std::get_if<session::TxWithdraw>(&effect)) {
      of(none->peer).tx.reset();
    }
  }
  void forget(ReceiverIndex index) {
    if (const auto peer = owners_.take(index)) of(*peer).rx.erase(index);
  }

  Random random_;
  std::vector<session::Published> published_;  ///< by peer
  IndexOwners owners_;
};

/// Gives an engine what came on a path: a handshake, a reset, as its first peer's, or a control
/// message, which is opened in place. False: it did not open.
inline bool give(engine::SessionEngine& engine, Millis now, const Path& from,
                 std::span<uint8_t> datagram) {
  if (wire::MessageType{datagram[0]} != wire::MessageType::kControl) {
    engine.on_handshake(now, from, datagram, std::nullopt, PeerId{0});
    return true;
  }
  wire::TransportHeader header;
  __builtin_memcpy(&header, datagram.data(), sizeof header);
  const auto opened = engine.open_control(datagram);
  if (!opened) return false;
  engine.on_control(now, from, ReceiverIndex{header.receiver}, opened->counter, opened->plaintext);
  return true;
}

}  // namespace jvpn::test
