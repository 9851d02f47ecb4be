#include "control/cluster/membership.h"

#include <algorithm>
#include <utility>

namespace jvpn::cluster {
namespace {

constexpr int64_t kMostNodes = 1'024;
constexpr int64_t kAsksAtOnce = 512;  // in one answer; the next brings more
constexpr Millis kHurriedLook{50};    // between looks for asks, while there may be many
constexpr Millis kReadAgain{1'000};   // when the store doesn't answer, or a run isn't ours to begin
constexpr uint64_t kGapBeats = 4;     // without an answer for so long, silence proves nothing

std::array<PastEpoch, kPastEpochs> with(const BeatRecord& latest) {
  std::array<PastEpoch, kPastEpochs> past = latest.past;
  if (latest.epoch == 0) return past;
  std::shift_right(past.begin(), past.end(), 1);
  past.front() = {latest.epoch, latest.wall_ms};
  return past;
}

/// A run that is over: nobody's, and when it was last there.
BeatRecord last_beat(const BeatRecord& latest) {
  return {.epoch = 0, .wall_ms = latest.wall_ms, .safe_ms = latest.safe_ms, .past = with(latest)};
}

}  // namespace

Membership::Membership(const NodeOptions& options, const Keys& keys, const RecordKey& mac,
                       SendTxn send)
    : options_(options),
      interval_(beat_interval(options.safe)),
      keys_(keys),
      mac_(mac),
      send_(std::move(send)),
      token_(options.random()) {}

// ---- What is known.

bool Membership::is_over(const std::string& node, uint64_t epoch) const {
  if (node == options_.node) return epoch_ != 0 && epoch < epoch_;
  const auto at = others_.find(node);
  // Epochs of a node rise, and so do the revisions that end them: a later one proves it, for good.
  return at != others_.end() && static_cast<uint64_t>(at->second.epoch_at) > epoch;
}

bool Membership::is_heard(const std::string& node, const NodeTime& now) const {
  const auto at = others_.find(node);
  if (at == others_.end() || at->second.beat.epoch == 0) return false;
  const Millis between = beat_interval(Millis{at->second.beat.safe_ms});
  return now.boot - at->second.changed < Millis{between.value * kGapBeats};
}

Millis Membership::unserved(const std::string& node, uint64_t epoch, const NodeTime& now) const {
  // Present, or later than what was heard of that node: our knowledge is old, not that run.
  if (!is_over(node, epoch)) return Millis{0};
  const bool own = node == options_.node;
  // What we have seen ourselves needs nobody's wall clock.
  const auto seen = own ? std::nullopt : others_.at(node).witnessed.latest(epoch);
  if (seen) return now.boot - *seen;
  const auto& past = own ? past_ : others_.at(node).beat.past;
  const auto found = std::ranges::find(past, epoch, &PastEpoch::epoch);
  if (found == past.end()) return kNever;
  return Millis{now.wall_ms} - Millis{found->seen_wall_ms};
}

// ---- Time.

Millis Membership::due() const {
  if (phase_ == Phase::kOver || phase_ == Phase::kClosed) return kNever;
  const bool looks = (hurried_ || pressed_) && phase_ == Phase::kBeats && !looks_;
  return looks ? std::min(next_, next_asks_) : next_;
}

void Membership::serve(const NodeTime& now) {
  const bool looks = (hurried_ || pressed_) && phase_ == Phase::kBeats && !looks_;
  if (looks && now.boot >= next_asks_) send_look(now);
  if (phase_ == Phase::kOver || phase_ == Phase::kClosed || now.boot < next_) return;
  next_ = now.boot + interval_;
  switch (phase_) {
    case Phase::kRead:
      return send_read(now);
    case Phase::kOpen:  // no answer came: what is there?
      phase_ = Phase::kRead;
      return send_read(now);
    case Phase::kBeats:
      if (!held_) send_beat(now);
      return end_silent(now);
    case Phase::kClosing:
      return send_close(now);
    case Phase::kOver:
    case Phase::kClosed:
      return;
  }
}

void Membership::begin_again(const NodeTime& now) {
  if (phase_ != Phase::kOver) return;
  phase_ = Phase::kRead;
  token_ = options_.random();
  next_ = now.boot;
}

/// When the transaction is lost, others end the run after its safe time.
void Membership::resign(const NodeTime& now) {
  if (epoch_ == 0) return;
  send_close(now, Sent::kResigning);
  lose();
}

void Membership::close(const NodeTime& now) {
  safe_until_ = Millis{0};
  phase_ = epoch_ != 0 ? Phase::kClosing : Phase::kClosed;
  next_ = now.boot;
}

// ---- What is asked.

void Membership::send(const NodeTime& now, Sent what, const Txn& txn, const std::string& node) {
  const uint64_t number = send_(txn, interval_ + interval_);
  awaited_.insert_or_assign(number, Awaited{what, now.boot, epoch_, node});
}

void Membership::send_read(const NodeTime& now) {
  Txn txn;
  Op all = Op::get(keys_.beats());
  all.end = Keys::end_of(keys_.beats());
  all.limit = kMostNodes;
  txn.then = {Op::get(keys_.epoch(options_.node)), Op::get(keys_.beat(options_.node)), all};
  send(now, Sent::kRead, txn);
}

BeatRecord Membership::beat(const NodeTime& now) const {
  return {.epoch = epoch_,
          .wall_ms = now.wall_ms,
          .safe_ms = static_cast<uint32_t>(options_.safe.value),
          .past = past_};
}

/// The beat names no epoch yet: its number is the revision that this transaction gets.
void Membership::send_open(const NodeTime& now) {
  const std::string epoch = keys_.epoch(options_.node);
  const std::string beat_key = keys_.beat(options_.node);
  const EpochRecord ours{options_.instance, options_.boot, token_, true};
  Txn txn;
  txn.compares = {{epoch, epoch_before_}, {beat_key, beat_before_}};
  txn.then = {Op::put(epoch, write_value(mac_, epoch, ours)),
              Op::put(beat_key, write_value(mac_, beat_key, beat(now)))};
  phase_ = Phase::kOpen;
  next_ = now.boot + kReadAgain;
  send(now, Sent::kOpening, txn);
}

void Membership::send_beat(const NodeTime& now) {
  const std::string own = keys_.beat(options_.node);
  Op all = Op::get(keys_.beats());
  all.end = Keys::end_of(keys_.beats());
  all.limit = kMostNodes;
  Txn txn;
  txn.compares = {{keys_.epoch(options_.node), static_cast<Revision>(epoch_)}};
  txn.then = {Op::put(own, write_value(mac_, own, beat(now))), all, all_asks()};
  send(now, Sent::kBeat, txn);
  next_asks_ = now.boot + kHurriedLook;
}

/// What we are asked for, and nothing else: no write. It proves nothing.
void Membership::send_look(const NodeTime& now) {
  Txn txn;
  txn.compares = {{keys_.epoch(options_.node), static_cast<Revision>(epoch_)}};
  txn.then = {all_asks()};
  next_asks_ = now.boot + kHurriedLook;
  looks_ = true;
  send(now, Sent::kAsks, txn);
}

Op Membership::all_asks() const {
  Op asks = Op::get(keys_.asks(options_.node));
  asks.end = Keys::end_of(asks.key);
  asks.limit = kAsksAtOnce;
  return asks;
}

void Membership::suspect(const NodeTime& now) {
  if (epoch_ == 0) return;
  Txn txn;
  txn.then = {Op::get(keys_.epoch(options_.node))};
  send(now, Sent::kCheck, txn);
}

void Membership::send_close(const NodeTime& now, Sent what) {
  const std::string epoch = keys_.epoch(options_.node);
  const std::string own = keys_.beat(options_.node);
  Txn txn;
  txn.compares = {{epoch, static_cast<Revision>(epoch_)}};
  txn.then = {Op::put(epoch, write_value(mac_, epoch,
                                         EpochRecord{options_.instance, options_.boot, token_})),
              Op::put(own, write_value(mac_, own, last_beat(beat(now))))};
  send(now, what, txn);
}

/// Ends the runs that nothing was seen of for their safe time and a margin. The compare fails when
/// the owner has come back meanwhile.
void Membership::end_silent(const NodeTime& now) {
  if (is_blind(now)) return;
  for (auto& [node, other] : others_) {
    const Millis safe{other.beat.safe_ms};
    const bool silent = now.boot - other.changed > safe + safe_margin(safe);
    if (other.beat.epoch == 0 || !silent || other.ending) continue;
    const std::string epoch = keys_.epoch(node);
    const std::string beat_key = keys_.beat(node);
    Txn txn;
    txn.compares = {{beat_key, other.beat_at}, {epoch, static_cast<Revision>(other.beat.epoch)}};
    txn.then = {Op::put(epoch, write_value(mac_, epoch, EpochRecord{})),
                Op::put(beat_key, write_value(mac_, beat_key, last_beat(other.beat)))};
    other.ending = true;
    send(now, Sent::kEnding, txn, node);
  }
}

// ---- What is answered.

bool Membership::answered(const NodeTime& now, const TxnAnswer& answer) {
  const auto at = awaited_.find(answer.number);
  if (at == awaited_.end()) return false;
  const Awaited awaited = std::move(at->second);
  awaited_.erase(at);
  if (awaited.what == Sent::kAsks) looks_ = false;
  if (!answer.reply) {
    if (awaited.what == Sent::kEnding) others_[awaited.node].ending = false;
    if (awaited.what == Sent::kRead || awaited.what == Sent::kOpening)
      report_once("the cluster's store doesn't answer: " + answer.trouble);
    return true;
  }
  const TxnReply& reply = *answer.reply;
  const bool current = phase_ == Phase::kBeats && awaited.epoch == epoch_;
  switch (awaited.what) {
    case Sent::kRead:
      if (phase_ == Phase::kRead) on_read(now, reply);
      break;
    case Sent::kOpening:
      if (phase_ == Phase::kOpen) on_opened(now, reply);
      break;
    case Sent::kBeat:
      if (current) on_beat(now, awaited, reply);
      break;
    case Sent::kAsks:
      if (current && reply.succeeded && reply.found.size() == 1) note_asks(reply.found[0]);
      break;
    case Sent::kCheck:
      if (current) on_check(reply);
      break;
    case Sent::kEnding:
      on_ended(reply, awaited.node);
      break;
    case Sent::kResigning:
      break;
    case Sent::kClosing:  // else another has ended it
      epoch_ = 0;
      phase_ = Phase::kClosed;
      break;
  }
  return true;
}

void Membership::on_read(const NodeTime& now, const TxnReply& reply) {
  if (reply.found.size() != 3) return;
  see(now, reply.found[2]);
  note_earlier_beat(now, reply.found[1]);
  const std::vector<KeyValue>& found = reply.found[0];
  epoch_before_ = found.empty() ? 0 : found.front().modified;
  if (found.empty()) return send_open(now);
  const auto earlier = read_epoch(mac_, found.front());
  if (!earlier) {
    return report_once("the cluster's record of node " + options_.node +
                       " wasn't written under this cluster's private key");
  }
  if (earlier->open && earlier->token == token_)
    return adopt(now, static_cast<uint64_t>(found.front().modified));
  if (may_replace(now, *earlier)) send_open(now);
}

/// What an earlier run of this node has left: since when, and until when it may act.
void Membership::note_earlier_beat(const NodeTime& now, const std::vector<KeyValue>& found) {
  const Revision seen = found.empty() ? 0 : found.front().modified;
  if (seen != beat_before_ || beat_seen_ == Millis{0}) {
    rivals_ = beat_seen_ != Millis{0} && seen != 0;
    if (rivals_) {
      report_once("another gateway runs as node " + options_.node +
                  " in this cluster: give each a name of its own");
    }
    beat_seen_ = now.boot;
  }
  beat_before_ = seen;
  if (found.empty()) return;
  const auto beat = read_beat(mac_, found.front());
  if (!beat) return;
  beat_safe_ = Millis{beat->safe_ms};
  past_ = with(*beat);
}

bool Membership::may_replace(const NodeTime& now, const EpochRecord& earlier) {
  if (!earlier.open) return true;
  // Its process had the lock that we have, on this machine and since it was started: it is gone.
  if (earlier.instance == options_.instance && earlier.boot == options_.boot) return true;
  if (now.boot - beat_seen_ > beat_safe_ + safe_margin(beat_safe_)) return true;
  if (rivals_) return false;
  report_once("an earlier run of node " + options_.node + " may still be there: waiting for " +
              std::to_string((beat_safe_ + safe_margin(beat_safe_)).value) + " ms");
  return false;
}

void Membership::on_opened(const NodeTime& now, const TxnReply& reply) {
  if (reply.succeeded) return adopt(now, static_cast<uint64_t>(reply.revision));
  phase_ = Phase::kRead;
  next_ = now.boot + interval_;
}

void Membership::adopt(const NodeTime& now, uint64_t epoch) {
  epoch_ = epoch;
  phase_ = Phase::kBeats;
  beat_seen_ = Millis{0};
  told_.clear();
  next_ = now.boot;
  serve(now);
}

void Membership::on_beat(const NodeTime& now, const Awaited& awaited, const TxnReply& reply) {
  if (!reply.succeeded) return lose();
  if (reply.found.size() != 3) return;
  safe_until_ = std::max(safe_until_, awaited.at + options_.safe);
  see(now, reply.found[1]);
  note_asks(reply.found[2]);
}

void Membership::note_asks(const std::vector<KeyValue>& found) {
  const std::string folder = keys_.asks(options_.node);
  pressed_ = !found.empty();
  for (const KeyValue& ask : found) {
    const auto name = Keys::name_in(folder, ask.key);
    const auto peer = name ? read_peer({.key = {}, .value = std::string(*name)}) : std::nullopt;
    const auto record = read_ask(mac_, ask);
    if (peer && record) asks_.emplace_back(*peer, *record);
  }
}

void Membership::on_check(const TxnReply& reply) {
  const bool ours = reply.found.size() == 1 && reply.found[0].size() == 1 &&
                    static_cast<uint64_t>(reply.found[0][0].modified) == epoch_;
  if (!ours) lose();
}

void Membership::lose() {
  if (epoch_ != 0) lost_ = std::exchange(epoch_, 0);
  safe_until_ = Millis{0};
  phase_ = Phase::kOver;
}

void Membership::on_ended(const TxnReply& reply, const std::string& node) {
  Other& other = others_[node];
  other.ending = false;
  if (!reply.succeeded) return;  // the next beats tell why
  other.beat = last_beat(other.beat);
  other.beat_at = reply.revision;
  other.epoch_at = std::max(other.epoch_at, reply.revision);
}

bool Membership::is_blind(const NodeTime& now) const {
  return now.boot - observed_ > Millis{interval_.value * kGapBeats};
}

/// Silence counts while the others could be seen: after an outage of the store, which silenced all,
/// it counts anew.
void Membership::see(const NodeTime& now, const std::vector<KeyValue>& beats) {
  const bool gap = is_blind(now);
  observed_ = now.boot;
  for (const KeyValue& found : beats) {
    const auto name = Keys::name_in(keys_.beats(), found.key);
    const auto beat = read_beat(mac_, found);
    if (!name || !beat || *name == options_.node) continue;
    Other& other = others_[std::string(*name)];
    if (found.modified < other.beat_at) continue;  // an answer that was overtaken
    // Written since we looked last, a moment ago.
    const bool fresh = other.beat_at != 0 && found.modified != other.beat_at && !gap;
    if (fresh && beat->epoch != 0) other.witnessed.note(beat->epoch, now.boot);
    if (found.modified != other.beat_at || gap) other.changed = now.boot;
    other.beat = *beat;
    other.beat_at = found.modified;
    const auto told = beat->epoch != 0 ? static_cast<Revision>(beat->epoch) : found.modified;
    other.epoch_at = std::max(other.epoch_at, told);
  }
}

void Membership::report_once(const std::string& line) {
  if (std::exchange(told_, line) != line && options_.news) options_.news(line);
}

}  // namespace jvpn::cluster
