// The latest messages of a stream, which each of its readers takes at its own pace.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

namespace jvpn::console {

/// Not locked: one thread at a time.
class Frames {
 public:
  using Text = std::shared_ptr<const std::string>;
  static constexpr size_t kMost = 128;
  static constexpr size_t kMostBytes = size_t{16} << 20;

  explicit Frames(size_t most = kMost, size_t most_bytes = kMostBytes)
      : most_(most), most_bytes_(most_bytes) {}

  /// The oldest give way; the latest one is always kept.
  void add(std::string text) {
    bytes_ += text.size();
    kept_.push_back(std::make_shared<const std::string>(std::move(text)));
    ++next_;
    while (kept_.size() > 1 && (kept_.size() > most_ || bytes_ > most_bytes_)) {
      bytes_ -= kept_.front()->size();
      kept_.pop_front();
    }
  }
  /// The number that the next one will have.
  uint64_t next() const { return next_; }
  bool has(uint64_t number) const { return number < next_; }
  /// nullptr: it has given way, its reader is too slow. has(number).
  Text at(uint64_t number) const {
    const uint64_t first = next_ - kept_.size();
    return number < first ? nullptr : kept_[number - first];
  }

 private:
  size_t most_;
  size_t most_bytes_;
  uint64_t next_ = 0;
  size_t bytes_ = 0;
  std::deque<Text> kept_;
};

}  // namespace jvpn::console
