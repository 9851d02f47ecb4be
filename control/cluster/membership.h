// A node's run in a cluster: its epoch, the beats that keep it, and the other nodes' runs
// (docs/CLUSTER.md, epochs). No thread and no network: time, and answers of the store, are
// parameters; what it wants to ask goes to a function.
//
//   opening: read → (wait, when an earlier run may still be there) → open → beats → over
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/cluster/records.h"

namespace jvpn::cluster {

struct NodeOptions {
  std::string node;
  std::string prefix;
  Instance instance{};             ///< whose lock this process holds
  std::array<uint8_t, 16> boot{};  ///< of the kernel
  Millis safe{3'000};              ///< how long a run may act after a beat was sent
  Millis patience{1'000};          ///< after it a call of control is unanswered
  std::function<uint64_t()> random;
  std::function<void(const std::string&)> news;  ///< a line for the operator
};

/// Sends a transaction; its answer comes later, by the number that this returns.
using SendTxn = std::function<uint64_t(const Txn& txn, Millis patience)>;

/// How much longer than the safe time another node waits: its clock may run faster than the
/// owner's, by a fiftieth at most between them.
constexpr Millis safe_margin(Millis safe) {
  return Millis{safe.value / 20 + 50};
}
/// Between two beats.
constexpr Millis beat_interval(Millis safe) {
  return Millis{safe.value / 10};
}

/// The latest runs of a node that were seen to beat, and when each was last, by our boot time.
class WitnessedRuns {
 public:
  void note(uint64_t epoch, Millis now) {
    if (runs_.front().first != epoch) std::shift_right(runs_.begin(), runs_.end(), 1);
    runs_.front() = {epoch, now};
  }
  std::optional<Millis> latest(uint64_t epoch) const {
    const auto found = std::ranges::find(runs_, epoch, &std::pair<uint64_t, Millis>::first);
    return found != runs_.end() ? std::optional(found->second) : std::nullopt;
  }

 private:
  std::array<std::pair<uint64_t, Millis>, kPastEpochs> runs_{};  ///< the last one first
};

class Membership {
 public:
  Membership(const NodeOptions& options, const Keys& keys, const RecordKey& mac, SendTxn send);

  /// Our run's number; 0: there is none now.
  uint64_t epoch() const { return epoch_; }
  /// Until then nobody else can have ended the run. 0: it is over, or hasn't begun.
  Millis safe_until() const { return safe_until_; }
  /// A beat of it was carried out: others can tell when it is over.
  bool is_seen() const { return epoch_ != 0 && safe_until_ != Millis{0}; }
  /// The run of that node is over for good. False: it isn't, or isn't known to be.
  bool is_over(const std::string& node, uint64_t epoch) const;
  /// Its beats come.
  bool is_heard(const std::string& node, const NodeTime& now) const;
  /// For how long nobody has served what that run had; 0 while it isn't known to be over, kNever
  /// when that is too long ago to know.
  Millis unserved(const std::string& node, uint64_t epoch, const NodeTime& now) const;

  void serve(const NodeTime& now);
  Millis due() const;
  /// False: the transaction wasn't this part's.
  bool answered(const NodeTime& now, const TxnAnswer& answer);
  /// The run is over without our doing.
  void lose();
  /// A write of ours found another run in the epoch's place.
  void suspect(const NodeTime& now);

  /// Beats are sent while control is known to be at work.
  void hold_beats(bool held) { held_ = held; }
  /// Sessions are about to be asked for: looks for that often, not just with each beat.
  void hurry(bool hurried) { hurried_ = hurried; }
  /// Sessions that other nodes ask for, as the latest beats found them.
  std::vector<std::pair<PublicKey, AskRecord>> take_asks() { return std::exchange(asks_, {}); }
  /// The number of a run of ours that has ended without our doing; once.
  std::optional<uint64_t> take_over() { return std::exchange(lost_, std::nullopt); }
  /// A new run may begin.
  void begin_again(const NodeTime& now);
  /// Ends our run as lose() does, and lets others know at once.
  void resign(const NodeTime& now);
  /// Ends our run: whoever wants our sessions needn't wait. Done when epoch() is 0.
  void close(const NodeTime& now);

 private:
  enum class Phase : uint8_t { kRead, kOpen, kBeats, kOver, kClosing, kClosed };
  enum class Sent : uint8_t {
    kRead,
    kOpening,
    kBeat,
    kAsks,
    kCheck,
    kEnding,
    kClosing,
    kResigning
  };
  struct Awaited {
    Sent what{};
    Millis at;           ///< before it was sent
    uint64_t epoch = 0;  ///< ours then
    std::string node;    ///< kEnding
  };
  /// Another node, as the latest answers told it.
  struct Other {
    BeatRecord beat;
    Revision beat_at = 0;   ///< its revision
    Revision epoch_at = 0;  ///< of its latest epoch that is known of
    Millis changed;         ///< when that was first seen here
    WitnessedRuns witnessed;
    bool ending = false;  ///< it is being ended by us
  };

  void send(const NodeTime& now, Sent what, const Txn& txn, const std::string& node = {});
  void send_read(const NodeTime& now);
  void send_open(const NodeTime& now);
  void send_beat(const NodeTime& now);
  void send_close(const NodeTime& now, Sent what = Sent::kClosing);
  void end_silent(const NodeTime& now);
  void on_read(const NodeTime& now, const TxnReply& reply);
  void on_opened(const NodeTime& now, const TxnReply& reply);
  void on_beat(const NodeTime& now, const Awaited& awaited, const TxnReply& reply);
  void on_check(const TxnReply& reply);
  void send_look(const NodeTime& now);
  Op all_asks() const;
  void note_asks(const std::vector<KeyValue>& found);
  void adopt(const NodeTime& now, uint64_t epoch);
  void on_ended(const TxnReply& reply, const std::string& node);
  void see(const NodeTime& now, const std::vector<KeyValue>& beats);
  void note_earlier_beat(const NodeTime& now, const std::vector<KeyValue>& found);
  bool may_replace(const NodeTime& now, const EpochRecord& earlier);
  BeatRecord beat(const NodeTime& now) const;
  /// The others weren't seen lately: their silence proves nothing.
  bool is_blind(const NodeTime& now) const;
  void report_once(const std::string& line);

  const NodeOptions& options_;
  const Millis interval_;  ///< between two beats
  const Keys& keys_;
  const RecordKey& mac_;
  SendTxn send_;

  Phase phase_ = Phase::kRead;
  Millis next_;  ///< when something is to be sent
  bool hurried_ = false;
  bool pressed_ = false;  ///< there were some when we looked last: where one is left, all may be
  Millis next_asks_;      ///< when to look for asks
  bool looks_ = false;    ///< such a look is under way
  std::map<uint64_t, Awaited> awaited_;
  uint64_t epoch_ = 0;
  Millis safe_until_;
  bool held_ = false;
  std::optional<uint64_t> lost_;
  std::vector<std::pair<PublicKey, AskRecord>> asks_;
  std::map<std::string, Other> others_;
  Millis observed_;                            ///< when the others were last looked at
  std::array<PastEpoch, kPastEpochs> past_{};  ///< of this node

  // While a run is opened: what is there of an earlier one.
  uint64_t token_ = 0;
  Revision epoch_before_ = 0;
  Revision beat_before_ = 0;
  Millis beat_seen_;     ///< when that beat was first seen
  Millis beat_safe_;     ///< what it allows its run
  bool rivals_ = false;  ///< that beat goes on
  std::string told_;     ///< the latest line of news
};

}  // namespace jvpn::cluster
