// What the session engine needs from the program around it: a gateway applies these to the
// workers' tables through RCU, a client to its own, tests record them. All calls come from the
// control thread, in the order in which they must take effect.
#pragma once

#include <cstdint>
#include <span>

#include "common/aead.h"
#include "common/path.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/event.h"
#include "control/session/quality.h"

namespace jvpn::session {

/// Receive side of one receiver index. Takes effect before anything sent later can be answered.
struct RxInstall {
  ReceiverIndex index;
  PeerId peer;
  Suite suite{};
  RawKey traffic_key{};
  RawKey control_key{};
  LaneId first_lane;
  uint16_t lanes = 1;
};

/// Send side of a session: the whole of it, replacing what was there.
struct TxInstall {
  PeerId peer;
  BindingVersion binding_version;
  uint64_t key_generation =
      0;  ///< lane counters go on within a generation, start afresh with a new one
  ReceiverIndex peer_index;
  Suite suite{};
  RawKey traffic_key{};
  LaneId first_lane;
  uint16_t lanes = 1;
  uint64_t packets_per_lane = 0;  ///< hard quota of each lane under this key
  uint16_t inner_mtu = 0;         ///< as the peer told; 0: the path decides
  Path path;
};

/// What the data path has seen of a session.
struct Activity {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  Millis last_rx;                      ///< latest authentic data; 0: none yet
  uint64_t tx_generation_packets = 0;  ///< sent under the current key, for rekeying
};

class SessionHost {
 public:
  virtual ~SessionHost() = default;

  /// Sends one UDP payload along a path. May drop; never blocks.
  virtual void send(const Path& path, std::span<const uint8_t> datagram) = 0;
  virtual void install_rx(const RxInstall& install) = 0;
  /// Data on an installed index is expected from `remote`; the host tells the engine when it comes
  /// from elsewhere (source_changed()), if it can tell.
  virtual void bind_rx(ReceiverIndex, const Endpoint&) {}
  virtual void retire_rx(ReceiverIndex index) = 0;
  virtual void install_tx(const TxInstall& install) = 0;
  /// The peer has no active binding any more; outbound packets are dropped by name.
  virtual void withdraw_tx(PeerId peer) = 0;
  /// Totals since the peer's session was installed.
  virtual Activity activity(PeerId peer) = 0;
  /// Data received on an index, to tell how much of it was lost; zeros when nothing came.
  virtual RxProgress rx_progress(ReceiverIndex index) = 0;
  /// Largest inner packet that this end takes and sends on a path.
  virtual uint16_t inner_mtu(const Path& path) = 0;
  /// Initiator: the responder's answer to a handshake (inner addresses, MTU, policy).
  virtual void configured(PeerId peer, const wire::ResponsePayload& answer) = 0;
  virtual void emit(const Event& event) = 0;
  /// Fills with random bytes; tests replay them from a seed.
  virtual void random(std::span<uint8_t> bytes) = 0;
  /// CLOCK_BOOTTIME in microseconds, for round-trip times alone; `now` is what the engine was told.
  virtual uint64_t clock_us(Millis now) { return now.value * 1000; }
  /// CLOCK_REALTIME as TAI64N, for handshake timestamps.
  virtual wire::Timestamp timestamp() = 0;
};

}  // namespace jvpn::session
