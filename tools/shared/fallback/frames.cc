#include "tools/shared/fallback/frames.h"

#include <algorithm>

#include "common/assert.h"

namespace jvpn::fallback {

bool begins_exchange(std::span<const uint8_t> datagram) {
  wire::Preamble preamble;
  if (!is_datagram_length(datagram.size())) return false;
  __builtin_memcpy(&preamble, datagram.data(), sizeof preamble);
  if ((preamble.reserved[0] | preamble.reserved[1] | preamble.reserved[2]) != 0) return false;
  switch (preamble.type) {
    case wire::MessageType::kInitiation:
      return datagram.size() >= sizeof(wire::Initiation);
    case wire::MessageType::kInquiry:
      return true;
    case wire::MessageType::kData:
    case wire::MessageType::kControl:
      return datagram.size() > wire::kTransportOverhead;
    default:
      return false;
  }
}

FrameReader::FrameReader(size_t capacity) : buffer_(capacity) {
  JVPN_ASSERT(capacity >= 2 * (kLengthBytes + kMostDatagram), "room behind a frame's rest");
}

std::span<uint8_t> FrameReader::room() {
  std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
            buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
  end_ -= begin_;
  begin_ = 0;
  JVPN_ASSERT(end_ < buffer_.size(), "whole frames were taken");
  return std::span(buffer_).subspan(end_);
}

std::optional<std::span<uint8_t>> FrameReader::next() {
  if (refused_ || end_ - begin_ < kLengthBytes) return std::nullopt;
  const size_t length = buffer_[begin_] | static_cast<size_t>(buffer_[begin_ + 1]) << 8;
  if (!is_datagram_length(length)) {
    refused_ = length;
    return std::nullopt;
  }
  if (end_ - begin_ < kLengthBytes + length) return std::nullopt;
  const auto datagram = std::span(buffer_).subspan(begin_ + kLengthBytes, length);
  begin_ += kLengthBytes + length;
  return datagram;
}

bool FrameQueue::add(std::span<const uint8_t> datagram, Urgency urgency) {
  const size_t limit = limit_ + (urgency == Urgency::kControl ? kReserve : 0);
  if (!is_datagram_length(datagram.size()) || bytes() >= limit) return false;
  buffer_.push_back(static_cast<uint8_t>(datagram.size()));
  buffer_.push_back(static_cast<uint8_t>(datagram.size() >> 8));
  buffer_.insert(buffer_.end(), datagram.begin(), datagram.end());
  return true;
}

void FrameQueue::consume(size_t bytes) {
  begin_ += bytes;
  JVPN_ASSERT(begin_ <= buffer_.size(), "no more than there was");
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
  } else if (begin_ > limit_) {  // at most as much is moved as was sent since
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }
}

}  // namespace jvpn::fallback
