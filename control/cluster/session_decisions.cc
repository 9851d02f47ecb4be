// What becomes of a call, as the session's record is. Part of SessionWriter.
#include <algorithm>
#include <utility>

#include "control/cluster/session_writer.h"

namespace jvpn::cluster {

using Kind = session::OwnershipCall::Kind;

bool SessionWriter::is_ours(const SessionRow& row) const {
  return row.session.epoch != 0 && row.session.epoch == membership_.epoch();
}

bool SessionWriter::is_free(const SessionRow& row) const {
  return row.session.epoch == 0 || membership_.is_over(row.node, row.session.epoch);
}

/// A session that isn't ours ends by it. Unknown, when the answer to the write was lost.
bool SessionWriter::replaces(const Job& job) const {
  return job.call.kind == Kind::kAcquire && job.row && !job.row->session.ended &&
         job.row->session.id != job.call.session && !is_ours(*job.row);
}

void SessionWriter::decide(const NodeTime& now, uint64_t number, const KeyValue* found) {
  Job& job = jobs_.at(number);
  job.row.reset();
  job.recalled = job.erases_only = false;
  job.at = found == nullptr ? 0 : found->modified;
  if (found != nullptr) {
    job.row = read_session(mac_, *found);
    if (job.row && job.row->session.peer != job.call.record.peer) job.row.reset();
    // What nobody can read is replaced by the peer's next session: else it would never get one.
    if (!job.row && job.call.kind != Kind::kAcquire) return answer(now, number, Answer::kTampered);
  }
  const bool tried = job.next.token != 0 && job.row && job.row->token == job.next.token &&
                     job.row->token_epoch == job.next.token_epoch;
  if (tried) return written(now, number, job.at);  // its answer was lost
  decide(now, number);
}

void SessionWriter::decide(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  if (membership_.epoch() == 0) return answer(now, number, Answer::kUnavailable);
  if (job.call.kind == Kind::kAcquire) return decide_acquire(now, number);
  const bool known = job.row && job.row->session.id == job.call.session;
  if (job.call.kind == Kind::kLoad) {
    if (!known) return enter(job, Phase::kWhose, now.boot);
    if (!job.row->session.ended && !is_ours(*job.row))
      loaded_.keep(job.call.record.peer, {*job.row, job.at});
    return answer(now, number, Answer::kCommitted);
  }
  const bool hands_over = job.call.kind == Kind::kHandOver;
  if (hands_over && (!known || job.row->session.ended || !is_ours(*job.row))) {
    job.erases_only = true;  // whoever asks needn't any more
    return enter(job, Phase::kWrite, now.boot);
  }
  if (job.call.kind == Kind::kRelease)
    return known ? decide_end(now, number) : decide_end_unknown(now, number);
  if (!known) return answer(now, number, Answer::kLost);
  if (job.call.kind == Kind::kCommit) return decide_commit(now, number);
  if (!is_ours(*job.row) || job.row->session.ended) return answer(now, number, Answer::kLost);
  SessionRow next = *job.row;
  if (hands_over) {
    next.session.lived = tell(now, next).lived;
    next.written_wall_ms = now.wall_ms;
    next.handed_by = std::exchange(next.session.epoch, 0);
    next.node.clear();
  } else {
    next.session.ceiling = std::max(next.session.ceiling, job.call.ceiling);
  }
  write(now, job, next);
}

/// There is no record of that session. Another peer's: just that is told.
void SessionWriter::decide_load_unknown(const NodeTime& now, uint64_t number,
                                        const std::optional<PublicKey>& whose) {
  Job& job = jobs_.at(number);
  job.row.reset();
  if (membership_.epoch() == 0) return answer(now, number, Answer::kUnavailable);
  if (!whose || *whose == job.call.record.peer) return answer(now, number, Answer::kLost);
  job.row = SessionRow{};
  job.row->session.id = job.call.session;
  job.row->session.peer = *whose;
  answer(now, number, Answer::kCommitted);
}

/// A peer has one record, so the session that was there before ends with it. Its owner, if there is
/// one, gives it up first.
void SessionWriter::decide_acquire(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  const bool same = job.row && job.row->session.id == job.call.session;
  if (same && (job.row->session.ended || !is_ours(*job.row)))
    return answer(now, number, Answer::kLost);
  if (job.row && !job.row->session.ended && !is_ours(*job.row) && !is_free(*job.row))
    return wait_for_owner(now, job);
  SessionRow next;
  next.session = job.call.record;
  if (same) next.session.ceiling = std::max(next.session.ceiling, job.row->session.ceiling);
  next.session.epoch = membership_.epoch();
  next.node = options_.node;
  next.written_wall_ms = now.wall_ms;
  write(now, job, next);
}

void SessionWriter::decide_commit(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  const SessionRow& row = *job.row;
  const session::StoredSession& there = row.session;
  const auto refuse = [&](Answer why) {
    if (!job.recalled) return answer(now, number, why);
    enter(job, Phase::kRead, now.boot);  // it may have changed since
  };
  if (there.ended) return refuse(Answer::kLost);
  const bool ours = is_ours(row);
  if (!ours) {
    const uint64_t from = there.epoch != 0 ? there.epoch : row.handed_by;
    if (job.call.from_epoch == 0 || from != job.call.from_epoch) return refuse(Answer::kLost);
    if (!is_free(row)) return wait_for_owner(now, job);
  }
  const BindingVersion version = there.binding_version;
  if (version < job.call.expected || version > job.call.attempted || job.call.next < version)
    return refuse(Answer::kConflict);
  SessionRow next = row;
  if (!ours) {
    next.session.lived = tell(now, row).lived;
    next.written_wall_ms = now.wall_ms;
    next.session.epoch = membership_.epoch();
    next.node = options_.node;
    next.handed_by = 0;
  }
  next.session.binding_version = job.call.next;
  next.session.ceiling = std::max(there.ceiling, job.call.ceiling);
  write(now, job, next);
}

void SessionWriter::decide_end(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  const SessionRow& row = *job.row;
  if (row.session.ended) return answer(now, number, Answer::kLost);  // whoever did it tells of it
  const uint64_t from = row.session.epoch != 0 ? row.session.epoch : row.handed_by;
  const bool may = is_ours(row) || (job.call.from_epoch == from && is_free(row));
  if (!may) return answer(now, number, Answer::kLost);
  SessionRow next = row;
  next.session.lived = tell(now, row).lived;
  next.written_wall_ms = now.wall_ms;
  next.session.ended = true;
  next.session.reason = job.call.record.reason;
  next.session.detail = job.call.record.detail;
  write(now, job, next);
}

/// Its beginning may be on its way to the store, and must not be written any more: the record that
/// it would replace is written first. What lives there, before it or since, stays as it is.
void SessionWriter::decide_end_unknown(const NodeTime& now, uint64_t number) {
  Job& job = jobs_.at(number);
  const bool lives = job.row && !job.row->session.ended;
  const bool anothers = lives && !is_ours(*job.row) && !is_free(*job.row);
  if (!job.call.unheard || anothers) return answer(now, number, Answer::kLost);
  if (lives) return write(now, job, SessionRow(*job.row));
  SessionRow next;
  next.session = job.call.record;
  next.session.id = job.call.session;
  next.session.epoch = membership_.epoch();
  next.node = options_.node;
  next.written_wall_ms = now.wall_ms;
  next.session.ended = true;
  write(now, job, next);
}

/// The token tells our write from others' when its answer was lost.
void SessionWriter::write(const NodeTime& now, Job& job, const SessionRow& next) {
  const uint64_t token = job.call.ticket;
  job.next = next;
  job.next.token = token;
  job.next.token_epoch = membership_.epoch();
  enter(job, Phase::kWrite, now.boot);
}

/// An owner that is there is asked; one of which nothing is heard will be over, or come back.
void SessionWriter::wait_for_owner(const NodeTime& now, Job& job) {
  const bool asks = membership_.is_heard(job.row->node, now);
  const Phase next = !asks ? Phase::kWait : job.asked_owner ? Phase::kRead : Phase::kAsk;
  enter(job, next, now.boot + (next == Phase::kRead ? kPoll : Millis{0}));
}

}  // namespace jvpn::cluster
