// Who owns a session (docs/CLUSTER.md): a store that keeps, of each session, what another run of
// this gateway needs to go on with it, and lets one owner write. Calls are taken without waiting;
// their replies come later, in any order, or never. StoreCalls gives them deadlines.
//
// Control thread only: a store with a thread of its own hands its replies over by take().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
    kHandOver  ///< another gateway may take it; it isn't ours from the asking on
  };
  Kind kind{};
  uint64_t ticket = 0;  ///< rises with each call; names its reply
  PeerId peer;          ///< as in the reply, for whoever asked
  SessionId session;
  StoredSession record{};      ///< kAcquire, kRelease; of all others, `record.peer`
  BindingVersion expected{};   ///< kCommit: the least that may be there
  BindingVersion attempted{};  ///< the most: earlier commits that weren't answered may be made
  BindingVersion next{};
  StateVersion ceiling{};  ///< kCommit, kReserve
  /// kCommit: the owner that is expected, by the epoch that a load told; 0: ourselves.
  uint64_t from_epoch = 0;
  /// kRelease: that it has begun wasn't answered, and may be written yet.
  bool unheard = false;
};

struct OwnershipReply {
  OwnershipCall::Kind kind{};
  uint64_t ticket = 0;
  PeerId peer;
  SessionId session;
  OwnershipAnswer answer{};
  /// What is there, if it isn't what was asked for. kAcquire, kCommitted: the peer's session of
  /// another run, which has ended by it.
  std::optional<StoredSession> found{};
};

/// What nobody asked the store for.
struct OwnershipNotice {
  enum class Kind : uint8_t {
    kWanted,    ///< another gateway asks for a session of ours, to which its peer has come
    kEpochOver  ///< another gateway has ended our run: no session is ours any more
  };
  Kind kind{};
  PublicKey peer{};    ///< kWanted
  SessionId session;   ///< kWanted
  uint64_t epoch = 0;  ///< kWanted: who asks; kEpochOver: the run that is over
};

/// What an operator is told of a store.
struct OwnershipStatus {
  const char* kind = "memory";
  std::vector<std::string> endpoints{};
  std::string endpoint{};         ///< of them, that is asked now
  std::string trouble{};          ///< why the latest transaction wasn't carried out; empty: it was
  size_t waiting = 0;             ///< calls that have no answer yet
  uint64_t all_transactions = 0;  ///< answered, since the program's start
  size_t transactions = 0;        ///< the latest ones, of which these are:
  uint32_t p50_us = 0;
  uint32_t p99_us = 0;
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
  /// Until then nobody else can own what is ours; later no packet of it may leave. kNever: there is
  /// nobody else. Rises; falls to 0 when the run is over.
  virtual Millis safe_until() const { return kNever; }
  /// It is later than that: no message of a session may leave, but a refusal.
  virtual bool silent() const { return false; }
  /// A commit may take a session from a gateway that is there: that one is asked to hand it over.
  virtual bool may_ask_owner() const { return false; }
  /// Takes a call, without waiting. False: it can't now, and there will be no reply.
  virtual bool ask(Millis now, const OwnershipCall& call) = 0;
  /// The next reply, if there is one.
  virtual std::optional<OwnershipReply> take() = 0;
  virtual bool has_replies() const = 0;
  /// The next notice, if there is one.
  virtual std::optional<OwnershipNotice> take_notice() { return std::nullopt; }
  /// After kEpochOver: all sessions have been forgotten, a new run may begin.
  virtual void begin_again() {}
  /// Control is at work, and whether the data path is. A store that others share lets go of the
  /// sessions when either isn't.
  virtual void note_alive(Millis, bool /*carries*/) {}
  /// Sessions of ours are about to be asked for (kWanted): the store shall look for that often.
  virtual void hurry(bool /*hurried*/) {}
  virtual OwnershipStatus status() const { return {}; }
  /// Readable when there are replies or notices; -1: ask take().
  virtual int descriptor() const { return -1; }
};

}  // namespace jvpn::session
