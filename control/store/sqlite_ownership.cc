#include "control/store/sqlite_ownership.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assert.h"

namespace jvpn::store {
namespace {

constexpr size_t kBatch = 512;   // calls in one transaction: some milliseconds
constexpr int kTouchMs = 1'000;  // how exactly a run's end is known to the next
constexpr int kTouchesPerPrune = 3'600;

void wake(const FileDescriptor& event) {
  const uint64_t one = 1;
  (void)!write(event.get(), &one, sizeof one);  // full: whoever sleeps is woken already
}

void clear(const FileDescriptor& event) {
  uint64_t count;
  (void)!read(event.get(), &count, sizeof count);
}

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
  if (!made->asked_ || !made->answered_) return errno_error("eventfd");
  made->thread_ = std::thread([store = made.get()] { store->run(); });
  return made;
}

SqliteOwnership::SqliteOwnership(StoreOptions options, StateDir directory,
                                 std::unique_ptr<SessionDb> database)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      database_(std::move(database)),
      epoch_(database_->epoch()),
      calls_(options_.calls),
      replies_(options_.calls),
      asked_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      answered_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

SqliteOwnership::~SqliteOwnership() {
  stop_.store(true, std::memory_order_release);
  if (!thread_.joinable()) return;
  wake(asked_);
  thread_.join();
}

bool SqliteOwnership::ask(Millis, const session::OwnershipCall& call) {
  if (unanswered_ == calls_.capacity()) return false;
  const bool pushed = calls_.push(call);
  JVPN_ASSERT(pushed, "a call that may be unanswered has room");
  ++unanswered_;
  wake(asked_);
  return true;
}

std::optional<session::OwnershipReply> SqliteOwnership::take() {
  session::OwnershipReply reply;
  if (!replies_.pop(reply)) {
    clear(answered_);
    if (!replies_.pop(reply)) return std::nullopt;
  }
  --unanswered_;
  return reply;
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
    pollfd waits{asked_.get(), POLLIN, 0};
    poll(&waits, 1, kTouchMs);
    clear(asked_);
  }
  database_->touch(store_time_now());  // whoever comes next knows when we stopped
}

bool SqliteOwnership::serve() {
  batch_.clear();
  made_.clear();
  session::OwnershipCall call;
  while (batch_.size() < kBatch && calls_.pop(call)) batch_.push_back(call);
  if (batch_.empty()) return false;
  database_->apply(batch_, store_time_now(), made_);
  note_trouble(made_.back().answer == session::OwnershipAnswer::kUnavailable);
  for (const session::OwnershipReply& reply : made_) {
    const bool pushed = replies_.push(reply);
    JVPN_ASSERT(pushed, "there are no more replies than calls");
  }
  wake(answered_);
  return true;
}

/// Once when it begins, once when it is over.
void SqliteOwnership::note_trouble(bool failed) {
  if (failed == std::exchange(troubled_, failed)) return;
  options_.news(failed ? "the store of sessions can't be written: " + database_->trouble() +
                             "; no session jumps until it can"
                       : "the store of sessions can be written again");
}

}  // namespace jvpn::store
