// What a cluster keeps under which key, and the MAC behind each value (docs/CLUSTER.md, records).
// Any thread.
//
//   epochs/NODE     which run of a node may write: its revision is the epoch's number
//   beats/NODE      renewed while the run is there
//   sessions/PEER   the session of a peer's static key, and its owner
//   ids/ID          the peer that a session is of
//   asks/NODE/PEER  another node asks the owner for that session
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/noise.h"
#include "control/cluster/kv_txn.h"
#include "control/session/ownership.h"
#include "control/store/record.h"

namespace jvpn::cluster {

using store::RecordKey;

/// Names the machine's state directory: who holds its lock is alone there.
using Instance = std::array<uint8_t, 16>;

/// One moment of a node.
struct NodeTime {
  Millis boot;           ///< CLOCK_BOOTTIME
  uint64_t wall_ms = 0;  ///< CLOCK_REALTIME, since 1970
};

/// epochs/NODE. While the run is there its number is the revision at which it was written.
struct EpochRecord {
  Instance instance{};
  std::array<uint8_t, 16> boot{};  ///< of the kernel
  uint64_t token = 0;              ///< random: tells who wrote it when no answer came
  bool open = false;
};

/// A run that is over, and when it was last known to be there.
struct PastEpoch {
  uint64_t epoch = 0;
  uint64_t seen_wall_ms = 0;
};
inline constexpr size_t kPastEpochs = 8;

/// beats/NODE.
struct BeatRecord {
  uint64_t epoch = 0;                         ///< whose beat it is; 0: over
  uint64_t wall_ms = 0;                       ///< when
  uint32_t safe_ms = 0;                       ///< how long the run may act after it sent this
  std::array<PastEpoch, kPastEpochs> past{};  ///< latest first
};

/// sessions/PEER.
struct SessionRow {
  session::StoredSession session;  ///< .epoch 0: nobody's, .handed_by gave it up
  std::string node;                ///< of .epoch
  uint64_t handed_by = 0;          ///< epoch
  uint64_t written_wall_ms = 0;    ///< when session.lived was true
  uint64_t token = 0;              ///< of the call that wrote it, unique in its epoch
  uint64_t token_epoch = 0;
};

/// asks/NODE/PEER.
struct AskRecord {
  SessionId session;
  uint64_t epoch = 0;  ///< who asks
};

/// Longest name of a node.
inline constexpr size_t kMostNodeName = 64;

/// Keys of one cluster.
class Keys {
 public:
  /// `prefix` ends in a slash, or is empty.
  explicit Keys(std::string prefix) : prefix_(std::move(prefix)) {}

  std::string epoch(std::string_view node) const { return prefix_ + "epochs/" + std::string(node); }
  std::string beat(std::string_view node) const { return beats() + std::string(node); }
  std::string beats() const { return prefix_ + "beats/"; }
  std::string session(const PublicKey& peer) const;
  std::string id(const SessionId& id) const;
  std::string ask(std::string_view node, const PublicKey& peer) const;
  std::string asks(std::string_view node) const {
    return prefix_ + "asks/" + std::string(node) + "/";
  }
  /// The last part of a key behind `folder`; nullopt: it is elsewhere.
  static std::optional<std::string_view> name_in(std::string_view folder, std::string_view key);
  /// All keys of a folder: from its name to this one.
  static std::string end_of(std::string folder);

 private:
  std::string prefix_;
};

/// Values carry a MAC over key and content, so none passes for another's. The readers give nothing
/// for what wasn't written under `mac`, and for a later version's.
std::string write_value(const RecordKey& mac, std::string_view key, const EpochRecord& record);
std::string write_value(const RecordKey& mac, std::string_view key, const BeatRecord& record);
std::string write_value(const RecordKey& mac, std::string_view key, const SessionRow& row);
std::string write_value(const RecordKey& mac, std::string_view key, const AskRecord& record);
std::optional<EpochRecord> read_epoch(const RecordKey& mac, const KeyValue& found);
std::optional<BeatRecord> read_beat(const RecordKey& mac, const KeyValue& found);
std::optional<SessionRow> read_session(const RecordKey& mac, const KeyValue& found);
std::optional<AskRecord> read_ask(const RecordKey& mac, const KeyValue& found);

/// ids/ID: just the peer's key; it only decides why a claim is refused.
std::string write_peer(const PublicKey& peer);
std::optional<PublicKey> read_peer(const KeyValue& found);

}  // namespace jvpn::cluster
