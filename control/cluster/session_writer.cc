#include "control/cluster/session_writer.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"

namespace jvpn::cluster {
namespace {

using Kind = session::OwnershipCall::Kind;

constexpr size_t kMostInFlight = 4;
constexpr size_t kOpsPerWrite = 4;  // at most
constexpr Millis kAfterSilence{50};
/// A transaction costs etcd as much as some dozens of records in it: so many, or what has waited so
/// long, go beside one of their kind that is under way; fewer wait for its answer.
constexpr size_t kFullBatch = kMostTxnOps / 2;
constexpr Millis kGathered{10};

/// Decided in an earlier run: the record would name that one.
bool is_stale(const SessionRow& row, uint64_t epoch) {
  return row.token_epoch != epoch;
}

template <typename Values, typename Value>
bool is_one_of(const Values& values, Value value) {
  return std::ranges::find(values, value) != values.end();
}

}  // namespace

SessionWriter::SessionWriter(const NodeOptions& options, const Keys& keys, const RecordKey& mac,
                             Membership& membership, SendTxn send)
    : options_(options), keys_(keys), mac_(mac), membership_(membership), send_(std::move(send)) {}

// ---- Calls.

void SessionWriter::ask(const NodeTime& now, const session::OwnershipCall& call) {
  const uint64_t number = ++latest_job_;
  Job& job = jobs_[number];
  job.number = number;
  job.call = call;
  job.asked = now.boot;
  std::deque<uint64_t>& queue = queues_[call.record.peer];
  queue.push_back(number);
  if (queue.size() == 1) begin(now, number);
}

std::optional<session::OwnershipReply> SessionWriter::take() {
  if (replies_.empty()) return std::nullopt;
  const session::OwnershipReply reply = replies_.front();
  replies_.pop_front();
  return reply;
}

/// In a loop, not one within the other: a record may have as many calls as there may be.
void SessionWriter::begin_next(const NodeTime& now) {
  for (; !next_.empty(); next_.pop_front())
    if (waiting(next_.front()) != nullptr) begin(now, next_.front());
}

void SessionWriter::begin(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  if (membership_.epoch() == 0) return answer(now, number, Answer::kUnavailable);
  const auto owned = owned_.find(job.call.record.peer);
  std::optional<KnownRecord> known;
  if (owned != owned_.end())
    known = owned->second;
  else if (job.call.kind == Kind::kCommit)
    known = loaded_.take(job.call.record.peer);
  job.recalled = known && owned == owned_.end();
  const bool other = job.recalled && known->row.session.id != job.call.session;
  if (!known || other) return enter(job, Phase::kRead, now.boot);
  job.row = std::move(known->row);
  job.at = known->at;
  decide(now, number);
}

void SessionWriter::enter(Job& job, Phase phase, Millis not_before) {
  phases_[static_cast<size_t>(job.phase)].erase({job.not_before, job.number});
  job.phase = phase;
  job.not_before = not_before;
  phases_[static_cast<size_t>(phase)].insert({not_before, job.number});
}

void SessionWriter::answer(const NodeTime& now, uint64_t number, Answer answer) {
  const auto at = jobs_.find(number);
  phases_[static_cast<size_t>(at->second.phase)].erase({at->second.not_before, number});
  const Job job = std::move(at->second);
  jobs_.erase(at);
  session::OwnershipReply reply{job.call.kind,    job.call.ticket, job.call.peer,
                                job.call.session, answer,          std::nullopt};
  const bool tells =
      answer != Answer::kUnavailable && answer != Answer::kTampered &&
      (answer != Answer::kCommitted || job.call.kind == Kind::kLoad || replaces(job));
  if (tells && job.row) reply.found = tell(now, *job.row);
  replies_.push_back(reply);
  const auto queue = queues_.find(job.call.record.peer);
  JVPN_ASSERT(queue->second.front() == number, "a record's calls are carried out in turn");
  queue->second.pop_front();
  if (queue->second.empty())
    queues_.erase(queue);
  else
    next_.push_back(queue->second.front());
}

session::StoredSession SessionWriter::tell(const NodeTime& now, const SessionRow& row) const {
  session::StoredSession told = row.session;
  const Millis since = Millis{now.wall_ms} - Millis{row.written_wall_ms};
  told.lived = saturating_add(told.lived, since);
  told.served = !is_ours(row) && !is_free(row);
  if (told.epoch == 0) {
    told.epoch = row.handed_by;
    told.unserved = since;
  } else {
    told.unserved = membership_.unserved(row.node, told.epoch, now);
  }
  return told;
}

// ---- Time.

Millis SessionWriter::due() const {
  if (jobs_.empty()) return kNever;
  Millis first = jobs_.begin()->second.asked + options_.patience;
  if (awaited_.size() >= kMostInFlight) return first;
  for (const Phase what : kSending) first = std::min(first, ready_at(what));
  return first;
}

void SessionWriter::serve(const NodeTime& now) {
  std::vector<uint64_t> late, waking;
  for (const auto& [number, job] : jobs_) {
    if (now.boot < job.asked + options_.patience) break;
    late.push_back(number);
  }
  for (const auto& [_, number] : phases_[static_cast<size_t>(Phase::kWait)]) {
    const SessionRow& row = *jobs_.at(number).row;
    if (is_free(row) || membership_.is_heard(row.node, now)) waking.push_back(number);
  }
  for (const uint64_t number : waking) decide(now, number);
  for (const uint64_t number : late) {
    const Job* const job = waiting(number);
    if (job == nullptr) continue;
    owned_.erase(job->call.record.peer);  // what there is of it isn't known
    answer(now, number, Answer::kUnavailable);
  }
  begin_next(now);
  for (const Phase what : kSending) send_batch(now, what);
}

// ---- Transactions.

std::vector<uint64_t> SessionWriter::ready(const NodeTime& now, Phase what, size_t most) const {
  std::vector<uint64_t> found;
  if (now.boot < ready_at(what)) return found;
  for (const auto& [not_before, number] : phases_[static_cast<size_t>(what)]) {
    if (found.size() == most || now.boot < not_before) break;
    found.push_back(number);
  }
  return found;
}

/// When a transaction of that kind may go; kNever: not before something happens.
Millis SessionWriter::ready_at(Phase what) const {
  const auto& jobs = phases_[static_cast<size_t>(what)];
  // A run that had a session before its first beat could be gone, and nobody would know.
  const bool may = is_one_of(kReading, what) || membership_.is_seen();
  if (!may || jobs.empty()) return kNever;
  const Millis first = jobs.begin()->first;
  const bool follows =
      std::ranges::any_of(awaited_, [&](const auto& each) { return each.second.what == what; });
  if (!follows) return first;
  const Millis gathered = first + kGathered;
  if (jobs.size() < kFullBatch) return gathered;
  return std::min(gathered, std::next(jobs.begin(), kFullBatch - 1)->first);
}

/// What has become stale before it was written is read and decided again. False: nothing has.
bool SessionWriter::read_again(const NodeTime& now, const std::vector<uint64_t>& jobs) {
  bool any = false;
  for (const uint64_t number : jobs) {
    Job& job = jobs_.at(number);
    if (job.erases_only || !is_stale(job.next, membership_.epoch())) continue;
    enter(job, Phase::kRead, now.boot);
    any = true;
  }
  return any;
}

void SessionWriter::send_batch(const NodeTime& now, Phase what) {
  while (awaited_.size() < kMostInFlight) {
    std::vector<uint64_t> jobs = ready(now, what, kMostTxnOps);
    if (jobs.empty()) return;
    if (what == Phase::kWrite && read_again(now, jobs)) continue;
    const Txn txn = is_one_of(kReading, what) ? read_txn(jobs, what)
                    : what == Phase::kWrite   ? write_txn(jobs)
                                              : ask_txn(jobs);
    for (const uint64_t number : jobs) enter(jobs_.at(number), Phase::kSent, now.boot);
    const uint64_t sent = send_(txn, options_.patience);
    awaited_.insert_or_assign(sent, Awaited{what, std::move(jobs)});
  }
}

/// Of each: its record, or whose the session is.
Txn SessionWriter::read_txn(const std::vector<uint64_t>& jobs, Phase what) const {
  Txn txn;
  for (const uint64_t number : jobs) {
    const Call& call = jobs_.at(number).call;
    txn.then.push_back(
        Op::get(what == Phase::kRead ? keys_.session(call.record.peer) : keys_.id(call.session)));
  }
  return txn;
}

/// As many as fit; `jobs` are those afterwards.
Txn SessionWriter::write_txn(std::vector<uint64_t>& jobs) const {
  Txn txn;
  const std::string epoch = keys_.epoch(options_.node);
  txn.compares.push_back({epoch, static_cast<Revision>(membership_.epoch())});
  txn.otherwise.push_back(Op::get(epoch));
  size_t taken = 0;
  for (; taken < jobs.size(); ++taken) {
    const bool fits =
        txn.then.size() + kOpsPerWrite <= kMostTxnOps && txn.compares.size() < kMostTxnOps;
    if (!fits) break;
    add_write(jobs_.at(jobs[taken]), txn);
  }
  jobs.resize(taken);
  return txn;
}

void SessionWriter::add_write(const Job& job, Txn& txn) const {
  const PublicKey& peer = job.call.record.peer;
  const std::string key = keys_.session(peer);
  if (job.call.kind == Kind::kHandOver)
    txn.then.push_back(Op::erase(keys_.ask(options_.node, peer)));
  if (job.erases_only) return;
  txn.compares.push_back({key, job.at});
  txn.then.push_back(Op::put(key, write_value(mac_, key, job.next)));
  const SessionId& id = job.next.session.id;
  const bool begins = !(job.row && job.row->session.id == id);
  if (begins) txn.then.push_back(Op::put(keys_.id(id), write_peer(peer)));
  if (begins && job.row) txn.then.push_back(Op::erase(keys_.id(job.row->session.id)));
}

Txn SessionWriter::ask_txn(const std::vector<uint64_t>& jobs) const {
  Txn txn;
  txn.compares.push_back({keys_.epoch(options_.node), static_cast<Revision>(membership_.epoch())});
  for (const uint64_t number : jobs) {
    const Job& job = jobs_.at(number);
    const std::string key = keys_.ask(job.row->node, job.call.record.peer);
    const AskRecord ask{job.row->session.id, membership_.epoch()};
    txn.then.push_back(Op::put(key, write_value(mac_, key, ask)));
  }
  return txn;
}

bool SessionWriter::answered(const NodeTime& now, const TxnAnswer& answer) {
  const auto at = awaited_.find(answer.number);
  if (at == awaited_.end()) return false;
  Awaited awaited = std::move(at->second);
  awaited_.erase(at);
  if (!answer.reply)
    on_silence(now, awaited);
  else if (is_one_of(kReading, awaited.what))
    on_read(now, awaited, *answer.reply);
  else if (!answer.reply->succeeded)
    on_refused(now, awaited, *answer.reply);
  else
    on_carried_out(now, awaited, answer.reply->revision);
  begin_next(now);
  return true;
}

/// nullptr: it has waited too long, and was answered meanwhile.
SessionWriter::Job* SessionWriter::waiting(uint64_t number) {
  const auto at = jobs_.find(number);
  return at == jobs_.end() ? nullptr : &at->second;
}

void SessionWriter::on_read(const NodeTime& now, const Awaited& awaited, const TxnReply& reply) {
  for (size_t i = 0; i < awaited.jobs.size(); ++i) {
    const uint64_t number = awaited.jobs[i];
    Job* const job = waiting(number);
    if (job == nullptr) continue;
    const KeyValue* const found = reply.found[i].empty() ? nullptr : &reply.found[i].front();
    if (awaited.what == Phase::kRead)
      decide(now, number, found);
    else
      decide_load_unknown(now, number, found == nullptr ? std::nullopt : read_peer(*found));
  }
}

void SessionWriter::on_carried_out(const NodeTime& now, const Awaited& awaited, Revision at) {
  for (const uint64_t number : awaited.jobs) {
    Job* const job = waiting(number);
    if (job == nullptr) continue;
    if (awaited.what == Phase::kWrite) {
      written(now, number, at);
    } else {
      job->asked_owner = true;
      enter(*job, Phase::kRead, now.boot + kPoll);
    }
  }
}

/// The record is as the job wanted it.
void SessionWriter::written(const NodeTime& now, uint64_t number, Revision at) {
  Job& job = jobs_.at(number);
  const PublicKey peer = job.call.record.peer;
  if (job.erases_only) return answer(now, number, Answer::kLost);
  const bool keeps = !job.next.session.ended && job.next.session.epoch != 0;
  if (keeps && is_stale(job.next, membership_.epoch())) {
    job.row = job.next;
    job.at = at;
    return decide(now, number);
  }
  if (job.next.session.ended || job.next.session.epoch != membership_.epoch())
    owned_.erase(peer);
  else
    owned_[peer] = {job.next, at};
  answer(now, number, Answer::kCommitted);
}

/// A compare failed: of the epoch, or of some records, which isn't told: it is rare, and to have
/// them told would cost etcd a quarter of each transaction. So all are read again.
void SessionWriter::on_refused(const NodeTime& now, const Awaited& awaited, const TxnReply& reply) {
  const bool asks = awaited.what == Phase::kAsk;
  const bool ours = !asks && !reply.found[0].empty() &&
                    static_cast<uint64_t>(reply.found[0].front().modified) == membership_.epoch();
  if (!ours) membership_.suspect(now);
  for (const uint64_t number : awaited.jobs) {
    Job* const job = waiting(number);
    if (job == nullptr) continue;
    if (!ours) {
      answer(now, number, Answer::kUnavailable);
      continue;
    }
    owned_.erase(job->call.record.peer);
    enter(*job, Phase::kRead, now.boot);
  }
}

/// It may have been carried out, or not, or may still be: the records tell.
void SessionWriter::on_silence(const NodeTime& now, const Awaited& awaited) {
  for (const uint64_t number : awaited.jobs) {
    Job* const job = waiting(number);
    if (job == nullptr) continue;
    owned_.erase(job->call.record.peer);
    enter(*job, Phase::kRead, now.boot + kAfterSilence);
  }
}

}  // namespace jvpn::cluster
