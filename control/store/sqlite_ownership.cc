#include "control/store/sqlite_ownership.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include <poll.h>
#include <pthread.h>

#include "control/session/system_sources.h"

namespace jvpn::store {
namespace {

constexpr size_t kBatch = 512;   // calls in one transaction: some milliseconds
constexpr int kTouchMs = 1'000;  // how exactly a run's end is known to the next
constexpr int kTouchesPerPrune = 3'600;

}  // namespace

Result<std::unique_ptr<SqliteOwnership>> SqliteOwnership::open(StoreOptions options,
                                                               const SecretKey& node) {
  if (!options.news) options.news = [](const std::string&) {};
  auto directory = StateDir::open(options.directory);
  if (!directory) return directory.error();
  auto database = directory->open_sessions(record_key(node), store_time_now(), options.news);
  if (!database) return database.error();
  std::unique_ptr<SqliteOwnership> made(
      new SqliteOwnership(std::move(options), std::move(*directory), std::move(*database)));
  if (!made->asked_ || !made->rings_) return errno_error("eventfd");
  made->thread_ = std::thread([store = made.get()] { store->run(); });
  return made;
}

SqliteOwnership::SqliteOwnership(StoreOptions options, StateDir directory,
                                 std::unique_ptr<SessionDb> database)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      database_(std::move(database)),
      epoch_(database_->epoch()),
      rings_(options_.calls) {}

SqliteOwnership::~SqliteOwnership() {
  stop_.store(true, std::memory_order_release);
  if (!thread_.joinable()) return;
  asked_.ring();
  thread_.join();
}

bool SqliteOwnership::ask(Millis, const session::OwnershipCall& call) {
  if (!rings_.ask(call)) return false;
  if (sleeps_.exchange(false, std::memory_order_acq_rel)) asked_.ring();
  return true;
}

session::OwnershipStatus SqliteOwnership::status() const {
  session::OwnershipStatus status{.kind = "embedded"};
  status.waiting = rings_.unanswered();
  times_.tell(status);
  const std::lock_guard lock(trouble_mutex_);
  status.trouble = trouble_;
  return status;
}

// ---- The store's thread.

void SqliteOwnership::run() {
  pthread_setname_np(pthread_self(), "jvpn-store");
  int touches = 0;
  auto touch_at = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTouchMs);
  for (;;) {
    const bool stops = stop_.load(std::memory_order_acquire);
    while (serve()) continue;
    if (stops) break;
    const auto now = std::chrono::steady_clock::now();
    if (now >= touch_at) {
      note_trouble(!database_->touch(store_time_now()));
      if (++touches % kTouchesPerPrune == 0) database_->prune(store_time_now());
      touch_at = now + std::chrono::milliseconds(kTouchMs);
    }
    sleep();
  }
  database_->touch(store_time_now());  // whoever comes next knows when we stopped
}

/// Until there is a call. One that comes before `sleeps_` is seen here, a later one rings.
void SqliteOwnership::sleep() {
  sleeps_.exchange(true, std::memory_order_acq_rel);
  if (!rings_.has_calls() && !stop_.load(std::memory_order_acquire)) {
    pollfd waits{asked_.descriptor(), POLLIN, 0};
    poll(&waits, 1, kTouchMs);
  }
  sleeps_.store(false, std::memory_order_relaxed);
  asked_.answer();
}

bool SqliteOwnership::serve() {
  batch_.clear();
  made_.clear();
  while (batch_.size() < kBatch) {
    const auto call = rings_.next();
    if (!call) break;
    batch_.push_back(*call);
  }
  if (batch_.empty()) return false;
  const uint64_t begun = session::boottime_us();
  database_->apply(batch_, store_time_now(), made_);
  times_.add(session::boottime_us() - begun);
  note_trouble(made_.back().answer == session::OwnershipAnswer::kUnavailable);
  for (const session::OwnershipReply& reply : made_) rings_.answer(reply);
  rings_.wake();
  return true;
}

/// Once when it begins, once when it is over.
void SqliteOwnership::note_trouble(bool failed) {
  if (failed == std::exchange(troubled_, failed)) return;
  {
    const std::lock_guard lock(trouble_mutex_);
    trouble_ = failed ? database_->trouble() : std::string();
  }
  options_.news(failed ? "the store of sessions can't be written: " + database_->trouble() +
                             "; no session jumps until it can"
                       : "the store of sessions can be written again");
}

}  // namespace jvpn::store
