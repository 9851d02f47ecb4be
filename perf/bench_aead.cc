// Cost of the parts of common/: AEAD per suite, size and burst, X25519, the whole handshake.
#include <array>
#include <chrono>
#include <random>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "common/aead.h"
#include "common/noise.h"

namespace jvpn {
namespace {

constexpr size_t kPacketRoom = 2048;

/// Packets of one size, each with its own key of `keys`, taken at random.
class Packets {
 public:
  Packets(Aead& aead, Suite suite, size_t length, size_t count, size_t key_count)
      : keys_(key_count), memory_(count * kPacketRoom), ops_(count), nonces_(count) {
    std::mt19937 random(1);
    for (AeadKey& key : keys_) {
      RawKey raw;
      for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random());
      aead.expand(suite, raw, key);
    }
    for (size_t i = 0; i < count; ++i) {
      ops_[i].key = &keys_[random() % key_count];
      ops_[i].data = memory_.data() + i * kPacketRoom;
      ops_[i].length = static_cast<uint32_t>(length);
      nonces_[i] = transport_nonce(ReceiverIndex{1}, i);
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
  std::vector<AeadKey> keys_;
  std::vector<uint8_t> memory_;
  std::vector<AeadOp> ops_;
  std::vector<Nonce> nonces_;
  size_t at_ = 0;
};

constexpr size_t kPacketsPerRound = 64;

void count_packets(benchmark::State& state, size_t count) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(count));
}

void seal_burst(benchmark::State& state) {
  auto aead = Aead::create();
  const auto burst = static_cast<size_t>(state.range(2));
  Packets packets(*aead, Suite{static_cast<uint8_t>(state.range(0))},
                  static_cast<size_t>(state.range(1)), kPacketsPerRound, 1);
  for ([[maybe_unused]] auto _ : state)
    for (size_t i = 0; i < kPacketsPerRound; i += burst) aead->seal(packets.next(burst));
  count_packets(state, kPacketsPerRound);
}

// Opened packets are sealed again before the next round, off the clock.
void open_burst(benchmark::State& state) {
  auto aead = Aead::create();
  const auto burst = static_cast<size_t>(state.range(2));
  Packets packets(*aead, Suite{static_cast<uint8_t>(state.range(0))},
                  static_cast<size_t>(state.range(1)), kPacketsPerRound, 1);
  using Clock = std::chrono::steady_clock;
  for ([[maybe_unused]] auto _ : state) {
    aead->seal(packets.next(kPacketsPerRound));
    const auto begin = Clock::now();
    for (size_t i = 0; i < kPacketsPerRound; i += burst) aead->open(packets.next(burst));
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  count_packets(state, kPacketsPerRound);
}

void seal_8192_keys(benchmark::State& state) {
  auto aead = Aead::create();
  Packets packets(*aead, Suite{static_cast<uint8_t>(state.range(0))},
                  static_cast<size_t>(state.range(1)), 16384, 8192);
  for ([[maybe_unused]] auto _ : state) aead->seal(packets.next(32));
  count_packets(state, 32);
}

void x25519_rate(benchmark::State& state) {
  const SecretKey secret = generate_secret_key();
  const PublicKey peer = public_key_of(generate_secret_key());
  PublicKey shared;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(x25519(secret, peer, shared));
}

void handshake(benchmark::State& state) {
  const auto cipher = static_cast<NoiseCipher>(state.range(0));
  const SecretKey client = generate_secret_key();
  const SecretKey server = generate_secret_key();
  const PublicKey client_public = public_key_of(client);
  const PublicKey server_public = public_key_of(server);
  const PresharedKey psk;
  std::array<uint8_t, kNoiseMessage1Overhead> first;
  std::array<uint8_t, kNoiseMessage2Overhead> second;
  for ([[maybe_unused]] auto _ : state) {
    auto i = NoiseHandshake::initiator(cipher, {}, client, server_public, nullptr, &client_public);
    auto r = NoiseHandshake::responder(cipher, {}, server, nullptr, &server_public);
    const bool done = i.write_message1({}, first) && r.read_message1(first, {}) &&
                      r.write_message2(psk, {}, second) && i.read_message2(psk, second, {});
    if (!done || !i.split() || !r.split()) return state.SkipWithError("the handshake failed");
  }
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
BENCHMARK(seal_8192_keys)->ArgNames({"suite", "bytes"})->ArgsProduct({{1, 2}, kSizes});
BENCHMARK(x25519_rate);
BENCHMARK(handshake)->ArgName("cipher")->Arg(0)->Arg(1);

}  // namespace
}  // namespace jvpn
