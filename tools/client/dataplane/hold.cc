#include "tools/client/dataplane/hold.h"

#include <algorithm>
#include <new>
#include <utility>

#include "common/assert.h"
#include "common/secret.h"
#include "common/wire.h"

namespace jvpn::client::dataplane {
namespace {

constexpr size_t kGrain = 8;  // of places, so that notes are aligned
// A super-packet, cut into packets with their headers and notes, and the gap at the ring's end.
constexpr size_t kRoomToRead = 2 * tunnel::kMaxSuperPacket;

}  // namespace

/// Where split() puts the packets that have to wait.
class Hold::Waiting : public tunnel::PacketSink {
 public:
  Waiting(Hold& hold, Millis now) : hold_(hold), now_(now) {}
  uint8_t* next(size_t bytes) override {
    return hold_.push({0, now_, {}, static_cast<uint32_t>(bytes), State::kWaiting, false});
  }

 private:
  Hold& hold_;
  Millis now_;
};

Hold::~Hold() {
  clear();
}

void Hold::set_limits(const HoldLimits& limits) {
  const bool wanted = limits.longest != Millis{0};
  const size_t bytes = wanted ? limits.bytes / kGrain * kGrain : 0;
  limits_ = limits;
  if (bytes == capacity_) return;
  clear();
  memory_ = bytes < sizeof(Item) ? nullptr : std::make_unique<uint8_t[]>(bytes);
  capacity_ = memory_ == nullptr ? 0 : bytes;
}

void Hold::clear() {
  while (packets_ != 0) {
    drops_.full += item(skip_gap(head_)).state == State::kWaiting ? 1 : 0;
    pop_oldest();
  }
}

// ---- The ring.

size_t Hold::space(size_t bytes) {
  return (sizeof(Item) + bytes + kGrain - 1) / kGrain * kGrain;
}

/// The item at a place before tail_, or behind the gap that begins there.
uint64_t Hold::skip_gap(uint64_t at) {
  const bool gap = to_end(at) < sizeof(Item) || item(at).state == State::kGap;
  return gap ? at + to_end(at) : at;
}

/// Makes room at the cost of the oldest; nullptr: there is none for so much.
uint8_t* Hold::push(const Item& item) {
  const size_t needed = space(item.bytes);
  if (needed > capacity_) return nullptr;
  const auto gap = [&] { return to_end(tail_) < needed ? to_end(tail_) : 0; };
  while (packets_ != 0 && tail_ + gap() + needed - head_ > capacity_) {
    const State oldest = this->item(skip_gap(head_)).state;
    drops_.full += oldest == State::kWaiting ? 1 : 0;
    counts_.crowded += oldest == State::kSent ? 1 : 0;
    pop_oldest();
  }
  const size_t skipped = gap();
  if (skipped >= sizeof(Item)) new (memory_.get() + tail_ % capacity_) Item;
  if (first_waiting_ == tail_) first_waiting_ += skipped;
  tail_ += skipped;
  new (memory_.get() + tail_ % capacity_) Item(item);
  uint8_t* const bytes = packet(tail_);
  const bool waits = item.state == State::kWaiting;
  if (first_waiting_ == tail_ && !waits) first_waiting_ += needed;
  tail_ += needed;
  ++packets_;
  waiting_ += waits ? 1 : 0;
  return bytes;
}

void Hold::pop_oldest() {
  JVPN_ASSERT(packets_ != 0, "there is an oldest packet");
  const uint64_t at = skip_gap(head_);
  const Item& oldest = item(at);
  const uint64_t next = at + space(oldest.bytes);
  if (oldest.state == State::kWaiting) {
    --waiting_;
    first_waiting_ = waiting_from(next);
  }
  wipe(memory_.get() + at % capacity_, space(oldest.bytes));
  head_ = next;
  if (--packets_ == 0) head_ = tail_ = first_waiting_ = copied_ = 0;
}

void Hold::pop_done() {
  while (packets_ != 0 && item(skip_gap(head_)).state == State::kDone) pop_oldest();
}

/// The first that waits from a place on; tail_: none.
uint64_t Hold::waiting_from(uint64_t at) {
  while (at < tail_) {
    at = skip_gap(at);
    if (at >= tail_ || item(at).state == State::kWaiting) break;
    at += space(item(at).bytes);
  }
  return std::min(at, tail_);
}

// ---- What comes and goes.

void Hold::expire(Millis now) {
  while (packets_ != 0) {
    const Item& oldest = item(skip_gap(head_));
    if (now <= oldest.at + limits_.longest) return;
    drops_.late += oldest.state == State::kWaiting ? 1 : 0;
    pop_oldest();
  }
}

void Hold::keep_sent(Millis now, ReceiverIndex index, uint64_t counter,
                     std::span<const uint8_t> packet) {
  uint8_t* const at =
      push({counter, now, index, static_cast<uint32_t>(packet.size()), State::kSent, false});
  if (at == nullptr)
    ++counts_.crowded;
  else
    std::ranges::copy(packet, at);
}

tunnel::SplitVerdict Hold::keep_waiting(Millis now, const tunnel::VnetHeader& header,
                                        std::span<const uint8_t> packet) {
  expire(now);
  Waiting sink(*this, now);
  return tunnel::split(header, packet, sink);
}

void Hold::settle(std::span<const LaneReport> reports) {
  for (uint64_t at = head_; at < tail_;) {
    at = skip_gap(at);
    if (at >= tail_) break;
    Item& each = item(at);
    at += space(each.bytes);
    if (each.state != State::kSent) continue;
    const auto report = std::ranges::find(reports, each.index, &LaneReport::index);
    const Receipt receipt =
        report == reports.end()
            ? Receipt::kUnknown
            : report->receipt(wire::lane_of(each.counter), wire::sequence_of(each.counter));
    counts_.unsettled += receipt == Receipt::kUnknown ? 1 : 0;
    const bool missing = receipt == Receipt::kMissing;
    each.state = missing ? State::kWaiting : State::kDone;
    each.again |= missing;
    waiting_ += missing ? 1 : 0;
  }
  pop_done();
  first_waiting_ = waiting_from(head_);
}

void Hold::forget_sent() {
  for (uint64_t at = head_; at < tail_;) {
    at = skip_gap(at);
    if (at >= tail_) break;
    Item& each = item(at);
    at += space(each.bytes);
    if (each.state == State::kSent) each.state = State::kDone;
  }
  pop_done();
}

// ---- Sending.

std::optional<Millis> Hold::next_came() {
  copied_ = waiting_from(copied_);
  return copied_ == tail_ ? std::nullopt : std::optional(item(copied_).at);
}

std::span<const uint8_t> Hold::next() {
  copied_ = waiting_from(copied_);
  if (copied_ == tail_) return {};
  const std::span<const uint8_t> found(packet(copied_), item(copied_).bytes);
  copied_ += space(found.size());
  return found;
}

void Hold::end_first_waiting(State state) {
  JVPN_ASSERT(waiting_ != 0, "next() gave what is sent now");
  Item& first = item(first_waiting_);
  JVPN_ASSERT(first.state == State::kWaiting, "first_waiting_ is kept with each change");
  first.state = state;
  --waiting_;
  first_waiting_ = waiting_from(first_waiting_);
}

void Hold::mark_sent(ReceiverIndex index, uint64_t counter) {
  Item& first = item(first_waiting_);
  first.index = index;
  first.counter = counter;
  counts_.resent += first.again ? 1 : 0;
  end_first_waiting(State::kSent);
}

void Hold::drop_next() {
  end_first_waiting(State::kDone);
}

bool Hold::nearly_full() const {
  const size_t waits = waiting_ == 0 ? 0 : tail_ - first_waiting_;
  return waits + std::min(kRoomToRead, capacity_ / 2) > capacity_;
}

HoldDrops Hold::take_drops() {
  return std::exchange(drops_, {});
}

}  // namespace jvpn::client::dataplane
