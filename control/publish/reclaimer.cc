#include "control/publish/reclaimer.h"

#include <utility>

namespace jvpn::publish {

Reclaimer::~Reclaimer() {
  if (!deferred_.empty()) flush();
}

void Reclaimer::defer(std::function<void()> free) {
  if (deferred_.size() >= bound_) flush();
  deferred_.push_back({rte_rcu_qsbr_start(rcu_), std::move(free)});
}

void Reclaimer::reclaim() {
  while (!deferred_.empty() && rte_rcu_qsbr_check(rcu_, deferred_.front().token, false) == 1) {
    const auto free = std::move(deferred_.front().free);
    deferred_.pop_front();
    free();
  }
}

void Reclaimer::flush() {
  rte_rcu_qsbr_synchronize(rcu_, RTE_QSBR_THRID_INVALID);
  std::deque<Deferred> due;
  due.swap(deferred_);
  for (const Deferred& entry : due) entry.free();
}

}  // namespace jvpn::publish
