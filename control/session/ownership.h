// Who owns a session (docs/CLUSTER.md): a store that keeps, of each session, what another run of
// this gateway needs to go on with it, and lets one owner write. Calls are taken without waiting;
// their replies come later, in any order, or never. StoreCalls gives them deadlines.
//
// Control thread only: a store with a thread of its own hands its replies over by take().
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/ip.h"
#include "common/noise.h"
#include "common/reason.h"
#include "common/types.h"

namespace jvpn::session {

/// Inner addresses of a session that a store keeps: as many as a handshake tells.
inline constexpr size_t kStoredAddresses = 4;

/// A session as a store keeps it. No secret.
struct StoredSession {
  SessionId id;
  PublicKey peer{};                ///< who may resume it
  BindingVersion binding_version;  ///< of the latest commit
  StateVersion ceiling;            ///< versions up to it may have been used
  uint32_t policy_version = 0;
  Millis lived;     ///< since its birth, restarts included
  Millis unserved;  ///< since its owner was last known to run; 0 while it does
  std::array<Prefix, kStoredAddresses> inner_addresses{};
  uint8_t address_count = 0;  ///< of inner_addresses
  uint64_t epoch = 0;         ///< run of a gateway that wrote it last
  bool served = false;        ///< another run has it, and isn't known to be over: it can't be taken
  bool ended = false;         ///< TERMINATED: it never comes back
  Reason reason{};
  Detail detail = Detail::kNone;
};

enum class OwnershipAnswer : uint8_t {
  kCommitted,
  kConflict,     ///< ours, but another version is there
  kUnavailable,  ///< no answer can be had: count on nothing
  kLost,         ///< another's, ended, or not there
  kTampered,     ///< what is there wasn't written by us
};

/// What is asked of a store.
struct OwnershipCall {
  enum class Kind : uint8_t {
    kAcquire,  ///< a session begins: `record`. Once more: its ceiling rises
    kCommit,   ///< `next` takes the place of a version from `expected` to `attempted`
    kReserve,  ///< its ceiling rises
    kRelease,  ///< it has ended, by `record.reason`
    kLoad,     ///< what is kept of it
  };
  Kind kind{};
  uint64_t ticket = 0;  ///< rises with each call; names its reply
  PeerId peer;          ///< as in the reply, for whoever asked
  SessionId session;
  StoredSession record{};      ///< kAcquire, kRelease
  BindingVersion expected{};   ///< kCommit: the least that may be there
  BindingVersion attempted{};  ///< the most: earlier commits that weren't answered may be made
  BindingVersion next{};
  StateVersion ceiling{};  ///< kCommit, kReserve
  /// kCommit: the owner that is expected, by the epoch that a load told; 0: ourselves.
  uint64_t from_epoch = 0;
};

struct OwnershipReply {
  OwnershipCall::Kind kind{};
  uint64_t ticket = 0;
  PeerId peer;
  SessionId session;
  OwnershipAnswer answer{};
  std::optional<StoredSession> found{};  ///< what is there, if it isn't what was asked for
};

class Ownership {
 public:
  virtual ~Ownership() = default;

  /// What is committed outlives this program: its sessions needn't end when it stops.
  virtual bool durable() const { return false; }
  /// Whether it is worth asking now. False: in doubt.
  virtual bool reachable() const { return true; }
  /// Number of this run, higher than those of all before; 0: runs have none.
  virtual uint64_t epoch() const { return 0; }
  /// Takes a call, without waiting. False: it can't now, and there will be no reply.
  virtual bool ask(Millis now, const OwnershipCall& call) = 0;
  /// The next reply, if there is one.
  virtual std::optional<OwnershipReply> take() = 0;
  virtual bool has_replies() const = 0;
  /// Readable when there are replies; -1: ask take().
  virtual int descriptor() const { return -1; }
};

}  // namespace jvpn::session
