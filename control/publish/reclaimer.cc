#include "control/publish/reclaimer.h"

#include <thread>
#include <utility>

#include "common/assert.h"

namespace jvpn::publish {

Reclaimer::~Reclaimer() {
  if (!deferred_.empty()) flush();
}

void Reclaimer::defer(std::function<void()> free) {
  if (deferred_.size() >= bound_) make_room();
  const uint64_t token = rte_rcu_qsbr_start(rcu_);
  JVPN_ASSERT(free != nullptr, "there is something to free");
  JVPN_ASSERT(deferred_.empty() || deferred_.back().token < token, "grace periods begin in order");
  deferred_.push_back({token, std::move(free)});
}

void Reclaimer::make_room() {
  reclaim();  // what is due already: many may have been retired at once
  if (deferred_.size() < bound_) return;
  const uint64_t token = rte_rcu_qsbr_start(rcu_);
  unsigned looks = 0;
  while (stuck_ && rte_rcu_qsbr_check(rcu_, token, false) != 1) {
    if (++looks > kLooks) stuck_();
    std::this_thread::sleep_for(kBetweenLooks);
  }
  flush();
}

void Reclaimer::reclaim() {
  for (size_t freed = 0; freed < kAtOnce && !deferred_.empty(); ++freed) {
    if (rte_rcu_qsbr_check(rcu_, deferred_.front().token, false) != 1) return;
    const auto free = std::move(deferred_.front().free);
    deferred_.pop_front();
    free();
  }
}

void Reclaimer::flush() {
  rte_rcu_qsbr_check(rcu_, rte_rcu_qsbr_start(rcu_), true);  // inline: sanitizers see the order
  std::deque<Deferred> due;
  due.swap(deferred_);
  for (const Deferred& entry : due) entry.free();
}

}  // namespace jvpn::publish
