// A peer: the shipping session engine and data path of jvpn-client, on paths that a rig carries.
// Its clock is its own, ahead of the gateway's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "control/engine/engine.h"
#include "control/session/system_sources.h"
#include "tests/matrix/event_book.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"
#include "tests/support/silent_host.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/dataplane/seal_batch.h"

namespace jvpn::test {

inline constexpr PeerId kGateway{0};

/// A client's address inside the tunnel.
IpAddress inner_address(size_t client);

struct ClientSpec {
  size_t number = 0;
  SecretKey private_key;
  PublicKey gateway{};
  Policy policy;
  Suite suite = Suite::kAes128Gcm;
  uint64_t seed = 1;
  std::function<void(EngineConfig&)> adjust;
};

class ClientNode final : public SilentHost {
 public:
  using Carry = std::function<void(const Path&, std::span<const uint8_t>)>;

  /// `now`: its own clock's.
  ClientNode(const ClientSpec& spec, Millis now, Carry carry);

  void dial(Millis now, const Path& path);
  void receive(Millis now, const Path& from, Bytes datagram);
  void advance(Millis now);
  /// Seals one echo request to the gateway's inside address. False: no path carries data.
  bool send_echo();
  uint64_t echoes() const { return echoes_; }  ///< replies that came back

  /// The plaintext of a control message to this client, by any key that it holds.
  std::optional<Bytes> open(std::span<const uint8_t> datagram) const;
  const std::optional<TxInstall>& tx() const { return tx_; }
  /// Every send side that was installed, in order.
  const std::vector<TxInstall>& installs() const { return installs_; }
  const DataPathCounters& counters() const { return data_path_->counters(); }
  SessionEngine& engine() { return *engine_; }
  const EventBook& events() const { return book_; }

  void send(const Path& path, std::span<const uint8_t> datagram) override;
  void install_rx(const RxInstall& install) override;
  void retire_rx(ReceiverIndex index) override;
  void install_tx(const TxInstall& install) override;
  void withdraw_tx(PeerId peer) override;
  Activity activity(PeerId) override { return data_path_->activity(); }
  Published published(PeerId) override { return data_path_->published(); }
  RxProgress rx_progress(ReceiverIndex index) override { return data_path_->rx_progress(index); }
  void emit(const Event& event) override;
  /// The gateway's host has the same clock.
  wire::Timestamp timestamp() override { return session::tai64n_now(); }

 private:
  void take_inner(std::span<const uint8_t> packet);

  size_t number_;
  Carry carry_;
  Suite suite_;
  Millis now_;
  EventBook book_{Side::kClient};
  std::unique_ptr<DataPath> data_path_;
  SealBatch batch_;
  std::map<uint32_t, RxInstall> rx_;
  std::optional<TxInstall> tx_;
  std::vector<TxInstall> installs_;
  uint64_t event_sequence_ = 0;
  uint16_t echo_sequence_ = 0;
  uint64_t echoes_ = 0;
  std::unique_ptr<SessionEngine> engine_;
};

}  // namespace jvpn::test
