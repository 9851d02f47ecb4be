// The latest event lines, for everyone who reads them at a pace of his own: each sink's thread, and
// the operator's followers. The memory is bounded: who falls behind misses lines and learns how
// many events that were.
//
// push() and finish() on the sink thread; take() and pause() on each reader's; latest(), read() and
// follow() on the control thread, which never waits here.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace jvpn::events {

/// One JSON line, without a line end.
struct EventLine {
  uint64_t sequence = 0;  ///< of a loss: of the last event that it is about
  uint64_t lost = 0;      ///< events that this line says are lost; 0: it is an event itself
  uint32_t policy_version = 0;
  std::string text;

  /// The last event before those that the line is about.
  uint64_t before() const { return sequence - (lost == 0 ? 1 : lost); }
};
/// Tells that `lost` events up to `sequence` are missing, as an event of now.
EventLine loss_line(uint64_t sequence, uint64_t lost, uint32_t policy_version,
                    const std::string& node);

using SharedLine = std::shared_ptr<const EventLine>;

/// A place in the stream of lines.
struct EventCursor {
  uint64_t position = 0;
  uint64_t sequence = 0;  ///< of the line read last
};

/// A line, and the events that were missed before it.
struct TakenLine {
  SharedLine line;
  uint64_t missed = 0;
};

class EventLines {
 public:
  /// Keeps the latest `kept` lines, and up to `most` for readers that haven't taken them yet.
  EventLines(size_t kept, size_t most);
  ~EventLines();
  EventLines(const EventLines&) = delete;
  EventLines& operator=(const EventLines&) = delete;

  /// A reader whose pace counts, numbered from 0. Before the first push().
  size_t add_reader();

  void push(EventLine line);
  /// No more lines will come.
  void finish();
  /// Readers end, whatever is left.
  void abandon();

  /// The reader's next line; waits until there is one. Without a line: there will be none.
  TakenLine take(size_t reader);
  /// Waits so long, or until finish() or abandon().
  void pause(std::chrono::milliseconds span);
  bool finished() const { return finished_.load(std::memory_order_relaxed); }
  bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }

  /// Events that the reader has not got for good, so far. Any thread.
  uint64_t lost(size_t reader) const;
  /// It would miss lines if it read now.
  bool misses(size_t reader) const;

  /// Puts a cursor at the last `count` lines. False: busy at this moment, ask again.
  bool latest(size_t count, EventCursor& cursor);
  /// Appends at most `count` lines and moves the cursor. False: as latest().
  bool read(EventCursor& cursor, size_t count, std::vector<TakenLine>& out);
  /// While somebody follows, descriptor() becomes readable with every line, until drained.
  void follow(bool anybody) { followed_.store(anybody, std::memory_order_relaxed); }
  int descriptor() const { return wake_; }
  void drain() const;

 private:
  struct Reader {
    EventCursor cursor;
    std::atomic<uint64_t> sequence{0};  ///< of the cursor, for lost()
    std::atomic<uint64_t> lost{0};
  };

  TakenLine read_at(EventCursor& cursor) const;
  void trim();

  const size_t kept_;
  const size_t most_;
  int wake_ = -1;    ///< eventfd
  int urgent_ = -1;  ///< eventfd; readable from finish() on
  std::atomic<bool> followed_{false};
  std::atomic<bool> finished_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<uint64_t> before_oldest_{0};  ///< EventLine::before() of the oldest that is kept

  std::mutex mutex_;  ///< held for a few instructions, never while anything is written
  std::condition_variable changed_;
  std::deque<SharedLine> lines_;
  uint64_t first_ = 0;  ///< position of lines_.front()
  std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace jvpn::events
