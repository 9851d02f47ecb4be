#include "control/gateway/control_loop.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/assert.h"
#include "control/gateway/show_gateway.h"

namespace jvpn::gateway {
namespace {

constexpr unsigned kSpinTurns = 64;  ///< idle turns before the loop sleeps
constexpr int kSleepMs = 1;
constexpr Millis kFlushLimit{200};
constexpr Millis kFinishLimit{5'000};  ///< to tell all peers, should workers take nothing any more
constexpr Millis kAdminInterval{5};    ///< between looks at the socket while busy

GatewayProfile without_peers(GatewayProfile profile) {
  profile.peers.clear();
  return profile;
}

/// Since the start.
session::CookieUse cookies_used(const DataplaneView& view) {
  session::CookieUse used;
  for (const WorkerCounters* worker : view.counters)
    used.sent += worker->cookie_replies.load(std::memory_order_relaxed);
  for (const Drop drop : {Drop::kCookieRate, Drop::kHandshakeRepeated, Drop::kHandshakeShare})
    used.refused += count_drops(view, drop);
  return used;
}

std::vector<rte_ring*> inject_rings(const DataplaneView& view) {
  std::vector<rte_ring*> rings;
  for (const WorkerRings* worker : view.rings) {
    JVPN_ASSERT(worker->inject != nullptr, "each worker takes packets from control");
    rings.push_back(worker->inject);
  }
  return rings;
}

/// Of the present policy, if the workers have room.
GatewayHoldLimits hold_limits(const GatewayProfile& profile, const Policy& policy) {
  const auto& switching = policy.switching;
  if (profile.limits.hold_packets == 0 || !switching.holds()) return {};
  return {switching.hold.value * (rte_get_tsc_hz() / 1'000), switching.hold_bytes};
}

}  // namespace

Result<std::unique_ptr<ControlLoop>> ControlLoop::create(const GatewayProfile& profile,
                                                         session::EngineConfig config,
                                                         DataplaneView view,
                                                         events::EventLog& events,
                                                         const GatewayClock& clock) {
  auto reclaimer = std::make_unique<publish::Reclaimer>(view.rcu);
  auto publisher = publish::Publisher::create(view.sessions, *reclaimer, view.ports,
                                              static_cast<unsigned>(view.rings.size()));
  if (!publisher) return publisher.error();
  std::unique_ptr<ControlLoop> loop(new ControlLoop(profile, config, std::move(view), events, clock,
                                                    std::move(publisher).value(),
                                                    std::move(reclaimer)));
  if (auto started = loop->start(std::move(config)); !started) return started.error();
  return loop;
}

ControlLoop::ControlLoop(const GatewayProfile& profile, const session::EngineConfig& config,
                         DataplaneView view, events::EventLog& events, const GatewayClock& clock,
                         std::unique_ptr<publish::Publisher> publisher,
                         std::unique_ptr<publish::Reclaimer> reclaimer)
    : clock_(clock),
      view_(std::move(view)),
      profile_(without_peers(profile)),
      own_key_(public_key_of(config.private_key)),
      started_(clock.now()),
      reclaimer_(std::move(reclaimer)),
      peers_(profile, config, *reclaimer_),
      publisher_(std::move(publisher)),
      events_(events),
      injector_(view_.control_pool, inject_rings(view_), &view_.sessions),
      neighbors_(view_.ports, injector_),
      inside_(view_.ports, neighbors_, view_.routes, view_.sessions, *reclaimer_),
      slow_path_(view_.ports, injector_, neighbors_, inside_, started_),
      host_(clock_, limit_, view_.ports, injector_, neighbors_, lan_, routes_, handed_over_,
            *publisher_, *reclaimer_, events_),
      uplinks_(view_, host_, peers_, profile_.listen_port),
      arrivals_(view_.rings, clock_) {
  neighbors_.answer_for(lan_);
  neighbors_.tell(handed_over_);
  slow_path_.forward_by(handed_over_);
  neighbors_.on_changed(
      [this](const neighbor::NeighborKey& key, const std::optional<EtherAddress>& mac) {
        inside_.neighbor_changed(key, mac);
        host_.neighbor_changed(key, mac);
      });
}

ControlLoop::~ControlLoop() {
  engine_.reset();
  const CookieSecrets* cookies = view_.cookie_secrets.exchange(nullptr);
  reclaimer_->flush();
  if (cookies != nullptr) {
    wipe(const_cast<CookieSecrets*>(cookies), sizeof *cookies);
    delete cookies;
  }
  if (epoll_ >= 0) close(epoll_);
}

Result<void> ControlLoop::start(session::EngineConfig config) {
  ownership_.emplace(config.ownership, view_, clock_);
  prove_ownership(started_);
  auto key_log = admin::KeyLog::open(profile_.crypto.key_log_file.path,
                                     [](const std::string& line) { spdlog::warn("{}", line); });
  if (!key_log) return key_log.error();
  host_.log_keys(std::move(*key_log));
  auto engine = engine::SessionEngine::create(std::move(config), host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  reloads_ = std::make_unique<Reloads>(
      profile_, own_key_,
      PeerReloadParts{peers_, *engine_, view_.routes, inside_, lan_, routes_, uplinks_, limit_});
  publish_cookies(started_);
  publisher_->hold().tend(hold_limits(profile_, engine_->policy()), rte_rdtsc());
  if (auto added = install_peer_routes(); !added) return added;
  if (auto added = inside_.install(started_); !added) return added;

  auto admin = admin::AdminSocket::open(
      profile_.admin.socket, [this](const nlohmann::json& request) { return answer(request); },
      &event_source_);
  if (!admin) return admin.error();
  admin_ = std::move(admin).value();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, admin_->descriptor(), &event) != 0)
    return errno_error("epoll");
  // Once for each time that it replies: replies that were taken already must not keep us awake.
  event.events = EPOLLIN | EPOLLET;
  const int store = ownership_->descriptor();
  if (store >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, store, &event) != 0)
    return errno_error("epoll");
  return {};
}

Result<void> ControlLoop::install_peer_routes() {
  for (uint32_t id = 0; id < peers_.size(); ++id) {
    const PeerProfile& peer = *peers_.find(PeerId{id});
    if (peer.disabled) {
      engine_->remove_peer(started_, PeerId{id});
      continue;
    }
    for (const Prefix& prefix : peer.allowed_ips) {
      if (auto added = view_.routes.add(prefix, Target::peer(PeerId{id})); !added)
        return Error{"peers." + peer.name + ".allowed_ips: " + to_string(prefix) + ": " +
                     added.error().message};
    }
  }
  return {};
}

void ControlLoop::run(const std::atomic<bool>& stop, std::atomic<bool>& reload_wanted) {
  neighbors_.announce();
  while (!stop.load(std::memory_order_relaxed)) {
    if (reload_wanted.exchange(false, std::memory_order_relaxed)) reloads_->want();
    idle_turns_ = turn(clock_.now()) ? 0 : idle_turns_ + 1;
    rest();
  }
  finish();
}

bool ControlLoop::turn(Millis now) {
  turns_.begin();
  limit_.begin();
  view_.sessions.note_control(rte_rdtsc());
  prove_ownership(now);
  const size_t packets = poll_rings(now);
  busy_ = packets > 0;
  const bool done = do_jobs(now);
  turns_.end();
  return busy_ || !done || reloads_->applying();
}

void ControlLoop::prove_ownership(Millis now) {
  ownership_->poll(now, [this](const session::Event& event) { events_.add(event); });
}

/// One at least. False: the turn's time is up, the others are the first of the next turn.
bool ControlLoop::do_jobs(Millis now) {
  struct Job {
    void (ControlLoop::*run)(Millis now);
    Work counted;
  };
  static constexpr std::array<Job, 8> kJobs{{{&ControlLoop::take_signals, Work::kSignals},
                                             {&ControlLoop::poll_uplinks, Work::kUplinks},
                                             {&ControlLoop::run_timers, Work::kTimers},
                                             {&ControlLoop::ask_neighbors, Work::kNeighbors},
                                             {&ControlLoop::watch, Work::kWatches},
                                             {&ControlLoop::reclaim, Work::kReclaim},
                                             {&ControlLoop::go_on_reloading, Work::kReload},
                                             {&ControlLoop::serve_admin, Work::kAdmin}}};
  for (size_t done = 0; done < kJobs.size(); ++done) {
    if (done != 0 && limit_.spent()) return false;
    const Job& job = kJobs[next_job_];
    next_job_ = (next_job_ + 1) % kJobs.size();
    (this->*job.run)(now);
    turns_.lap(job.counted);
  }
  return true;
}

void ControlLoop::poll_uplinks(Millis now) {
  uplinks_.poll(now, *engine_);
}

void ControlLoop::run_timers(Millis now) {
  const Millis judged = std::min(now, arrivals_.earliest());
  if (engine_->next_deadline() <= judged) engine_->advance(judged);
  for (const PeerId peer : host_.take_refused()) engine_->install_refused(now, peer);
}

void ControlLoop::ask_neighbors(Millis now) {
  neighbors_.advance(now);
  lan_.advance(now);
  handed_over_.advance(now);
}

void ControlLoop::reclaim(Millis now) {
  reclaimer_->reclaim();
  for (const publish::ClosedLanes& closed : publisher_->take_closed())
    lanes_closed(*engine_, now, closed.peer, closed.report);
  publisher_->hold().tend(hold_limits(profile_, engine_->policy()), rte_rdtsc());
}

void ControlLoop::go_on_reloading(Millis now) {
  if (reloads_->poll(now)) admin_asked_ = true;
}

/// What the workers count, the cookies that they check, and what is wrong with the gateway.
void ControlLoop::watch(Millis now) {
  macs_.poll(now, view_.counters);
  drops_.poll(
      now, engine_->policy().version, [this](Drop drop) { return count_drops(view_, drop); },
      [this](const session::Event& event) { events_.add(event); });
  publish_cookies(now);
  merged_.poll(now, view_);
  exhaustion_.poll(now, [&] {
    ExhaustionWatch::Totals totals = exhausted(view_, injector_.counters(), neighbors_.counters());
    totals[static_cast<size_t>(Bounded::kEvents)] = events_.status().lost;
    totals[static_cast<size_t>(Bounded::kControlCore)] = busy_seconds_.note(now, turns_.cpu_us());
    return totals;
  });
  silent_.poll(now, view_.ports.size(), [&](size_t port) {
    SilentPorts::Seen seen{view_.link_up(static_cast<uint16_t>(port)), 0,
                           neighbors_.counters().again[port]};
    for (const WorkerCounters* each : view_.counters)
      seen.received += each->rx_packets[port].load(std::memory_order_relaxed);
    return seen;
  });
  health_watch_.poll(
      now, engine_->policy().version, [&] { return health(now); },
      [this](const session::Event& event) { events_.add(event); });
}

/// Tells the engine what the workers did with its cookie secrets, and shows them those when they
/// have rotated.
void ControlLoop::publish_cookies(Millis now) {
  uint64_t generation = 0;
  const session::CookieUse used = cookies_used(view_);
  const CookieSecrets& secrets = engine_->cookie_secrets(
      generation, now, {used.sent - cookies_told_.sent, used.refused - cookies_told_.refused});
  cookies_told_ = used;
  const CookieSecrets* before = view_.cookie_secrets.load(std::memory_order_relaxed);
  if (before != nullptr && generation == cookie_generation_) return;
  JVPN_ASSERT(before == nullptr || generation > cookie_generation_, "rotations are counted up");
  cookie_generation_ = generation;
  view_.cookie_secrets.store(new CookieSecrets(secrets), std::memory_order_release);
  if (before == nullptr) return;
  reclaimer_->defer([before] {
    wipe(const_cast<CookieSecrets*>(before), sizeof *before);
    delete before;
  });
}

/// While packets wait, now and then: who shows all sessions, page by page, holds up none of them.
void ControlLoop::serve_admin(Millis now) {
  const bool wanted = !busy_ && (admin_asked_ || now < admin_eager_until_);
  if (!wanted && now - admin_polled_ < kAdminInterval) return;
  admin_asked_ = false;
  admin_polled_ = now;
  admin_->poll(now);
}

/// Sleeps when the loop has been idle for a while.
void ControlLoop::rest() {
  epoll_event event{};
  if (idle_turns_ >= kSpinTurns) admin_asked_ = epoll_wait(epoll_, &event, 1, kSleepMs) > 0;
}

/// Waits until the workers have taken what was given to them.
void ControlLoop::flush() {
  const Millis begun = clock_.now();
  while (!injector_.drained() && clock_.now() - begun < kFlushLimit)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void ControlLoop::finish() {
  const Millis begun = clock_.now();
  engine_->shutdown(begun);
  while (engine_->next_deadline() == Millis{0} && clock_.now() - begun < kFinishLimit) {
    flush();
    limit_.begin();
    engine_->advance(clock_.now());
    reclaimer_->reclaim();
  }
  flush();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the workers' bursts in hand
  admin_->poll(clock_.now());  // whoever follows the events hears how it ended
  admin_.reset();
}

}  // namespace jvpn::gateway
