#include "perf/store/reattaches.h"

#include <thread>
#include <utility>

#include "perf/harness/cpu_time.h"

namespace jvpn::perf {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kSwitchesPerMin = 60;
constexpr uint16_t kNetworks = 3;
constexpr uint32_t kJumpsOfTurn = 32;  // of those that a control loop finds when it looks
constexpr auto kStoreLate = std::chrono::seconds(5);

double span_s(Clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

session::EngineConfig config_of(uint32_t slot_bits) {
  session::EngineConfig config = jumping_config(slot_bits);
  config.rekey_after = Millis{100'000'000};
  return config;
}

}  // namespace

Reattaches::Reattaches(const Options& options) : options_(options), jumps_(options.sessions) {
  for (uint32_t i = 0; i < options.sessions; ++i)
    peers.push_back(std::make_unique<EngineNode>(i + 7));
}

Result<std::unique_ptr<Reattaches>> Reattaches::create(const Options& options) {
  std::unique_ptr<Reattaches> made(new Reattaches(options));
  if (auto started = made->start(); !started) return started.error();
  return made;
}

Result<void> Reattaches::start() {
  session::EngineConfig config = config_of(16);
  if (options_.store != nullptr) {
    store_ = std::make_unique<CountedOwnership>(*options_.store);
    config.ownership = store_.get();
  }
  if (auto started = EngineWorld::start(std::move(config), config_of(6)); !started) return started;
  for (uint32_t i = 0; i < options_.sessions; ++i) {
    EngineNode& initiator = *peers[i];
    const std::vector<Path> paths{path_of(i, 0), path_of(i, 1), path_of(i, 2)};
    initiator.engine->dial(now, kGatewayPeer, paths[0]);
    initiator.engine->advance(now);
    deliver(initiator);
    initiator.engine->set_candidates(now, kGatewayPeer, paths);
    deliver(initiator);
    if (auto taken = wait_until_less(options_.at_once); !taken) return taken;
  }
  return wait_until_less(1);
}

/// By CPU time: the store's thread, or another program, may have the CPU meanwhile. To read that
/// clock adds some 0.2 us to each message, with a store and without.
template <typename Call>
void Reattaches::time(Call&& call) {
  const auto begun = thread_cpu_time();
  call();
  spent_ += thread_cpu_time() - begun;
}

void Reattaches::deliver(EngineNode& initiator) {
  settle(
      initiator,
      [&](const Path& path, auto& bytes) {
        time([&] { test::give(*gateway.engine, now, path, bytes); });
      },
      [&](EngineNode& peer, const Path& path, auto& bytes) {
        test::give(*peer.engine, now, path, bytes);
      });
}

void Reattaches::turn() {
  time([&] {
    if (gateway.engine->next_deadline() <= now) gateway.engine->advance(now);
  });
  deliver(*peers.front());
}

Result<void> Reattaches::wait_until_less(uint64_t unanswered) {
  const auto until = Clock::now() + kStoreLate;
  while (store_ && store_->unanswered() >= unanswered) {
    if (!store_->has_replies()) std::this_thread::yield();
    if (store_->has_replies()) turn();
    if (Clock::now() > until) return Error{"the store hasn't answered within 5 s"};
  }
  return {};
}

Result<Reattaches::Slice> Reattaches::run(uint32_t jumps) {
  spent_ = {};
  now = now + kJumpCooldown;  // the latest commits came at the very end of the slice before
  const auto begun = Clock::now();
  const session::EngineCounters& counters = gateway.engine->counters();
  const uint64_t before = counters.reattach_commits;
  const uint64_t rate = kSwitchesPerMin * peers.size();
  uint64_t virtual_ms_60000ths = 0;
  for (uint32_t i = 0; i < jumps; ++i) {
    virtual_ms_60000ths += 60'000;
    now = now + Millis{virtual_ms_60000ths / rate};
    virtual_ms_60000ths %= rate;
    EngineNode& initiator = *peers[next_];
    initiator.engine->advance(now);
    deliver(initiator);
    initiator.engine->jump(now, kGatewayPeer, path_of(next_, ++jumps_[next_] % kNetworks));
    deliver(initiator);
    next_ = (next_ + 1) % options_.sessions;
    if (i % kJumpsOfTurn == 0) turn();
    if (auto taken = wait_until_less(options_.at_once); !taken) return taken.error();
  }
  if (auto taken = wait_until_less(1); !taken) return taken.error();
  const uint64_t committed = counters.reattach_commits - before;
  if (committed != jumps)
    return Error{std::to_string(committed) + " of " + std::to_string(jumps) +
                 " jumps were committed"};
  return Slice{jumps, span_s(spent_), span_s(Clock::now() - begun)};
}

}  // namespace jvpn::perf
