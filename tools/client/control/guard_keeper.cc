#include "tools/client/control/guard_keeper.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

namespace jvpn::client::control {

void GuardKeeper::take(Millis now) {
  const tunnel::GuardNews news = tunnel_.take_guard_news();
  must_restore_ |= news.ours_went;
  must_compare_ |= news.others_changed;
  work(now);
}

void GuardKeeper::look(Millis now) {
  must_compare_ = true;
  work(now);
}

void GuardKeeper::advance(Millis now) {
  if (due_ <= now) work(now);
}

void GuardKeeper::work(Millis now) {
  if (must_restore_) must_restore_ = !restore();
  if (must_compare_) must_compare_ = !compare();
  const bool failed = must_restore_ || must_compare_;
  due_ = failed ? now + retry_ : kNever;
  retry_ = failed ? std::min(kLongestRetry, retry_ + retry_) : kFirstRetry;
}

bool GuardKeeper::restore() {
  const auto restored = tunnel_.restore();
  if (!restored) {
    spdlog::error(
        "NOT closed: a rule or route of the tunnel's was taken away: {}; next attempt in {} ms",
        restored.error().message, retry_.value);
    return false;
  }
  for (const std::string& name : *restored)
    spdlog::warn("{}: somebody took {} away; set again (docs/OPERATING.md: systemd-networkd)",
                 tunnel_.tun().name(), name);
  return true;
}

bool GuardKeeper::compare() {
  const auto before = tunnel_.routes_before_guards();
  if (!before) {
    spdlog::error("can't look for routes that go before the tunnel's: {}; next attempt in {} ms",
                  before.error().message, retry_.value);
    return false;
  }
  std::set<std::string> found(before->begin(), before->end());
  for (const std::string& route : found) {
    if (competing_.contains(route)) continue;
    spdlog::warn(
        "NOT closed: another route to {} goes before the unreachable one, so its traffic leaves "
        "without the tunnel while there is no session; remove it",
        route);
  }
  competing_ = std::move(found);
  return true;
}

}  // namespace jvpn::client::control
