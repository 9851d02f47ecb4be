// What tests and benchmarks put around a session engine.
#pragma once

#include <cstdint>
#include <span>

#include "control/engine/engine.h"
#include "tests/support/random.h"

namespace jvpn::test {

/// A host that does nothing. Override what a test needs.
class SilentHost : public session::SessionHost {
 public:
  explicit SilentHost(uint64_t seed = 1) : random_(seed) {}

  void apply(const session::Effects& effects) final { effects.carry_out(*this); }

  virtual void send(const Path&, std::span<const uint8_t>) {}
  virtual void install_rx(const session::RxInstall&) {}
  virtual void retire_rx(ReceiverIndex) {}
  virtual void install_tx(const session::TxInstall&) {}
  virtual void withdraw_tx(PeerId) {}
  session::Activity activity(PeerId) override { return {}; }
  session::RxProgress rx_progress(ReceiverIndex) override { return {}; }
  uint16_t inner_mtu(const Path&) override { return 1'400; }
  virtual void configured(PeerId, const wire::ResponsePayload&) {}
  virtual void emit(const session::Event&) {}
  void random(std::span<uint8_t> bytes) override { random_.fill(bytes); }
  wire::Timestamp timestamp() override { return {}; }

 private:
  Random random_;
};

/// TAI64N by a clock that read 14 November 2023 at time 0.
inline wire::Timestamp timestamp_at(Millis now) {
  constexpr uint64_t kStart = (uint64_t{1} << 62) + 1'700'000'010;
  const uint64_t seconds = __builtin_bswap64(kStart + now.value / 1'000);
  const auto nanoseconds = __builtin_bswap32(static_cast<uint32_t>(now.value % 1'000 * 1'000'000));
  wire::Timestamp stamp;
  __builtin_memcpy(stamp.data(), &seconds, sizeof seconds);
  __builtin_memcpy(stamp.data() + sizeof seconds, &nanoseconds, sizeof nanoseconds);
  return stamp;
}

/// Gives an engine what came on a path: a handshake, or a control message, which is opened in
/// place. False: it did not open.
inline bool give(engine::SessionEngine& engine, Millis now, const Path& from,
                 std::span<uint8_t> datagram) {
  if (wire::MessageType{datagram[0]} != wire::MessageType::kControl) {
    engine.on_handshake(now, from, datagram, std::nullopt);
    return true;
  }
  wire::TransportHeader header;
  __builtin_memcpy(&header, datagram.data(), sizeof header);
  const auto plaintext = engine.open_control(datagram);
  if (!plaintext) return false;
  engine.on_control(now, from, ReceiverIndex{header.receiver}, header.counter, *plaintext);
  return true;
}

}  // namespace jvpn::test
