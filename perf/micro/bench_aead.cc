// Cost of the AEAD per suite, size and burst.
#include <chrono>
#include <random>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "common/aead.h"

namespace jvpn {
namespace {

constexpr size_t kPacketRoom = 2048;
constexpr size_t kPacketsPerRound = 64;

/// Packets of one size under one key.
class Packets {
 public:
  Packets(Aead& aead, const benchmark::State& state)
      : memory_(kPacketsPerRound * kPacketRoom), ops_(kPacketsPerRound), nonces_(kPacketsPerRound) {
    std::mt19937 random(1);
    RawKey raw;
    for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random());
    aead.expand(Suite{static_cast<uint8_t>(state.range(0))}, raw, key_);
    for (size_t i = 0; i < kPacketsPerRound; ++i) {
      nonces_[i] = transport_nonce(ReceiverIndex{1}, i);
      ops_[i].key = &key_;
      ops_[i].data = memory_.data() + i * kPacketRoom;
      ops_[i].length = static_cast<uint32_t>(state.range(1));
      ops_[i].nonce = nonces_[i].data();
    }
  }
  /// The next `count` packets, round and round.
  std::span<AeadOp> next(size_t count) {
    at_ = at_ + count > ops_.size() ? 0 : at_;
    const auto burst = std::span(ops_).subspan(at_, count);
    at_ += count;
    return burst;
  }

 private:
  AeadKey key_;
  std::vector<uint8_t> memory_;
  std::vector<AeadOp> ops_;
  std::vector<Nonce> nonces_;
  size_t at_ = 0;
};

void count_packets(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kPacketsPerRound));
}

void seal_burst(benchmark::State& state) {
  auto aead = Aead::create();
  const auto burst = static_cast<size_t>(state.range(2));
  Packets packets(*aead, state);
  for ([[maybe_unused]] auto _ : state)
    for (size_t i = 0; i < kPacketsPerRound; i += burst) aead->seal(packets.next(burst));
  count_packets(state);
}

// Opened packets are sealed again before the next round, off the clock.
void open_burst(benchmark::State& state) {
  auto aead = Aead::create();
  const auto burst = static_cast<size_t>(state.range(2));
  Packets packets(*aead, state);
  using Clock = std::chrono::steady_clock;
  for ([[maybe_unused]] auto _ : state) {
    aead->seal(packets.next(kPacketsPerRound));
    const auto begin = Clock::now();
    for (size_t i = 0; i < kPacketsPerRound; i += burst) aead->open(packets.next(burst));
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  count_packets(state);
}

const std::vector<int64_t> kSuites = {1, 2, 3};
const std::vector<int64_t> kSizes = {64, 512, 1420};

BENCHMARK(seal_burst)
    ->ArgNames({"suite", "bytes", "burst"})
    ->ArgsProduct({kSuites, kSizes, {1, 32}});
BENCHMARK(open_burst)
    ->UseManualTime()
    ->ArgNames({"suite", "bytes", "burst"})
    ->ArgsProduct({kSuites, kSizes, {1, 32}});

}  // namespace
}  // namespace jvpn
