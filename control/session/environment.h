// What the session engine asks of the program around it: measurements of the data path, clocks,
// randomness, and room for what it is about to install. Nothing here changes what workers see, but
// for stop_data(). All calls come from the control thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "common/lane_report.h"
#include "common/limits.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/path_quality.h"

namespace jvpn::session {

/// What the data path has seen of a session.
struct Activity {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  Millis last_rx;                      ///< latest authentic data; 0: none yet
  uint64_t tx_generation_packets = 0;  ///< sent under the current key, for rekeying
  uint64_t tx_generation_bytes = 0;    ///< of those
};

/// The send side of a peer, as packets are sealed by it now.
struct PublishedTx {
  BindingVersion binding_version;
  ReceiverIndex peer_index;
  LaneId first_lane;
  Path path;
  bool next_hop_known = true;  ///< frames go to the link-layer address last learnt, or nowhere
};

/// An index of a peer, as packets are opened under it now.
struct PublishedRx {
  ReceiverIndex index;
  LaneId first_lane;
  uint16_t lanes = 0;
};

/// The indices of one peer, in no memory of their own: a transition audits them, and there are few.
class PublishedIndices {
 public:
  PublishedIndices() = default;
  PublishedIndices(std::initializer_list<PublishedRx> all) {
    for (const PublishedRx& each : all) push_back(each);
  }

  /// Beyond kMost it is only remembered that there are more().
  void push_back(const PublishedRx& rx) {
    if (size_ == kMost)
      more_ = true;
    else
      all_[size_++] = rx;
  }
  void erase(ReceiverIndex index) {
    const auto gone = std::remove_if(begin(), end(),
                                     [&](const PublishedRx& each) { return each.index == index; });
    size_ = static_cast<size_t>(gone - begin());
  }
  void clear() { size_ = 0; }
  /// More than a session and one that is to follow it ever have.
  bool more() const { return more_; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const PublishedRx& operator[](size_t n) const { return all_[n]; }
  PublishedRx* begin() { return all_.data(); }
  PublishedRx* end() { return all_.data() + size_; }
  const PublishedRx* begin() const { return all_.data(); }
  const PublishedRx* end() const { return all_.data() + size_; }

 private:
  static constexpr size_t kMost = size_t{2} * kIndicesPerSession;

  std::array<PublishedRx, kMost> all_;
  size_t size_ = 0;
  bool more_ = false;
};

/// All that the data path has of a peer, read back from where packets meet it.
struct Published {
  std::optional<PublishedTx> tx;
  bool refused = false;  ///< no send side: the host had no memory, and is about to say so
  PublishedIndices rx;
};

class Environment {
 public:
  virtual ~Environment() = default;

  /// Totals since the peer's session was installed.
  virtual Activity activity(PeerId peer) = 0;
  /// Data received on an index, to tell how much of it was lost; zeros when nothing came.
  virtual RxProgress rx_progress(ReceiverIndex index) = 0;
  /// What packets meet of a peer at this moment; audits compare it with the session's record.
  virtual Published published(PeerId peer) = 0;
  /// Largest inner packet that this end takes and sends on a path.
  virtual uint16_t inner_mtu(const Path& path) = 0;
  /// Sets memory aside for an index, so that its install can't fail for want of it. False: none is
  /// left. Once more for the same index replaces what was set aside.
  virtual bool reserve_rx(PeerId, ReceiverIndex, uint16_t /*lanes*/) { return true; }
  /// The index will not be installed.
  virtual void release_rx(ReceiverIndex) {}
  /// The same for the peer's next install of its send side.
  virtual bool reserve_tx(PeerId, uint16_t /*lanes*/) { return true; }
  /// From now on no data is taken under the index, which stays installed otherwise: what was taken.
  /// nullopt: this host can't say at once, and goes on taking it.
  virtual std::optional<LaneReport> stop_data(ReceiverIndex) { return std::nullopt; }
  /// Fills with random bytes; tests replay them from a seed.
  virtual void random(std::span<uint8_t> bytes) = 0;
  /// CLOCK_BOOTTIME in microseconds, for round-trip times alone; `now` is what the engine was told.
  virtual uint64_t clock_us(Millis now) { return now.value * 1000; }
  /// This call has taken long enough: what concerns many peers goes on with the next advance().
  /// Asked after each of them.
  virtual bool slice_over() const { return false; }
  /// CLOCK_REALTIME as TAI64N, for handshake timestamps.
  virtual wire::Timestamp timestamp() = 0;
};

inline SecretKey random_secret(Environment& environment) {
  SecretKey secret;
  environment.random(secret.span());
  return secret;
}

inline uint32_t random_u32(Environment& environment) {
  std::array<uint8_t, 4> bytes{};
  environment.random(bytes);
  return std::bit_cast<uint32_t>(bytes);
}

}  // namespace jvpn::session
