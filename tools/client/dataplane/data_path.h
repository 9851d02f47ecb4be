// The client's data path: what common/session_table.h is to a gateway's workers, for one peer and
// one thread. Outbound: admit → (split into the batch) → seal. Inbound: header → index → lane →
// open → replay → inner source. Bursts go through the AEAD whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/aead.h"
#include "common/drop.h"
#include "common/ip.h"
#include "common/limits.h"
#include "common/replay_window.h"
#include "common/result.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/effects.h"
#include "tools/client/dataplane/hold.h"
#include "tools/client/dataplane/seal_batch.h"

namespace jvpn::client::dataplane {

/// Counters of the data path and of the sockets around it.
struct DataPathCounters {
  std::array<uint64_t, kDropCount> drops{};
  uint64_t sealed = 0;
  uint64_t opened = 0;

  void drop(Drop reason, uint64_t packets = 1) { drops[static_cast<size_t>(reason)] += packets; }
  uint64_t dropped(Drop reason) const { return drops[static_cast<size_t>(reason)]; }
};

/// Where the packets of a batch came from.
enum class Source : uint8_t { kTun, kHold };

/// One peer's keys, lanes, counters and what is held of its packets. All calls on one thread.
class DataPath {
 public:
  /// `allowed_ips`: inner addresses that are reached through the peer, and that it may use as
  /// sources. `slot_bits`: as the engine's. Fails when the CPU can't run the AEAD.
  static Result<std::unique_ptr<DataPath>> create(std::vector<Prefix> allowed_ips,
                                                  uint32_t slot_bits);
  ~DataPath();
  DataPath(const DataPath&) = delete;
  DataPath& operator=(const DataPath&) = delete;

  // The session's tables; as Effects::carry_out() calls them. Several indices may be open at once,
  // of several keys or of one: what comes on any of them is delivered. The index of one record
  // installed again keeps its windows; it may only get more lanes.
  void install_rx(const session::RxInstall& install);
  void retire_rx(ReceiverIndex index);
  /// Takes no data under an installed index any more; what it had taken.
  LaneReport stop_data(ReceiverIndex index);
  void install_tx(const session::TxInstall& install);
  void withdraw_tx();
  const session::Activity& activity() const { return activity_; }
  session::RxProgress rx_progress(ReceiverIndex index) const;

  /// The tables as they are, read back.
  session::Published published() const;

  /// Where sealed packets go; nullopt without an active binding.
  const std::optional<Path>& path() const { return path_; }
  /// Largest inner packet that the binding takes.
  uint16_t inner_mtu() const { return inner_mtu_; }

  /// May this inner packet leave, or super-packet that becomes packets of at most `largest` bytes?
  /// Counts the drop when not.
  bool admit(std::span<const uint8_t> packet, size_t largest);
  /// The same for a packet that only lacks a path: it may be kept until there is one.
  bool lacks_path(std::span<const uint8_t> packet);
  /// Writes headers and seals all packets of the batch in place; the hold gets a copy of each, or,
  /// when they came from there, notes that they were sent. Those beyond the key's quota, or all
  /// when there is no binding, are taken off the batch's end and counted.
  void seal(SealBatch& batch, Millis now, Source source = Source::kTun);

  /// Opens data messages in place; the inner packets that may enter are appended to `inner`, in
  /// order. Every other message is counted as a drop by name.
  void open(std::span<const std::span<uint8_t>> messages, Millis now,
            std::vector<std::span<uint8_t>>& inner);

  /// What was sent, and what waits for a path. Its drops are counted by note_hold_drops().
  Hold& hold() { return hold_; }
  const Hold& hold() const { return hold_; }
  void note_hold_drops();

  DataPathCounters& counters() { return counters_; }
  const DataPathCounters& counters() const { return counters_; }

 private:
  struct RxRecord {
    ~RxRecord();
    AeadKey key;
    uint64_t mask = 0;     ///< of the counters on the wire
    bool stopped = false;  ///< takes nothing any more
    RawKey raw_key{};      ///< tells a repetition from another session that got the same index
    ReceiverIndex index;
    LaneId first_lane;
    std::vector<ReplayWindow<kReplayWindowBits>> lanes;
    uint64_t packets = 0;  ///< authentic and fresh
    Millis last_rx;        ///< the latest of them
  };
  struct TxLane {
    LaneId id;
    uint64_t next_sequence = 0;
    uint64_t bytes = 0;
  };
  /// A message whose header was found right, between the stages of open().
  struct Opening {
    RxRecord* record = nullptr;
    ReplayWindow<kReplayWindowBits>* window = nullptr;
    uint64_t sequence = 0;
  };

  DataPath(Aead aead, std::vector<Prefix> allowed_ips, uint32_t slot_bits);
  bool allowed(const IpAddress& address, IpAddress& last_allowed) const;
  bool same_key(const session::TxInstall& install) const;
  void hold_packet(std::span<const uint8_t> packet, uint64_t counter, Millis now, Source source);
  bool has_quota(const TxLane& lane, size_t bytes) const;
  TxLane* lane_with_quota(size_t bytes);
  std::optional<Drop> prepare_open(std::span<uint8_t> message);
  std::optional<Drop> accept_opened(const AeadOp& op, const Opening& opening, Millis now);

  Aead aead_;
  std::vector<Prefix> allowed_ips_;
  IpAddress last_source_;  ///< found allowed; the next packet's is mostly the same
  IpAddress last_destination_;
  uint32_t slot_mask_;
  std::vector<std::unique_ptr<RxRecord>> rx_;

  AeadKey tx_key_{};
  uint64_t tx_mask_ = 0;
  RawKey tx_raw_key_{};  ///< tells a new key from a revision of the same: only then lanes restart
  uint64_t tx_generation_ = 0;
  BindingVersion binding_version_;
  ReceiverIndex peer_index_;
  std::vector<TxLane> tx_lanes_;  ///< all lanes used under this key, the retired ones too
  LaneId first_lane_;
  uint16_t lane_count_ = 0;
  uint64_t blocks_per_lane_ = 0;
  uint16_t inner_mtu_ = 0;
  std::optional<Path> path_;

  session::Activity activity_;
  Hold hold_;
  DataPathCounters counters_;
  std::vector<AeadOp> ops_;
  std::vector<Opening> opening_;
};

}  // namespace jvpn::client::dataplane
