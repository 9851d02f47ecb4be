#include "perf/storm/storm_world.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/limits.h"
#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kWorkerUs = 1;  // for a control message: to receive, open and hand it over
constexpr uint64_t kReceiveRing = 4'096;  // packets that wait for the worker at most
constexpr uint32_t kSlotBitsOfPeer = 5;

session::EngineConfig storm_config(const StormOptions& options, uint32_t slot_bits) {
  session::EngineConfig config;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = slot_bits;
  config.handshakes_per_s = options.handshakes_per_s;
  config.rekey_after = Millis{options.rekey_ms};
  config.policy = options.policy;
  return config;
}

/// As the data plane numbers them.
uint32_t slot_bits_of(uint32_t sessions) {
  return static_cast<uint32_t>(std::bit_width(uint64_t{sessions} * kIndicesPerSession - 1));
}

}  // namespace

StormWorld::StormWorld(const StormOptions& options)
    : options_(options),
      delay_us_(uint64_t{options.delay_ms} * 1'000),
      gateway_(options.ring, options.policy.observability.event_ring),
      peers_(options.seed, [this](uint32_t, const Path& path, std::span<const uint8_t> datagram) {
        if (cut_[path.interface]) return;
        const uint64_t arrives = now_us_ + delay_us_;
        if (worker_free_us_ > arrives + kReceiveRing * kWorkerUs) return;
        worker_free_us_ = std::max(arrives, worker_free_us_ + kWorkerUs);
        to_gateway_.push_back({worker_free_us_, {path, {datagram.begin(), datagram.end()}}});
      }) {}

Result<void> StormWorld::start() {
  session::EngineConfig config = storm_config(options_, slot_bits_of(options_.sessions));
  config.private_key = generate_secret_key();
  const PublicKey own = public_key_of(config.private_key);
  for (uint32_t i = 0; i < options_.sessions; ++i) {
    auto key = peers_.add(now_us_, storm_config(options_, kSlotBitsOfPeer), own);
    if (!key) return key.error();
    config.peers.push_back({"peer", *key, std::nullopt, {}});
  }
  return gateway_.start(std::move(config), now_us_);
}

void StormWorld::deliver(Flight flight, bool to_gateway) {
  const Path& path = flight.datagram.path;
  if (cut_[path.interface]) return;
  const Path from{path.interface, path.remote, path.local};
  if (to_gateway)
    gateway_.receive(now_us_, from, std::move(flight.datagram.bytes));
  else
    peers_.receive(now_us_, peer_on(path), from, flight.datagram.bytes);
}

/// What it sends leaves at its end.
void StormWorld::turn() {
  const uint64_t over_us = gateway_.turn(now_us_, sent_);
  for (SentDatagram& each : sent_)
    if (!cut_[each.path.interface]) to_peers_.push_back({over_us + delay_us_, std::move(each)});
  sent_.clear();
}

bool StormWorld::run_until(uint64_t until_us, const std::function<bool()>& done) {
  const auto front = [](const std::deque<Flight>& queue) {
    return queue.empty() ? UINT64_MAX : queue.front().at_us;
  };
  const auto land = [this](std::deque<Flight>& queue, bool to_gateway) {
    Flight flight = std::move(queue.front());
    queue.pop_front();
    deliver(std::move(flight), to_gateway);
  };
  if (done()) return true;
  while (!interrupted()) {
    const uint64_t due = std::min(
        {front(to_gateway_), front(to_peers_), peers_.due_us(), gateway_.due_us(), until_us});
    now_us_ = std::max(now_us_, due);
    if (now_us_ >= until_us) return done();
    if (front(to_gateway_) <= now_us_) {
      land(to_gateway_, true);
    } else if (front(to_peers_) <= now_us_) {
      land(to_peers_, false);
    } else if (peers_.due_us() <= now_us_) {
      peers_.advance(now_us_);
      if (done()) return true;
    } else {
      turn();
      if (done()) return true;
    }
  }
  return false;
}

void StormWorld::run_for(uint64_t span_us) {
  run_until(now_us_ + span_us, [] { return false; });
}

}  // namespace jvpn::perf
