#include "perf/jvpn_perf/binding_updates.h"

#include <algorithm>
#include <bit>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "perf/jvpn_perf/frames.h"

namespace jvpn::perf {
namespace {

constexpr size_t kMostDeferred = 65'536;  ///< records, of each reclaimer

}  // namespace

size_t BindingUpdates::megabytes(const BenchRig::Options& options) {
  return BenchRig::megabytes(options) + (2 * kMostDeferred * sizeof(TxRecord) >> 20);
}

Result<std::unique_ptr<BindingUpdates>> BindingUpdates::create(BenchRig& rig,
                                                               const WorkerTime& time,
                                                               uint32_t updates_per_second) {
  std::unique_ptr<BindingUpdates> updates(new BindingUpdates(rig, time, updates_per_second));
  if (auto made = updates->make_twin(); !made) return made.error();
  return updates;
}

BindingUpdates::BindingUpdates(BenchRig& rig, const WorkerTime& time, uint32_t updates_per_second)
    : rig_(rig),
      time_(time),
      interval_(rte_get_tsc_hz() / updates_per_second),
      most_behind_(rte_get_tsc_hz() / 1'000) {
  worker_ = {&rig.gateway().publisher(), &rig.sessions(), &rig.gateway().reclaimer()};
}

Result<void> BindingUpdates::make_twin() {
  MemoryGateway& gateway = rig_.gateway();
  const BenchSessions::Shape& shape = rig_.sessions().shape();
  auto table = SessionTable::create(shape.count);
  if (!table) return table.error();
  twin_table_ = *std::move(table);
  twin_reclaimer_ = std::make_unique<publish::Reclaimer>(gateway.rcu(), kMostDeferred);
  auto publisher =
      publish::Publisher::create(*twin_table_, *twin_reclaimer_, gateway.ports(), rig_.workers());
  if (!publisher) return publisher.error();
  twin_publisher_ = *std::move(publisher);
  twin_sessions_ =
      std::make_unique<BenchSessions>(*twin_publisher_, twin_table_->slot_bits(), shape);
  twin_ = {twin_publisher_.get(), twin_sessions_.get(), twin_reclaimer_.get()};
  return twin_sessions_->attach();
}

void BindingUpdates::turn() {
  const uint64_t worker_cycles = time_.at(rte_rdtsc());
  const bool wanted = wanted_.load(std::memory_order_acquire);
  if (wanted != to_worker_) change_over(wanted, worker_cycles);
  if (worker_cycles >= due_) {
    due_ = std::max(due_ + interval_, worker_cycles - std::min(worker_cycles, most_behind_));
    update(to_worker_ ? worker_ : twin_);
  }
  worker_.reclaimer->reclaim();
  twin_.reclaimer->reclaim();
  directed_.store(to_worker_, std::memory_order_release);
  rte_pause();
}

void BindingUpdates::change_over(bool to_worker, uint64_t worker_cycles) {
  Target& before = to_worker ? twin_ : worker_;
  before.worker_cycles += worker_cycles - before.first_cycles;
  (to_worker ? worker_ : twin_).first_cycles = worker_cycles;
  to_worker_ = to_worker;
}

/// The send side anew, as after a jump to another port; the receive side is told its remote again.
void BindingUpdates::update(Target& target) {
  const uint64_t begun = rte_rdtsc();
  next_ = (next_ + 1) % target.sessions->shape().count;
  const BenchBinding binding = target.sessions->binding(next_, ++binding_);
  target.publisher->install_tx(tx_of(binding), kPeerMac);
  target.publisher->bind_rx(binding.index, outer_of(next_, kPeerPort));
  ++target.updates;
  ++updates_;
  spent_ += rte_rdtsc() - begun;
}

void BindingUpdates::direct(bool to_worker) {
  wanted_.store(to_worker, std::memory_order_release);
  while (directed_.load(std::memory_order_acquire) != to_worker)
    rig_.gateway().worker().poll_once();
}

double BindingUpdates::per_second() const {
  uint64_t cycles = worker_.worker_cycles;
  if (to_worker_) cycles += time_.at(rte_rdtsc()) - worker_.first_cycles;
  if (cycles == 0) return 0;
  return static_cast<double>(worker_.updates) * static_cast<double>(rte_get_tsc_hz()) /
         static_cast<double>(cycles);
}

double BindingUpdates::publish_us() const {
  if (updates_ == 0) return 0;
  return static_cast<double>(spent_) * 1e6 /
         (static_cast<double>(updates_) * static_cast<double>(rte_get_tsc_hz()));
}

}  // namespace jvpn::perf
