#include "control/store/session_db.h"

#include <algorithm>
#include <utility>

#include "control/store/schema.h"

namespace jvpn::store {
namespace {

using session::OwnershipAnswer;
using session::OwnershipCall;
using session::OwnershipReply;
using Kind = OwnershipCall::Kind;

constexpr uint64_t kDayMs = 86'400'000;
constexpr uint64_t kEndedKeptMs = kDayMs;  // then SESSION_NOT_FOUND is told instead of EXPIRED
constexpr uint64_t kLongestLifeMs = 60 * kDayMs;  // twice what any policy grants
constexpr const char* kColumns =
    "id, peer, epoch, binding_version, ceiling, policy_version, lived, written_wall, "
    "written_boot, addresses, ended, reason, detail, ended_wall, mac";

template <size_t N>
bool copy(std::span<const uint8_t> from, std::array<uint8_t, N>& to) {
  if (from.size() != N) return false;
  std::ranges::copy(from, to.begin());
  return true;
}

/// False: no record of ours looks like that.
bool read_row(const Statement& row, Record& record, RecordMac& mac) {
  session::StoredSession& s = record.session;
  const bool sized = copy(row.blob_at(0), s.id.bytes) && copy(row.blob_at(1), s.peer) &&
                     unpack_addresses(row.blob_at(9), s) && copy(row.blob_at(14), mac);
  s.epoch = row.integer_at(2);
  s.binding_version = BindingVersion{row.integer_at(3)};
  s.ceiling = StateVersion{row.integer_at(4)};
  s.policy_version = static_cast<uint32_t>(row.integer_at(5));
  s.lived = Millis{row.integer_at(6)};
  record.written_wall_ms = row.integer_at(7);
  record.written_boot = Millis{row.integer_at(8)};
  s.ended = row.integer_at(10) != 0;
  s.reason = static_cast<Reason>(row.integer_at(11));
  s.detail = static_cast<Detail>(row.integer_at(12));
  record.ended_wall_ms = row.integer_at(13);
  return sized;
}

void end(Record& record, Reason reason, Detail detail, const StoreTime& now) {
  record.session.ended = true;
  record.session.reason = reason;
  record.session.detail = detail;
  record.ended_wall_ms = now.wall_ms;
}

}  // namespace

Result<std::unique_ptr<SessionDb>, OpenError> SessionDb::open(const std::string& path,
                                                              RecordKey key, const StoreTime& now) {
  auto database = open_file(path);
  if (!database) return database.error();
  if (auto ready = migrate(database->get(), path, key); !ready) return ready.error();
  std::unique_ptr<SessionDb> made(new SessionDb(std::move(*database), std::move(key)));
  auto begun = made->prepare();
  if (begun) begun = made->begin_epoch(now);
  if (!begun) return OpenError{OpenError::Kind::kUnusable, path + ": " + begun.error().message};
  made->prune(now);
  return made;
}

Result<void> SessionDb::prepare() {
  const std::string columns = kColumns;
  const std::pair<std::optional<Statement>*, std::string> all[] = {
      {&select_, "SELECT " + columns + " FROM sessions WHERE id = ?"},
      {&put_, "INSERT OR REPLACE INTO sessions(" + columns +
                  ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&erase_, "DELETE FROM sessions WHERE id = ?"},
      {&select_epoch_, "SELECT boot_id, seen_wall, seen_boot, mac FROM epochs WHERE epoch = ?"},
      {&put_epoch_, "INSERT OR REPLACE INTO epochs VALUES(?, ?, ?, ?, ?)"},
      {&others_, "SELECT id FROM sessions WHERE peer = ? AND ended = 0 AND id <> ?"},
      {&prune_ended_, "DELETE FROM sessions WHERE ended = 1 AND ended_wall < ?"},
      {&prune_old_, "DELETE FROM sessions WHERE ended = 0 AND epoch <> ? AND written_wall < ?"},
      {&prune_epochs_,
       "DELETE FROM epochs WHERE epoch <> ? AND epoch NOT IN (SELECT epoch FROM sessions)"}};
  for (const auto& [statement, sql] : all) {
    auto prepared = Statement::prepare(database_.get(), sql.c_str());
    if (!prepared) return prepared.error();
    statement->emplace(std::move(*prepared));
  }
  return {};
}

/// Whatever fails in it leaves no trace.
bool SessionDb::transaction(const auto& body) {
  const auto note = [&] { trouble_ = sqlite3_errmsg(database_.get()); };
  if (!execute(database_.get(), "BEGIN IMMEDIATE")) {
    note();
    return false;
  }
  if (body() && execute(database_.get(), "COMMIT")) return true;
  note();
  // A failed COMMIT may have left the transaction open; a failed statement has it ended at times.
  if (sqlite3_get_autocommit(database_.get()) == 0) (void)execute(database_.get(), "ROLLBACK");
  return false;
}

Result<void> SessionDb::begin_epoch(const StoreTime& now) {
  auto latest = Statement::prepare(database_.get(), "SELECT ifnull(max(epoch), 0) FROM epochs");
  if (!latest) return latest.error();
  const bool begun = transaction([&] {
    if (!latest->bind().row()) return false;
    epoch_ = {latest->integer_at(0) + 1, now.boot_id, now.wall_ms, now.boot};
    return latest->run() && put(epoch_);
  });
  if (!begun) return Error{"can't begin an epoch: " + trouble_};
  return {};
}

bool SessionDb::touch(const StoreTime& now) {
  epoch_.seen_wall_ms = now.wall_ms;
  epoch_.seen_boot = now.boot;
  return transaction([&] { return put(epoch_); });
}

void SessionDb::prune(const StoreTime& now) {
  transaction([&] {
    const uint64_t wall = now.wall_ms;
    return prune_ended_->bind().integer(wall - std::min(wall, kEndedKeptMs)).run() &&
           prune_old_->bind()
               .integer(epoch_.number)
               .integer(wall - std::min(wall, kLongestLifeMs))
               .run() &&
           prune_epochs_->bind().integer(epoch_.number).run();
  });
}

void SessionDb::apply(std::span<const OwnershipCall> calls, const StoreTime& now,
                      std::vector<OwnershipReply>& replies) {
  const size_t first = replies.size();
  epoch_.seen_wall_ms = now.wall_ms;
  epoch_.seen_boot = now.boot;
  const bool committed = transaction([&] {
    return put(epoch_) && std::ranges::all_of(calls, [&](const OwnershipCall& call) {
             replies.push_back({call.kind, call.ticket, call.peer, call.session, {}, {}});
             return carry_out(call, now, replies.back());
           });
  });
  if (committed) return;
  replies.resize(first);
  if (calls.size() > 1) {  // one that can't be carried out doesn't take the others with it
    for (const OwnershipCall& call : calls) apply({&call, 1}, now, replies);
    return;
  }
  for (const OwnershipCall& call : calls)
    replies.push_back({call.kind, call.ticket, call.peer, call.session,
                       OwnershipAnswer::kUnavailable, std::nullopt});
}

/// False: the database failed, and with it the transaction.
bool SessionDb::carry_out(const OwnershipCall& call, const StoreTime& now, OwnershipReply& reply) {
  Record record;
  Found found = find(call.session, record);
  if (found == Found::kNo && call.kind == Kind::kAcquire) return acquire(call, now, reply);
  if (found == Found::kYes) found = bring_up_to_date(record, now);
  switch (found) {
    case Found::kFailed:
      return false;
    case Found::kTampered:
      reply.answer = OwnershipAnswer::kTampered;
      return true;
    case Found::kNo:
      reply.answer = OwnershipAnswer::kLost;
      return true;
    case Found::kYes:
      return change(call, now, record, reply);
  }
  return false;
}

bool SessionDb::acquire(const OwnershipCall& call, const StoreTime& now, OwnershipReply& reply) {
  Record record{call.record, now.wall_ms, now.boot, 0};
  record.session.epoch = epoch_.number;
  record.session.reason = Reason::kNone;
  return end_others(call, now, reply) && put(record);
}

/// A peer has one session: what another run left of it is replaced.
bool SessionDb::end_others(const OwnershipCall& call, const StoreTime& now, OwnershipReply& reply) {
  std::vector<SessionId> ids;
  others_->bind().blob(call.record.peer).blob(call.session.bytes);
  while (others_->row()) {
    SessionId id;
    if (copy(others_->blob_at(0), id.bytes)) ids.push_back(id);
  }
  if (others_->failed()) return false;
  for (const SessionId& id : ids) {
    Record other;
    const Found found = find(id, other);
    if (found == Found::kFailed) return false;
    if (found != Found::kYes || other.session.epoch == epoch_.number) continue;
    if (bring_up_to_date(other, now) == Found::kFailed) return false;
    reply.found = other.session;
    end(other, Reason::kPolicyTermination, Detail::kSuperseded, now);
    if (!put(other)) return false;
  }
  return true;
}

bool SessionDb::change(const OwnershipCall& call, const StoreTime& now, Record& record,
                       OwnershipReply& reply) {
  session::StoredSession& s = record.session;
  if (call.kind == Kind::kLoad) {
    reply.found = s;
    return true;
  }
  const uint64_t owner = call.from_epoch != 0 ? call.from_epoch : epoch_.number;
  if (s.ended || s.epoch != owner || s.served) {
    reply.answer = OwnershipAnswer::kLost;
    reply.found = s;
    return true;
  }
  if (call.kind == Kind::kRelease) {
    // A peer that begins anew again and again would fill the disk.
    if (call.record.detail == Detail::kSuperseded) return erase_->bind().blob(s.id.bytes).run();
    end(record, call.record.reason, call.record.detail, now);
    return put(record);
  }
  if (call.kind == Kind::kCommit) {
    const BindingVersion there = s.binding_version;
    if (there < call.expected || there > call.attempted || call.next < there) {
      reply.answer = OwnershipAnswer::kConflict;
      reply.found = s;
      return true;
    }
    s.binding_version = call.next;
    s.epoch = epoch_.number;
  }
  s.ceiling = std::max({s.ceiling, call.ceiling, call.record.ceiling});
  return put(record);
}

bool SessionDb::put(const Record& record) {
  const session::StoredSession& s = record.session;
  return put_->bind()
      .blob(s.id.bytes)
      .blob(s.peer)
      .integer(s.epoch)
      .integer(s.binding_version.value)
      .integer(s.ceiling.value)
      .integer(s.policy_version)
      .integer(s.lived.value)
      .integer(record.written_wall_ms)
      .integer(record.written_boot.value)
      .blob(pack_addresses(s))
      .integer(s.ended ? 1 : 0)
      .integer(static_cast<uint64_t>(s.reason))
      .integer(static_cast<uint64_t>(s.detail))
      .integer(record.ended_wall_ms)
      .blob(mac_of(key_, record))
      .run();
}

bool SessionDb::put(const Epoch& epoch) {
  return put_epoch_->bind()
      .integer(epoch.number)
      .text(epoch.boot_id)
      .integer(epoch.seen_wall_ms)
      .integer(epoch.seen_boot.value)
      .blob(mac_of(key_, epoch))
      .run();
}

SessionDb::Found SessionDb::find(const SessionId& id, Record& record) {
  if (!select_->bind().blob(id.bytes).row()) return select_->failed() ? Found::kFailed : Found::kNo;
  RecordMac mac{};
  const bool sized = read_row(*select_, record, mac);
  if (!select_->run()) return Found::kFailed;
  return sized && equal_constant_time(mac, mac_of(key_, record)) ? Found::kYes : Found::kTampered;
}

SessionDb::Found SessionDb::find_epoch(uint64_t number, Epoch& epoch) {
  if (!select_epoch_->bind().integer(number).row())
    return select_epoch_->failed() ? Found::kFailed : Found::kNo;
  epoch = {number, select_epoch_->text_at(0), select_epoch_->integer_at(1),
           Millis{select_epoch_->integer_at(2)}};
  RecordMac mac{};
  const bool sized = copy(select_epoch_->blob_at(3), mac);
  if (!select_epoch_->run()) return Found::kFailed;
  return sized && equal_constant_time(mac, mac_of(key_, epoch)) ? Found::kYes : Found::kTampered;
}

SessionDb::Found SessionDb::bring_up_to_date(Record& record, const StoreTime& now) {
  session::StoredSession& s = record.session;
  Epoch owner = epoch_;
  s.served = s.epoch > epoch_.number;  // earlier runs are over: the file is one run's at a time
  if (s.epoch != epoch_.number) {
    const Found found = find_epoch(s.epoch, owner);
    if (found != Found::kYes) return found == Found::kNo ? Found::kTampered : found;
    s.unserved = elapsed({owner.seen_wall_ms, owner.seen_boot, owner.boot_id}, now, Millis{});
  }
  const Millis known_up = owner.seen_boot - record.written_boot;
  s.lived = saturating_add(
      s.lived,
      elapsed({record.written_wall_ms, record.written_boot, owner.boot_id}, now, known_up));
  record.written_wall_ms = now.wall_ms;
  record.written_boot = now.boot;
  return Found::kYes;
}

}  // namespace jvpn::store
