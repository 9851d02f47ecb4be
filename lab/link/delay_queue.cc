#include "lab/link/delay_queue.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace jvpn::lab {
namespace {

constexpr Nanos kLineQueue = 100 * kMillisecond;  // how long a frame may wait for a bounded rate
constexpr Nanos kShortestLeg = 10 * kMillisecond;
constexpr Nanos kLeastHoldBack = 2 * kMillisecond;

// 0 … 1, without 1.
double uniform(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

Nanos nanos(double milliseconds) {
  return static_cast<Nanos>(milliseconds * static_cast<double>(kMillisecond));
}

Result<void> change(LinkFaults& faults, std::string_view word) {
  const size_t equals = word.find('=');
  const auto setting = std::ranges::find_if(
      kFaultSettings, [&](const FaultSetting& s) { return s.name == word.substr(0, equals); });
  if (setting == kFaultSettings.end() || equals == word.npos)
    return Error{fmt::format("expected one of: {};, got {}", to_text({}), word)};
  const std::string_view digits = word.substr(equals + 1);
  double value = -1;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() ||
      !(value >= 0 && value <= setting->most))
    return Error{fmt::format("{}: expected a number from 0 to {}, got {}", setting->name,
                             setting->most, digits)};
  faults.*(setting->value) = value;
  return {};
}

}  // namespace

Result<LinkFaults> changed_faults(LinkFaults faults, std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  for (size_t at = text.find_first_not_of(kSpace); at != text.npos;
       at = text.find_first_not_of(kSpace, at)) {
    const size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    if (const auto done = change(faults, text.substr(at, end - at)); !done) return done.error();
    at = end;
  }
  return faults;
}

std::string to_text(const LinkFaults& faults) {
  std::string text;
  for (const FaultSetting& setting : kFaultSettings)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", setting.name, faults.*(setting.value));
  return text;
}

DelayQueue::DelayQueue(uint64_t seed, size_t max_bytes)
    : max_bytes_(max_bytes), fates_(seed), wander_(~seed) {}

void DelayQueue::push(std::span<const uint8_t> frame, Nanos now) {
  ++counters_.in;
  const bool lost = uniform(fates_) < faults_.loss;
  const bool held_back = uniform(fates_) < faults_.reorder;
  const bool duplicated = uniform(fates_) < faults_.duplicate;
  if (lost || flapped_down(now)) {
    ++counters_.lost;
    return;
  }
  const auto departs = departure(frame.size(), now);
  if (!departs) {
    ++counters_.overflow;
    return;
  }
  Nanos release = std::max(*departs + delay(now), latest_);
  if (held_back) {
    ++counters_.held_back;
    release += std::max(nanos(faults_.delay_ms / 2), kLeastHoldBack);
  } else {
    latest_ = release;
  }
  add(frame, release);
  if (duplicated) {
    ++counters_.duplicated;
    add(frame, release);
  }
}

void DelayQueue::hold(std::span<const uint8_t> frame, Nanos release) {
  ++counters_.in;
  add(frame, release);
}

std::optional<std::vector<uint8_t>> DelayQueue::pop(Nanos now) {
  if (due() > now || frames_.empty()) return std::nullopt;
  std::vector<uint8_t> frame = std::move(frames_.begin()->second);
  frames_.erase(frames_.begin());
  bytes_ -= frame.size();
  ++counters_.out;
  return frame;
}

// By the clock alone: links with the same setting go down together.
bool DelayQueue::flapped_down(Nanos now) const {
  const Nanos half = nanos(faults_.flap_ms);
  return half != 0 && now / half % 2 == 0;
}

// When the frame's last bit has left by a line of that rate.
std::optional<Nanos> DelayQueue::departure(size_t bytes, Nanos now) {
  if (faults_.rate_mbit == 0) return now;
  const Nanos begin = std::max(now, line_free_);
  if (begin - now > kLineQueue) return std::nullopt;
  line_free_ =
      begin + static_cast<Nanos>(static_cast<double>(bytes) * 8 * 1'000 / faults_.rate_mbit);
  return line_free_;
}

// Goes straight from one random offset to the next. A leg lasts twice the jitter, so the delay
// never shrinks faster than time passes.
Nanos DelayQueue::delay(Nanos now) {
  const Nanos leg = std::max(nanos(2 * faults_.jitter_ms), kShortestLeg);
  if (now >= leg_end_) {
    from_ = now < leg_end_ + leg ? to_ : 2 * uniform(wander_) - 1;
    to_ = 2 * uniform(wander_) - 1;
    leg_begin_ = now;
    leg_end_ = now + leg;
  }
  const double passed =
      static_cast<double>(now - leg_begin_) / static_cast<double>(leg_end_ - leg_begin_);
  const double offset = from_ + (to_ - from_) * passed;
  return nanos(std::max(0.0, faults_.delay_ms + faults_.jitter_ms * offset));
}

void DelayQueue::add(std::span<const uint8_t> frame, Nanos release) {
  if (bytes_ + frame.size() > max_bytes_) {
    ++counters_.overflow;
    return;
  }
  bytes_ += frame.size();
  frames_.try_emplace({release, order_++}, frame.begin(), frame.end());
}

}  // namespace jvpn::lab
