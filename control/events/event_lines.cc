#include "control/events/event_lines.h"

#include <algorithm>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assert.h"
#include "control/events/event_json.h"
#include "control/session/system_sources.h"

namespace jvpn::events {
namespace {

uint64_t missed_between(uint64_t sequence, uint64_t before) {
  return before > sequence ? before - sequence : 0;
}

}  // namespace

EventLine loss_line(uint64_t sequence, uint64_t lost, uint32_t policy_version,
                    const std::string& node) {
  session::Event event;
  event.kind = session::EventKind::kAuditEvent;
  event.at = session::boottime_now();
  event.policy_version = policy_version;
  event.reason = Reason::kEventsLost;
  event.lost = lost;
  return {sequence, lost, policy_version,
          to_json_line(event, sequence, session::realtime_ms(), node)};
}

EventLines::EventLines(size_t kept, size_t most)
    : kept_(kept),
      most_(std::max(kept, most)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      urgent_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

EventLines::~EventLines() {
  for (const int descriptor : {wake_, urgent_})
    if (descriptor >= 0) close(descriptor);
}

size_t EventLines::add_reader() {
  readers_.push_back(std::make_unique<Reader>());
  return readers_.size() - 1;
}

void EventLines::push(EventLine line) {
  auto shared = std::make_shared<const EventLine>(std::move(line));
  {
    const std::scoped_lock lock(mutex_);
    JVPN_ASSERT(!finished_, "finish() comes after the last line");
    JVPN_ASSERT(lines_.empty() || shared->before() >= lines_.back()->sequence,
                "lines come in the order of their events");
    lines_.push_back(std::move(shared));
    trim();
    before_oldest_.store(lines_.front()->before(), std::memory_order_relaxed);
  }
  changed_.notify_all();
  if (followed_.load(std::memory_order_relaxed)) eventfd_write(wake_, 1);
}

void EventLines::trim() {
  uint64_t slowest = first_ + lines_.size();
  for (const auto& reader : readers_) slowest = std::min(slowest, reader->cursor.position);
  while (lines_.size() > most_ || (lines_.size() > kept_ && first_ < slowest)) {
    lines_.pop_front();
    ++first_;
  }
}

void EventLines::finish() {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = true;
  }
  changed_.notify_all();
  eventfd_write(urgent_, 1);
}

void EventLines::abandon() {
  {
    const std::scoped_lock lock(mutex_);
    abandoned_ = true;
  }
  changed_.notify_all();
  eventfd_write(urgent_, 1);
}

TakenLine EventLines::read_at(EventCursor& cursor) const {
  cursor.position = std::max(cursor.position, first_);
  JVPN_ASSERT(cursor.position - first_ < lines_.size(), "there is a line at the cursor");
  TakenLine taken{lines_[cursor.position - first_], 0};
  taken.missed = missed_between(cursor.sequence, taken.line->before());
  ++cursor.position;
  cursor.sequence = taken.line->sequence;
  return taken;
}

TakenLine EventLines::take(size_t number) {
  JVPN_ASSERT(number < readers_.size(), "add_reader() numbered it");
  Reader& reader = *readers_[number];
  std::unique_lock lock(mutex_);
  const auto any = [&] { return reader.cursor.position < first_ + lines_.size(); };
  changed_.wait(lock, [&] { return any() || finished_ || abandoned_; });
  if (abandoned_ || !any()) return {};
  TakenLine taken = read_at(reader.cursor);
  reader.lost.fetch_add(taken.missed + taken.line->lost, std::memory_order_relaxed);
  reader.sequence.store(reader.cursor.sequence, std::memory_order_relaxed);
  return taken;
}

void EventLines::pause(std::chrono::milliseconds span) {
  pollfd urgent{urgent_, POLLIN, 0};
  poll(&urgent, 1, static_cast<int>(span.count()));
}

uint64_t EventLines::lost(size_t number) const {
  const Reader& reader = *readers_[number];
  return reader.lost.load(std::memory_order_relaxed) +
         missed_between(reader.sequence.load(std::memory_order_relaxed),
                        before_oldest_.load(std::memory_order_relaxed));
}

bool EventLines::misses(size_t number) const {
  return before_oldest_.load(std::memory_order_relaxed) >
         readers_[number]->sequence.load(std::memory_order_relaxed);
}

bool EventLines::latest(size_t count, EventCursor& cursor) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const size_t back = std::min(count, lines_.size());
  const size_t at = lines_.size() - back;
  cursor.position = first_ + at;
  cursor.sequence = lines_.empty() ? 0 : back == 0 ? lines_.back()->sequence : lines_[at]->before();
  return true;
}

bool EventLines::read(EventCursor& cursor, size_t count, std::vector<TakenLine>& out) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  while (count-- > 0 && cursor.position < first_ + lines_.size()) out.push_back(read_at(cursor));
  return true;
}

void EventLines::drain() const {
  eventfd_t count = 0;
  eventfd_read(wake_, &count);
}

}  // namespace jvpn::events
