#include "tools/client/underlays/dialer.h"

#include <utility>

namespace jvpn::client::underlays {
namespace {

constexpr Millis kPause{1'000};

}  // namespace

Dialer::Dialer(size_t underlays, std::vector<Endpoint> endpoints, Millis attempt, FindPath find)
    : underlays_(underlays),
      endpoints_(std::move(endpoints)),
      attempt_(attempt),
      find_(std::move(find)) {}

std::optional<Path> Dialer::next(Millis now) {
  findings_.clear();
  const size_t candidates = underlays_ * endpoints_.size();
  if (candidates == 0) findings_.emplace_back("no address of the gateway is known yet");
  if (fallback_ && std::exchange(fallback_due_, false)) {
    due_ = now + attempt_;
    return fallback_;
  }
  for (size_t tried = 0; tried < candidates; ++tried) {
    const size_t candidate = cursor_++ % candidates;
    fallback_due_ = fallback_due_ || candidate + 1 == candidates;
    const auto path = find_(candidate % underlays_, endpoints_[candidate / underlays_]);
    if (path) {
      due_ = now + attempt_;
      return *path;
    }
    findings_.push_back(path.error().message);
  }
  due_ = now + kPause;
  return std::nullopt;
}

bool Dialer::set_fallback(const std::optional<Path>& path) {
  if (path == fallback_) return false;
  fallback_ = path;
  fallback_due_ = path.has_value();
  return fallback_due_;
}

bool Dialer::exhausted(Millis now) const {
  const size_t candidates = underlays_ * endpoints_.size();
  return cursor_ > candidates || (cursor_ == candidates && now >= due_);
}

void Dialer::set_endpoints(std::vector<Endpoint> endpoints) {
  endpoints_ = std::move(endpoints);
  cursor_ = 0;
}

void Dialer::lost(Millis now) {
  cursor_ = 0;
  due_ = now + kPause;
}

}  // namespace jvpn::client::underlays
