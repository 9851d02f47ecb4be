#include "perf/pipeline/packet_slices.h"

#include <algorithm>

#include <rte_cycles.h>

#include "common/wire.h"

namespace jvpn::perf {
namespace {

/// What reading the clock once costs.
double cycles_of_lap() {
  constexpr unsigned kLaps = 4'096;
  StageClock clock;
  clock.start();
  for (unsigned i = 0; i < kLaps; ++i) clock.lap(Stage::kRest);
  return static_cast<double>(clock.cycles[static_cast<size_t>(Stage::kRest)]) / kLaps;
}

}  // namespace

Result<std::unique_ptr<PacketSlices>> PacketSlices::create(BenchRig& rig, const BenchCell& cell,
                                                           const BenchOptions& bench,
                                                           uint16_t worker, const IpsecMb& library,
                                                           uint64_t seed, WorkerTime* time) {
  auto aead = Aead::create(library);
  if (!aead) return aead.error();
  auto raw = RawAead::create(library);
  if (!raw) return raw.error();
  return std::unique_ptr<PacketSlices>(
      new PacketSlices(rig, cell, bench, worker, seed, time, *std::move(aead), *std::move(raw)));
}

PacketSlices::PacketSlices(BenchRig& rig, const BenchCell& cell, const BenchOptions& bench,
                           uint16_t worker, uint64_t seed, WorkerTime* time, Aead aead, RawAead raw)
    : rig_(rig),
      cell_(cell),
      batch_(bench.batch),
      batches_(bench.batches),
      worker_(worker),
      time_(time),
      aead_(std::move(aead)),
      raw_(std::move(raw)),
      in_(cell.direction == Direction::kSeal ? test::kLan : test::kWan),
      out_(cell.direction == Direction::kSeal ? test::kWan : test::kLan),
      random_(seed),
      templates_(cell.sizes.begin(), cell.sizes.end()),
      plan_(size_t{batch_} * batches_),
      packets_(batch_),
      ops_(batch_),
      lap_cycles_(cycles_of_lap()) {
  for (size_t i = 0; i < plan_.size(); ++i)
    plan_[i].template_index = static_cast<uint16_t>(i % templates_.size());
}

void PacketSlices::plan() {
  if (templates_.size() > 1) std::ranges::shuffle(plan_, random_);
  const BenchSessions::Shape& shape = rig_.sessions().shape();
  const auto lanes_of_worker = static_cast<uint16_t>(shape.lanes / rig_.workers());
  for (Planned& planned : plan_) {
    const uint64_t random = random_();
    planned.session = static_cast<uint32_t>(((random >> 32) * shape.count) >> 32);
    planned.flow = static_cast<uint16_t>(random);
    planned.lane =
        static_cast<uint16_t>(worker_ + rig_.workers() * ((random >> 16) % lanes_of_worker));
    planned.sequence = rig_.take_sequence(planned.session, planned.lane);
  }
}

std::span<const PacketSlices::Planned> PacketSlices::batch(unsigned number) const {
  return std::span(plan_).subspan(size_t{number} * batch_, batch_);
}

/// Frames as they come from the inside, or sealed as the peers would. False: packets leaked.
bool PacketSlices::prepare(std::span<const Planned> batch) {
  if (rte_pktmbuf_alloc_bulk(rig_.gateway().pool(), packets_.data(), batch_) != 0) {
    lost_ += batch_;
    return false;
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    const uint32_t session = batch[i].session;
    const BenchBinding binding = rig_.sessions().binding(session);
    const LaneId lane{static_cast<uint16_t>(binding.number + batch[i].lane)};
    const uint64_t counter = wire::make_counter(lane, batch[i].sequence);
    const FrameTemplates& frames = templates_[batch[i].template_index];
    if (cell_.direction == Direction::kSeal) {
      uint8_t* ip = frames.write_to_peer(packets_[i], session, batch[i].flow);
      ops_[i] = {nullptr, ip, frames.inner_bytes()};
    } else {
      ops_[i] = seal_message(
          session,
          frames.write_to_lan(packets_[i], {session, binding.port(), binding.index, counter}),
          frames.inner_bytes());
    }
    ops_[i].key = rig_.raw_key(session);
  }
  return true;
}

/// The key is expanded on the spot: no schedule in memory is touched before the clock runs.
AeadOp PacketSlices::seal_message(uint32_t session, uint8_t* plain, unsigned bytes) {
  AeadKey key;
  aead_.expand(rig_.sessions().shape().suite, key_of(session), key);
  AeadOp op{&key, plain, bytes};
  aead_.seal({&op, 1});
  return op;
}

/// All that came out; the rest was dropped.
void PacketSlices::take() {
  const unsigned got =
      rte_ring_sc_dequeue_burst(rig_.gateway().tx_ring(out_, worker_),
                                reinterpret_cast<void**>(packets_.data()), batch_, nullptr);
  rte_pktmbuf_free_bulk(packets_.data(), got);
  lost_ += batch_ - got;
}

/// Cycles of the polls that take the batch. There is always more to take, so that no idle poll is
/// among them; the worker sends within the poll.
uint64_t PacketSlices::poll_all() {
  Worker& worker = rig_.worker(worker_);
  const uint64_t begun = rte_rdtsc();
  for (size_t left = batch_; left != 0;) {
    const size_t polled = worker.poll_once();
    if (polled == 0) [[unlikely]]
      break;
    left -= std::min(left, polled);
  }
  return rte_rdtsc() - begun;
}

uint64_t PacketSlices::pass(std::span<const Planned> batch, SpinBarrier* barrier) {
  const bool prepared = prepare(batch);
  if (prepared)
    rte_ring_sp_enqueue_bulk(rig_.gateway().rx_ring(in_, worker_),
                             reinterpret_cast<void**>(packets_.data()), batch_, nullptr);
  if (barrier != nullptr) barrier->meet();
  if (!prepared) return 0;
  if (stages_ != nullptr) stages_->start();
  if (time_ != nullptr) time_->since.store(rte_rdtsc(), std::memory_order_release);
  const uint64_t cycles = poll_all();
  if (time_ != nullptr) {
    time_->spent.fetch_add(cycles, std::memory_order_relaxed);
    time_->since.store(0, std::memory_order_release);
  }
  take();
  return cycles;
}

double PacketSlices::per_packet(uint64_t cycles) const {
  return static_cast<double>(cycles) / static_cast<double>(packets());
}

double PacketSlices::pipeline(SpinBarrier* barrier) {
  uint64_t cycles = 0;
  for (unsigned i = 0; i < batches_; ++i) cycles += pass(batch(i), barrier);
  return per_packet(cycles);
}

double PacketSlices::raw(SpinBarrier* barrier) {
  uint64_t cycles = 0;
  for (unsigned i = 0; i < batches_; ++i) {
    const bool prepared = prepare(batch(i));
    if (barrier != nullptr) barrier->meet();
    if (!prepared) continue;
    const uint64_t begun = rte_rdtsc();
    if (cell_.direction == Direction::kSeal)
      raw_.seal(ops_);
    else
      raw_.open(ops_);
    cycles += rte_rdtsc() - begun;
    rte_pktmbuf_free_bulk(packets_.data(), batch_);
  }
  return per_packet(cycles);
}

std::array<double, kStages> PacketSlices::stages() {
  StageClock clock;
  Worker& worker = rig_.worker(worker_);
  worker.set_stage_clock(stages_ = &clock);
  for (unsigned i = 0; i < batches_; ++i) pass(batch(i), nullptr);
  worker.set_stage_clock(stages_ = nullptr);
  std::array<double, kStages> figures{};
  for (size_t stage = 0; stage < kStages; ++stage) {
    const double read = lap_cycles_ * static_cast<double>(clock.laps[stage]);
    const double net = static_cast<double>(clock.cycles[stage]) - read;
    figures[stage] = std::max(net, 0.0) / static_cast<double>(packets());
  }
  return figures;
}

}  // namespace jvpn::perf
