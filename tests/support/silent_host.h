// What tests and benchmarks put around a session engine.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <variant>
#include <vector>

#include "control/engine/engine.h"
#include "tests/support/random.h"

namespace jvpn::test {

/// A host that does nothing. Override what a test needs.
class SilentHost : public session::SessionHost {
 public:
  explicit SilentHost(uint64_t seed = 1) : random_(seed) {}

  void apply(const session::Effects& effects) final {
    for (const session::Effect& each : effects.list()) note(each);
    effects.carry_out(*this);
  }

  virtual void send(const Path&, std::span<const uint8_t>) {}
  virtual void install_rx(const session::RxInstall&) {}
  virtual void retire_rx(ReceiverIndex) {}
  virtual void install_tx(const session::TxInstall&) {}
  virtual void withdraw_tx(PeerId) {}
  session::Activity activity(PeerId) override { return {}; }
  session::RxProgress rx_progress(ReceiverIndex) override { return {}; }
  session::Published published(PeerId peer) override { return published_[peer.value]; }
  uint16_t inner_mtu(const Path&) override { return 1'400; }
  virtual void configured(PeerId, const wire::ResponsePayload&) {}
  virtual void emit(const session::Event&) {}
  void random(std::span<uint8_t> bytes) override { random_.fill(bytes); }
  wire::Timestamp timestamp() override { return {}; }

 private:
  /// What a data path would have.
  void note(const session::Effect& effect) {
    if (const auto* rx = std::get_if<session::RxInstall>(&effect)) {
      published_[rx->peer.value].rx.push_back({rx->index, rx->first_lane, rx->lanes});
      owner_[rx->index.value] = rx->peer.value;
    } else if (const auto* gone = std::get_if<session::RxRetire>(&effect)) {
      std::erase_if(published_[owner_[gone->index.value]].rx,
                    [&](const session::PublishedRx& each) { return each.index == gone->index; });
      owner_.erase(gone->index.value);
    } else if (const auto* tx = std::get_if<session::TxInstall>(&effect)) {
      published_[tx->peer.value].tx = {tx->binding_version, tx->peer_index, tx->first_lane,
                                       tx->path};
    } else if (const auto* none = std::get_if<session::TxWithdraw>(&effect)) {
      published_[none->peer.value].tx.reset();
    }
  }

  Random random_;
  std::unordered_map<uint32_t, session::Published> published_;  ///< by peer
  std::unordered_map<uint32_t, uint32_t> owner_;                ///< of an index
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
