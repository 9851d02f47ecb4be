// The sessions of a node in the cluster's store: calls of control become transactions, many calls
// in one, each a compare on the record's revision under the node's epoch (docs/CLUSTER.md,
// sessions). No thread and no network, as membership.h.
//
//   call → read, unless the record is known → decide → write → reply
//                                      a living owner: ask it, and read again
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/cluster/loaded_records.h"
#include "control/cluster/membership.h"
#include "control/cluster/records.h"

namespace jvpn::cluster {

class SessionWriter {
 public:
  SessionWriter(const NodeOptions& options, const Keys& keys, const RecordKey& mac,
                Membership& membership, SendTxn send);

  /// Gets one reply, within options.patience.
  void ask(const NodeTime& now, const session::OwnershipCall& call);
  /// Sends what can be sent, and gives up what has waited too long.
  void serve(const NodeTime& now);
  Millis due() const;
  /// False: the transaction wasn't this part's.
  bool answered(const NodeTime& now, const TxnAnswer& answer);
  std::optional<session::OwnershipReply> take();
  /// The run is over: its records are others' to take.
  void forget_owned() {
    owned_.clear();
    loaded_.clear();
  }
  bool idle() const { return jobs_.empty(); }
  /// A call about that peer's record is under way.
  bool is_busy(const PublicKey& peer) const { return queues_.contains(peer); }

 private:
  using Call = session::OwnershipCall;
  using Answer = session::OwnershipAnswer;

  static constexpr Millis kPoll{50};  ///< while an owner that is there hands a session over

  enum class Phase : uint8_t {
    kQueued,  ///< another call about that record is before it
    kRead,    ///< the record is to be read
    kWhose,   ///< there is no record of that session: whose it is is to be read
    kWrite,   ///< `next` is to be written where `row` is
    kAsk,     ///< its owner is to be asked for it
    kWait,    ///< its owner's run is about to be over, or comes back
    kSent     ///< a transaction is under way
  };
  static constexpr size_t kPhases = 7;
  static constexpr std::array kReading{Phase::kRead, Phase::kWhose};
  static constexpr std::array kSending{Phase::kWrite, Phase::kAsk, Phase::kRead,
                                       Phase::kWhose};  ///< in turn
  struct Job {
    uint64_t number = 0;
    Call call;
    Phase phase = Phase::kQueued;
    Millis asked;
    Millis not_before;              ///< of what it does next
    std::optional<SessionRow> row;  ///< as it was read last
    Revision at = 0;                ///< its revision; 0: there is none
    SessionRow next;                ///< kWrite
    bool asked_owner = false;
    bool erases_only = false;  ///< kWrite: just the ask is taken away
    bool recalled = false;     ///< `row` is of an earlier load: a refusal needs one that is read
  };
  struct Awaited {
    Phase what{};
    std::vector<uint64_t> jobs;
  };

  void enter(Job& job, Phase phase, Millis not_before);
  Millis ready_at(Phase what) const;
  bool read_again(const NodeTime& now, const std::vector<uint64_t>& jobs);
  void send_batch(const NodeTime& now, Phase what);
  std::vector<uint64_t> ready(const NodeTime& now, Phase what, size_t most) const;
  Txn read_txn(const std::vector<uint64_t>& jobs, Phase what) const;
  Txn write_txn(std::vector<uint64_t>& jobs) const;
  Txn ask_txn(const std::vector<uint64_t>& jobs) const;
  void add_write(const Job& job, Txn& txn) const;
  void on_read(const NodeTime& now, const Awaited& awaited, const TxnReply& reply);
  void on_carried_out(const NodeTime& now, const Awaited& awaited, Revision at);
  void on_refused(const NodeTime& now, const Awaited& awaited, const TxnReply& reply);
  void on_silence(const NodeTime& now, const Awaited& awaited);
  void written(const NodeTime& now, uint64_t number, Revision at);
  Job* waiting(uint64_t number);

  void begin(const NodeTime& now, uint64_t number);
  void begin_next(const NodeTime& now);
  /// What becomes of the call, as the record `found` is; nothing: there is none.
  void decide(const NodeTime& now, uint64_t number, const KeyValue* found);
  void decide(const NodeTime& now, uint64_t number);
  void decide_load_unknown(const NodeTime& now, uint64_t number,
                           const std::optional<PublicKey>& whose);
  void decide_acquire(const NodeTime& now, uint64_t number);
  void decide_commit(const NodeTime& now, uint64_t number);
  void decide_end(const NodeTime& now, uint64_t number);
  void decide_end_unknown(const NodeTime& now, uint64_t number);
  void write(const NodeTime& now, Job& job, const SessionRow& next);
  void wait_for_owner(const NodeTime& now, Job& job);
  bool is_ours(const SessionRow& row) const;
  bool is_free(const SessionRow& row) const;
  bool replaces(const Job& job) const;
  void answer(const NodeTime& now, uint64_t number, Answer answer);
  session::StoredSession tell(const NodeTime& now, const SessionRow& row) const;

  const NodeOptions& options_;
  const Keys& keys_;
  const RecordKey& mac_;
  Membership& membership_;
  SendTxn send_;

  uint64_t latest_job_ = 0;
  std::map<uint64_t, Job> jobs_;  ///< by arrival
  /// Of each phase: its jobs, by when they do what is next.
  std::array<std::set<std::pair<Millis, uint64_t>>, kPhases> phases_;
  /// The jobs of a record: the first is carried out, the others wait for it.
  std::unordered_map<PublicKey, std::deque<uint64_t>, HashPeer> queues_;
  std::deque<uint64_t> next_;                                   ///< jobs whose turn has come
  std::unordered_map<PublicKey, KnownRecord, HashPeer> owned_;  ///< ours, as written last
  LoadedRecords loaded_;                                        ///< others'
  std::map<uint64_t, Awaited> awaited_;
  std::deque<session::OwnershipReply> replies_;
};

}  // namespace jvpn::cluster
