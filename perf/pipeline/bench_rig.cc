#include "perf/pipeline/bench_rig.h"

#include <algorithm>
#include <bit>

namespace jvpn::perf {
namespace {

constexpr uint32_t kLeastRing = 1'024;
constexpr uint32_t kPoolCaches = 1'024;   ///< mbufs that may lie in the pool's caches
constexpr size_t kBytesOfPacket = 2'560;  ///< an mbuf with its room
constexpr size_t kBytesOfRoute = 128;
constexpr size_t kFixedBytes = size_t{48} << 20;

uint32_t packets_of(const BenchRig::Options& options) {
  return std::bit_ceil(options.workers * (2 * options.batch + kPoolCaches)) - 1;
}

}  // namespace

size_t BenchRig::megabytes(const Options& options) {
  const BenchSessions::Shape& sessions = options.sessions;
  const size_t session = sizeof(RxRecord) + sizeof(TxRecord) + sizeof(AeadKey) + kBytesOfRoute +
                         sessions.lanes * (sizeof(RxLane) + sizeof(LaneWords) + sizeof(TxLane));
  const size_t slots = std::bit_ceil(size_t{sessions.count} * kIndicesPerSession) * sizeof(void*);
  const size_t bytes =
      sessions.count * session + slots + size_t{packets_of(options)} * kBytesOfPacket + kFixedBytes;
  return (bytes + bytes / 4) >> 20;  // records keep within pages
}

Result<std::unique_ptr<BenchRig>> BenchRig::create(const Options& options) {
  std::unique_ptr<BenchRig> rig(new BenchRig);
  rig->workers_ = options.workers;
  auto gateway = MemoryGateway::create({.peers = options.sessions.count,
                                        .workers = options.workers,
                                        .port_ring = std::max(kLeastRing, options.batch),
                                        .packets = packets_of(options),
                                        .tuning = options.tuning});
  if (!gateway) return gateway.error();
  rig->gateway_ = *std::move(gateway);
  rig->sessions_ = std::make_unique<BenchSessions>(rig->gateway_->publisher(),
                                                   rig->gateway_->slot_bits(), options.sessions);
  if (auto attached = rig->sessions_->attach(); !attached) return attached.error();
  rig->table_bytes_ = rig->gateway_->table_bytes();
  rig->sequences_.resize(size_t{options.sessions.count} * options.sessions.lanes);
  if (auto made = rig->make_raw_keys(); !made) return made.error();
  return rig;
}

Result<void> BenchRig::make_raw_keys() {
  auto aead = Aead::create();
  if (!aead) return aead.error();
  const BenchSessions::Shape& shape = sessions_->shape();
  raw_keys_.reset(static_cast<AeadKey*>(
      rte_malloc("perf_raw_keys", size_t{shape.count} * sizeof(AeadKey), alignof(AeadKey))));
  if (!raw_keys_) return Error{"no DPDK memory for the keys of raw slices"};
  for (uint32_t session = 0; session < shape.count; ++session)
    aead->expand(shape.suite, key_of(session), raw_keys_[session]);
  return {};
}

}  // namespace jvpn::perf
