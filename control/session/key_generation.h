// The keys of one handshake or rekey, the bindings that go with them, and what control keeps
// beside.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/path.h"
#include "common/replay_window.h"
#include "common/secret.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/key_schedule.h"

namespace jvpn::session {

/// Control messages are few: this many may overtake one another.
inline constexpr size_t kControlWindowBits = 256;

/// counter_mask() of the control messages under an index, once it was needed.
struct KnownMask {
  ReceiverIndex index;
  bool known = false;
  Secret<sizeof(uint64_t)> mask;
};

/// Control counters of one binding: its lane has the binding's number, so that nothing ties what
/// two paths show together.
struct ControlLane {
  ReplayWindow<kControlWindowBits> window;  ///< sequences received
  uint64_t next_sequence = 0;               ///< of the next message sent
  KnownMask sent;                           ///< of the peer's index
  KnownMask received;                       ///< of ours
};

enum class SpareStatus : uint8_t {
  kOffered,   ///< responder: issued and installed, the initiator may take it
  kVoid,      ///< responder: a later one was taken; kept until the initiator knows
  kUnused,    ///< initiator: learnt, belongs to no path yet
  kAssigned,  ///< initiator: belongs to a path, installed
  kReturned,  ///< initiator: given back, until the responder's list agrees
};

/// A binding that isn't active: an index at each end and lanes of its own, for one path alone.
struct SpareBinding {
  uint16_t number = 0;  ///< its lanes begin at number × lanes, in both directions
  SpareStatus status{};
  ReceiverIndex local;         ///< this end receives on it; 0: none yet
  ReceiverIndex remote;        ///< the peer receives on it; 0: not told yet
  Secret<16> reset_token{};    ///< of the responder's index
  std::optional<Path> path{};  ///< initiator: the path it was assigned to; no other may use it
  ControlLane control{};

  bool installed() const { return local != ReceiverIndex{}; }
};

/// The spares of one key generation. Numbers rise: a commit makes every spare below it void.
class SpareSet {
 public:
  /// The spare that this end receives on under `local`; nullptr: none.
  SpareBinding* at_index(ReceiverIndex local) {
    const auto found = std::ranges::find(list_, local, &SpareBinding::local);
    return found == list_.end() ? nullptr : &*found;
  }
  SpareBinding* numbered(uint16_t number) {
    const auto found = std::ranges::find(list_, number, &SpareBinding::number);
    return found == list_.end() ? nullptr : &*found;
  }
  size_t count(SpareStatus status) const {
    return static_cast<size_t>(std::ranges::count(list_, status, &SpareBinding::status));
  }
  size_t installed() const {
    return static_cast<size_t>(std::ranges::count_if(list_, &SpareBinding::installed));
  }
  void add(const SpareBinding& spare) { list_.push_back(spare); }
  template <typename Predicate>
  void erase_if(Predicate predicate) {
    std::erase_if(list_, predicate);
  }
  void clear() { list_.clear(); }
  size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }
  auto begin() { return list_.begin(); }
  auto end() { return list_.end(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }

  /// Those on offer, as NEW_INDICES and its relatives list them.
  wire::SpareIndices offered() const;

 private:
  std::vector<SpareBinding> list_;
};

/// One generation of a session's keys. The control core alone reads and writes it; keys stay raw,
/// because expanding them for the rare control message is cheaper than keeping them expanded.
struct KeyGeneration {
  SessionKeys keys;
  Secret<32> chain;          ///< a rekey mixes it into the keys that follow
  ControlLane control;       ///< of the active binding
  uint64_t number = 1;       ///< 1 for the handshake's, one more with each rekey
  ReceiverIndex local;       ///< this end receives on it, on the active binding
  ReceiverIndex remote;      ///< the peer receives on it, on the active binding
  Secret<16> reset_token;    ///< initiator: of `remote`
  uint16_t binding = 0;      ///< number of the active binding: its lanes begin at number × lanes
  uint16_t last_number = 0;  ///< of the latest spare issued or learnt
  uint16_t peer_lanes = 1;   ///< lanes that the peer sends on, on each binding
  SpareSet spares;
  bool left = false;  ///< the session has jumped away from the path of its active binding
  Millis created;
  Millis retire_at = kNever;  ///< of a previous generation: when its index goes

  /// Initiator: adds the spares never heard of.
  void learn_spares(const wire::SpareIndices& told);
};

/// Keys of this end for one handshake or rekey, on binding 0.
std::unique_ptr<KeyGeneration> make_generation(Millis now, const NoiseKeys& keys, bool initiator,
                                               ReceiverIndex local, ReceiverIndex remote,
                                               uint16_t peer_lanes);

/// Which binding a control message is sent on, and where to.
struct Route {
  ReceiverIndex local;   ///< this end's index of the binding
  ReceiverIndex remote;  ///< the peer's
  const Path& path;
};

/// Where an authentic control message came from and under what.
struct Arrival {
  const Path& from;
  KeyGeneration& generation;
  ReceiverIndex index;
  size_t bytes = 0;  ///< of the plaintext, padding included
};

}  // namespace jvpn::session
