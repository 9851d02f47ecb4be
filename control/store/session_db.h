// Sessions in an SQLite file (docs/CLUSTER.md, the embedded store): opened by one gateway at a
// time, written in batches, each of them one transaction. WAL with synchronous=FULL: what was
// answered is still there after a power cut, because peers were told of it. Blocks; the store's
// thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "control/session/ownership.h"
#include "control/store/record.h"
#include "control/store/sqlite.h"
#include "control/store/store_time.h"

namespace jvpn::store {

/// Why a file isn't taken.
struct OpenError {
  enum class Kind : uint8_t {
    kUnusable,  ///< it can't be opened or written now: mend it and start again
    kForeign,   ///< not ours: another program's, another node's, corrupt, or of a later version
  };
  Kind kind{};
  std::string message;
};

class SessionDb {
 public:
  /// Opens or makes the file, brings it up to date, and begins an epoch.
  static Result<std::unique_ptr<SessionDb>, OpenError> open(const std::string& path, RecordKey key,
                                                            const StoreTime& now);

  uint64_t epoch() const { return epoch_.number; }
  /// Carries the calls out in one transaction and appends their replies. When it can't be committed
  /// none was made, and all are Unavailable.
  void apply(std::span<const session::OwnershipCall> calls, const StoreTime& now,
             std::vector<session::OwnershipReply>& replies);
  /// This run is still there. False: it couldn't be written.
  bool touch(const StoreTime& now);
  /// Ends what can't come back any more and forgets what ended long ago.
  void prune(const StoreTime& now);
  /// Of the latest transaction that failed.
  const std::string& trouble() const { return trouble_; }

 private:
  SessionDb(Database database, RecordKey key)
      : database_(std::move(database)), key_(std::move(key)) {}
  Result<void> prepare();
  Result<void> begin_epoch(const StoreTime& now);

  bool transaction(const auto& body);
  bool carry_out(const session::OwnershipCall& call, const StoreTime& now,
                 session::OwnershipReply& reply);
  bool acquire(const session::OwnershipCall& call, const StoreTime& now,
               session::OwnershipReply& reply);
  bool change(const session::OwnershipCall& call, const StoreTime& now, Record& record,
              session::OwnershipReply& reply);
  bool end_others(const session::OwnershipCall& call, const StoreTime& now,
                  session::OwnershipReply& reply);
  bool put(const Record& record);
  bool put(const Epoch& epoch);

  enum class Found : uint8_t { kYes, kNo, kTampered, kFailed };
  Found find(const SessionId& id, Record& record);
  Found find_epoch(uint64_t number, Epoch& epoch);
  /// Its age and for how long nobody has served it, as of now.
  Found bring_up_to_date(Record& record, const StoreTime& now);

  Database database_;
  RecordKey key_;
  Epoch epoch_;
  std::string trouble_;
  std::optional<Statement> select_, put_, erase_, select_epoch_, put_epoch_, others_, prune_ended_,
      prune_old_, prune_epochs_;
};

}  // namespace jvpn::store
