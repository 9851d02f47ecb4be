#include "control/events/event_log.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include <pthread.h>

#include "common/assert.h"
#include "common/thread_signal.h"
#include "control/events/event_json.h"
#include "control/session/system_sources.h"

namespace jvpn::events {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFlushLimit{1'000};
constexpr milliseconds kLeaveLimit{300};  ///< until a writer notices that it is abandoned

/// Signals are for the program's main thread: whatever is started meanwhile takes none, but the one
/// that every thread must take.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, thread_signal());
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

EventLog::EventLog(EventLogOptions options)
    : node_(std::move(options.node)),
      ring_(options.ring),
      lines_(std::make_shared<EventLines>(kKeptLines, options.ring)) {
  for (const EventSinkProfile& sink : options.sinks)
    writers_.push_back(
        std::make_shared<EventWriter>(lines_, sink, node_, options.program, options.report));
}

void EventLog::start() {
  const SignalsBlocked blocked;
  formatter_ = std::thread([this] { run(); });
  for (const auto& writer : writers_) writer->start();
}

void EventLog::put(const session::Event& event) {
  const uint64_t sequence = ++sequence_;
  ring_.push({event, sequence, session::realtime_ms()});  // or it is lost: run() sees the gap
  issued_.store(sequence, std::memory_order_release);
}

void EventLog::wake() {
  if (woken_for_ == sequence_) return;
  woken_for_ = sequence_;
  wake_.fetch_add(1);
  wake_.notify_one();
}

/// The sink thread.
void EventLog::run() {
  pthread_setname_np(pthread_self(), "jvpn-events");
  for (;;) {
    const uint32_t seen = wake_.load();
    const bool last = stopping_.load();
    format_waiting();
    if (last) break;
    wake_.wait(seen);
  }
  lines_->finish();
  formatted_ = true;
}

void EventLog::format_waiting() {
  // Whatever was issued by now and isn't in the ring below never was.
  const uint64_t issued = issued_.load(std::memory_order_acquire);
  StampedEvent next;
  while (ring_.pop(next)) {
    if (hurry_.load(std::memory_order_relaxed)) continue;
    JVPN_ASSERT(next.sequence > drained_, "the ring keeps the events' order");
    note_lost_before(next.sequence, next.event.policy_version);
    drained_ = next.sequence;
    policy_version_ = next.event.policy_version;
    lines_->push({next.sequence, 0, policy_version_,
                  to_json_line(next.event, next.sequence, next.realtime_ms, node_)});
    written_.fetch_add(1, std::memory_order_relaxed);
  }
  note_lost_before(issued + 1, policy_version_);
}

void EventLog::note_lost_before(uint64_t sequence, uint32_t policy_version) {
  if (sequence <= drained_ + 1) return;
  const uint64_t lost = sequence - 1 - drained_;
  drained_ = sequence - 1;
  ring_lost_.fetch_add(lost, std::memory_order_relaxed);
  lines_->push(loss_line(drained_, lost, policy_version, node_));
}

void EventLog::close() {
  if (closed_) return;
  closed_ = true;
  if (!formatter_.joinable()) start();
  stopping_ = true;
  wake_.fetch_add(1);
  wake_.notify_one();
  const auto limit = std::chrono::steady_clock::now() + kFlushLimit;
  wait_until(limit, [this] { return formatted_.load(); });
  hurry_ = true;
  formatter_.join();
  const auto ended = [this] {
    return std::ranges::all_of(writers_, [](const auto& writer) { return writer->ended(); });
  };
  wait_until(limit, ended);
  lines_->abandon();
  wait_until(std::chrono::steady_clock::now() + kLeaveLimit, ended);
  for (const auto& writer : writers_) writer->release();
}

template <typename Condition>
void EventLog::wait_until(std::chrono::steady_clock::time_point limit, Condition&& condition) {
  while (!condition() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(milliseconds(1));
}

EventLogStatus EventLog::status() const {
  EventLogStatus status;
  status.written = written_.load(std::memory_order_relaxed);
  if (writers_.empty()) status.lost = ring_lost_.load(std::memory_order_relaxed);
  for (const auto& writer : writers_) {
    status.sinks.push_back(writer->status());
    status.lost = std::max(status.lost, status.sinks.back().lost);
    status.healthy = status.healthy && status.sinks.back().healthy;
  }
  return status;
}

}  // namespace jvpn::events
