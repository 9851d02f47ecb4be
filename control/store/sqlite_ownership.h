// Ownership in an SQLite file: for one gateway that shall go on with its sessions after a restart.
// A thread of its own writes, everything that has come meanwhile in one transaction; two rings and
// two eventfds join it with control, which never waits.
//
//   control: ask() → calls → store's thread: apply(), one COMMIT → replies → control: take()
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "control/session/call_rings.h"
#include "control/store/session_db.h"
#include "control/store/state_dir.h"
#include "control/store/transaction_times.h"

namespace jvpn::store {

struct StoreOptions {
  std::string directory;
  size_t calls = 4'096;  ///< that may be unanswered; then the store is Unavailable
  News news;             ///< called on the opening thread, and on the store's
};

class SqliteOwnership final : public session::Ownership {
 public:
  /// Blocks until the file is open, then starts the thread, which runs on the caller's CPUs.
  static Result<std::unique_ptr<SqliteOwnership>> open(StoreOptions options, const SecretKey& node);
  /// Waits for the calls that were taken.
  ~SqliteOwnership() override;
  SqliteOwnership(const SqliteOwnership&) = delete;
  SqliteOwnership& operator=(const SqliteOwnership&) = delete;

  bool durable() const override { return true; }
  uint64_t epoch() const override { return epoch_; }
  bool ask(Millis now, const session::OwnershipCall& call) override;
  std::optional<session::OwnershipReply> take() override { return rings_.take(); }
  bool has_replies() const override { return rings_.has_replies(); }
  int descriptor() const override { return rings_.descriptor(); }
  session::OwnershipStatus status() const override;

 private:
  SqliteOwnership(StoreOptions options, StateDir directory, std::unique_ptr<SessionDb> database);
  void run();
  void sleep();
  /// False: nothing was there.
  bool serve();
  void note_trouble(bool failed);

  StoreOptions options_;
  StateDir directory_;
  std::unique_ptr<SessionDb> database_;  ///< the thread's, once it runs
  const uint64_t epoch_;
  session::CallRings rings_;
  session::Doorbell asked_;
  std::atomic<bool> sleeps_{false};  ///< the thread does, or is about to: it has to be woken
  std::atomic<bool> stop_{false};
  TransactionTimes times_;
  mutable std::mutex trouble_mutex_;  ///< taken when trouble begins or ends, and for an operator
  std::string trouble_;
  std::thread thread_;

  // The thread's own.
  std::vector<session::OwnershipCall> batch_;
  std::vector<session::OwnershipReply> made_;
  bool troubled_ = false;
};

}  // namespace jvpn::store
