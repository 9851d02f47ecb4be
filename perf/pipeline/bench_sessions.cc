#include "perf/pipeline/bench_sessions.h"

#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "perf/harness/interrupt.h"
#include "perf/pipeline/frames.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kEndlessQuota = wire::kSequenceMask;  // a run may outlast a key
constexpr uint32_t kLookForInterrupt = 1'024;

/// splitmix64, of G. Steele, D. Lea and C. Flood.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

}  // namespace

RawKey key_of(uint32_t session) {
  RawKey key;
  for (size_t at = 0; at < key.size(); at += sizeof(uint64_t)) {
    const uint64_t word = mix(uint64_t{session} << 8 | at);
    std::memcpy(key.data() + at, &word, sizeof word);
  }
  return key;
}

session::RxInstall rx_of(const BenchBinding& binding) {
  session::RxInstall rx;
  rx.index = binding.index;
  rx.peer = binding.peer;
  rx.suite = binding.suite;
  rx.traffic_key = binding.to_gateway;
  rx.control_key = binding.control;
  rx.first_lane = binding.first_lane;
  rx.lanes = binding.lanes;
  return rx;
}

session::TxInstall tx_of(const BenchBinding& binding) {
  session::TxInstall tx;
  tx.peer = binding.peer;
  tx.binding_version = BindingVersion{binding.number + 1ULL};
  tx.key_generation = 1;
  tx.peer_index = binding.index;
  tx.suite = binding.suite;
  tx.traffic_key = binding.to_peer;
  tx.first_lane = binding.first_lane;
  tx.lanes = binding.lanes;
  tx.packets_per_lane = kEndlessQuota;
  tx.path = {kWan, gateway_outer(), outer_of(binding.peer.value, binding.peer_port)};
  return tx;
}

BenchBinding BenchSessions::binding(uint32_t peer, uint32_t number) const {
  BenchBinding binding;
  binding.peer = PeerId{peer};
  binding.number = number;
  binding.suite = shape_.suite;
  binding.index = index_[peer];
  binding.lanes = shape_.lanes;
  binding.peer_port = static_cast<uint16_t>(kPeerPort + number % 2);
  binding.to_gateway = binding.to_peer = binding.control = key_of(peer);
  return binding;
}

Result<void> BenchSessions::attach() {
  const auto begun = std::chrono::steady_clock::now();
  index_.reserve(shape_.count);
  for (uint32_t peer = 0; peer < shape_.count; ++peer) {
    if (peer % kLookForInterrupt == 0 && interrupted()) return Error{"interrupted"};
    const auto index = indices_.allocate(PeerId{peer}, static_cast<uint32_t>(random_()));
    if (!index) return Error{"no receiver index is left"};
    index_.push_back(*index);
    const BenchBinding first = binding(peer, 0);
    publisher_.install_rx(rx_of(first));
    publisher_.bind_rx(first.index, outer_of(peer, first.peer_port));
    publisher_.install_tx(tx_of(first), kPeerMac);
    if (publisher_.failures() != 0)
      return Error{fmt::format("the publisher refused session {}: not enough memory?", peer)};
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun;
  attached_per_s_ = shape_.count / spent.count();
  return {};
}

}  // namespace jvpn::perf
