#include "perf/store/takeover.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "control/session/system_sources.h"
#include "perf/harness/cpu_time.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/progress.h"

namespace jvpn::perf {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kTakeoverSlotBits = 20;  // an index and its spares for each session
constexpr size_t kMessages = 16'384;
constexpr unsigned kMessagesAtOnce = 64;
constexpr const char* kDoing = "sessions taken over by an engine";
constexpr auto kStall = std::chrono::milliseconds(500);
constexpr auto kNothingFor = std::chrono::seconds(30);
constexpr Millis kLossTtl{600'000};  // a session that is taken over late has not ended

size_t resident_mb() {
  malloc_trim(0);  // what others have freed
  size_t total = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

/// As the gateway sees it.
Path path_of(uint32_t client) {
  const auto byte = [&](unsigned shift) { return static_cast<uint8_t>(client >> shift); };
  return {0,
          {IpAddress::v4({192, 0, 2, 1}), wire::kDefaultPort},
          {IpAddress::v4({10, byte(16), byte(8), byte(0)}), 40'000}};
}
uint32_t client_of(const Path& path) {
  const auto& bytes = path.remote.address.bytes;
  return uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

Takeover::Takeover(const Options& options)
    : options_(options),
      resident_before_mb_(resident_mb()),
      to_clients_(kMessages),
      to_engine_(kMessages) {
  claims_.resize(options.sessions);
}

Result<std::unique_ptr<Takeover>> Takeover::create(const Options& options,
                                                   session::Ownership& store,
                                                   const SecretKey& gateway) {
  std::unique_ptr<Takeover> made(new Takeover(options));
  if (auto started = made->start(store, gateway); !started) return started.error();
  return made;
}

Takeover::~Takeover() {
  stop_.store(true);
  if (clients_.joinable()) clients_.join();
}

Result<void> Takeover::start(session::Ownership& store, const SecretKey& gateway) {
  store_ = &store;
  const auto carry = [this](uint32_t client, std::span<const uint8_t> datagram) {
    Message message{client, {datagram.begin(), datagram.end()}};
    if (!prepared_.load(std::memory_order_relaxed)) {
      claims_[client] = std::move(message);
      return;
    }
    (void)to_engine_.push(std::move(message));  // full: lost, as on any network
  };
  const Crowd::Options crowd{.peers = options_.sessions,
                             .gateway = public_key_of(gateway),
                             .heartbeat = Millis{600'000},
                             .rekey_after = Millis{600'000}};
  auto made = Crowd::create(crowd, carry, [] { return uint64_t{0}; });
  if (!made) return made.error();
  crowd_ = *std::move(made);
  session::EngineConfig config;
  config.private_key = gateway;
  for (uint32_t i = 0; i < options_.sessions; ++i)
    config.peers.push_back({"client", crowd_->key_of(i), std::nullopt, {}});
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = kTakeoverSlotBits;
  config.handshakes_per_s = 1'000'000;
  config.policy.session.transport_loss_ttl = kLossTtl;
  config.ownership = &store;
  auto engine = engine::SessionEngine::create(std::move(config), *this, session::boottime_now());
  if (!engine) return engine.error();
  engine_ = *std::move(engine);
  return {};
}

void Takeover::prepare(const std::function<SessionId(uint32_t client)>& session) {
  ProgressLine progress;
  for (uint32_t i = 0; i < options_.sessions && !interrupted(); ++i) {
    crowd_->claim(i, session(i), BindingVersion{1});
    crowd_->dial(session::boottime_us(), i);
    if (i % 1'000 == 0) progress.show(i, options_.sessions, "claims written");
  }
  prepared_.store(true);
}

// ---- The engine's host.

void Takeover::send(const Path& path, std::span<const uint8_t> datagram) {
  (void)to_clients_.push({client_of(path), {datagram.begin(), datagram.end()}});  // full: lost
}

void Takeover::random(std::span<uint8_t> bytes) {
  session::fill_random(bytes);
}

wire::Timestamp Takeover::timestamp() {
  return session::tai64n_now();
}

// ---- The clients' thread.

void Takeover::run_clients() {
  pthread_setname_np(pthread_self(), "clients");
  const auto begun = thread_cpu_time();
  Message message;
  while (!stop_.load(std::memory_order_relaxed)) {
    bool idle = true;
    for (unsigned i = 0; i < kMessagesAtOnce && to_clients_.pop(message); ++i) {
      crowd_->receive(session::boottime_us(), message.bytes);
      idle = false;
    }
    attached_.store(crowd_->attached(), std::memory_order_relaxed);
    if (stalled_.load(std::memory_order_relaxed)) crowd_->advance(session::boottime_us());
    if (idle) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  clients_s_ = as_seconds(thread_cpu_time() - begun);
}

// ---- The engine's thread.

/// The next claims, while not too many wait.
bool Takeover::feed(Millis now) {
  const session::EngineCounters& counters = engine_->counters();
  const uint64_t over = counters.resumes + counters.resumes_refused;
  unsigned fed = 0;
  for (;
       fed < kMessagesAtOnce && claimed_ < options_.sessions && claimed_ < over + options_.at_once;
       ++fed) {
    Message claim = std::move(claims_[claimed_++]);
    engine_->on_handshake(now, path_of(claim.client), claim.bytes, std::nullopt);
  }
  return fed != 0;
}

bool Takeover::take_messages(Millis now) {
  Message message;
  unsigned taken = 0;
  for (; taken < kMessagesAtOnce && to_engine_.pop(message); ++taken)
    test::give(*engine_, now, path_of(message.client), message.bytes);
  return taken != 0;
}

Result<Takeover::Outcome> Takeover::run() {
  clients_ = std::thread([this] { run_clients(); });
  ProgressLine progress;
  const auto cpu = thread_cpu_time();
  const auto all_cpu = process_cpu_time();
  const auto begun = Clock::now();
  auto changed = begun;
  uint32_t seen = 0;
  while (seen < options_.sessions) {
    const Millis now = session::boottime_now();
    store_->note_alive(now, true);
    bool busy = take_messages(now);
    busy |= feed(now);
    if (engine_->next_deadline() <= now) {
      engine_->advance(now);
      busy = true;
    }
    if (!busy) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const uint32_t attached = attached_.load(std::memory_order_relaxed);
    const auto at = Clock::now();
    if (attached != seen) changed = at;
    if (attached / 1'000 != seen / 1'000) progress.show(attached, options_.sessions, kDoing);
    seen = attached;
    // What was lost is asked for again; before, clients that have their turn yet would be, too.
    if (claimed_ == options_.sessions) stalled_.store(at - changed > kStall);
    if (at - changed > kNothingFor)
      return Error{"no session was taken over for 30 s, after " + std::to_string(seen)};
    if (interrupted()) return Error{"interrupted"};
  }
  Outcome outcome;
  outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  outcome.engine_s = as_seconds(thread_cpu_time() - cpu);
  const double process_s = as_seconds(process_cpu_time() - all_cpu);
  outcome.refused = engine_->counters().resumes_refused;
  const size_t resident = resident_mb();
  outcome.resident_mb = resident - std::min(resident, resident_before_mb_);
  stop_.store(true);
  clients_.join();
  outcome.clients_s = clients_s_;
  outcome.store_s = std::max(process_s - outcome.engine_s - outcome.clients_s, 0.0);
  return outcome;
}

}  // namespace jvpn::perf
