#include "control/gateway/control_loop.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/ip_header.h"
#include "common/source_signal.h"
#include "control/gateway/outer_header.h"
#include "control/gateway/show_gateway.h"

namespace jvpn::gateway {
namespace {

/// Packets per worker and turn, in the order of service; of control messages, all workers together.
struct Budget {
  PuntClass from;
  unsigned packets;
  Work counted;
};

constexpr std::array<Budget, kPuntClasses> kBudgets{
    {{PuntClass::kVerifiedHandshake, 16, Work::kHandshakes},
     {PuntClass::kAnswer, 16, Work::kHandshakes},
     {PuntClass::kControl, 64, Work::kControl},
     {PuntClass::kSlowPath, 32, Work::kSlowPath},
     {PuntClass::kHandshake, 8, Work::kHandshakes}}};

// One message may hold a key exchange, some 200 us: how many there are says nothing of how long
// they take. Whoever began last within these may end later.
constexpr uint64_t kClassUs = 125;  ///< for a class
constexpr uint64_t kRingsUs = 200;  ///< for all of them, in one turn

constexpr unsigned kSignals = 32;  ///< of a worker, in one turn

constexpr unsigned kSpinTurns = 64;  ///< idle turns before the loop sleeps
constexpr int kSleepMs = 1;
constexpr Millis kFlushLimit{200};
constexpr Millis kFinishLimit{5'000};  ///< to tell all peers, should workers take nothing any more
constexpr Millis kAdminEager{20};      ///< after a page that isn't the last
constexpr Millis kAdminInterval{5};    ///< between looks at the socket while busy

GatewayProfile without_peers(GatewayProfile profile) {
  profile.peers.clear();
  return profile;
}

std::vector<rte_ring*> inject_rings(const DataplaneView& view) {
  std::vector<rte_ring*> rings;
  for (const WorkerRings* worker : view.rings) {
    JVPN_ASSERT(worker->inject != nullptr, "each worker takes packets from control");
    rings.push_back(worker->inject);
  }
  return rings;
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
      injector_(view_.control_pool, inject_rings(view_)),
      neighbors_(view_.ports, injector_),
      inside_(view_.ports, neighbors_, view_.routes, view_.sessions, *reclaimer_),
      slow_path_(view_.ports, injector_, neighbors_, inside_, started_),
      limit_(clock_),
      host_(clock_, limit_, view_.ports, injector_, neighbors_, *publisher_, *reclaimer_, events_),
      uplinks_(view_, host_, peers_, profile_.listen_port),
      arrivals_(view_.rings, clock_) {
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
  const int store = config.ownership == nullptr ? -1 : config.ownership->descriptor();
  auto engine = engine::SessionEngine::create(std::move(config), host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  reloads_ = std::make_unique<Reloads>(
      profile_, own_key_,
      PeerReloadParts{peers_, *engine_, view_.routes, inside_, uplinks_, limit_});
  publish_cookies();
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
  if (store >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, store, &event) != 0)
    return errno_error("epoll");
  return {};
}

Result<void> ControlLoop::install_peer_routes() {
  for (uint32_t id = 0; id < peers_.size(); ++id) {
    const PeerProfile& peer = *peers_.find(PeerId{id});
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
  const size_t packets = poll_rings(now);
  busy_ = packets > 0;
  const bool done = do_jobs(now);
  turns_.end();
  return busy_ || !done || reloads_->applying();
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
}

void ControlLoop::reclaim(Millis) {
  reclaimer_->reclaim();
}

void ControlLoop::go_on_reloading(Millis now) {
  if (reloads_->poll(now)) admin_asked_ = true;
}

/// What the workers count, and the cookies that they check.
void ControlLoop::watch(Millis now) {
  macs_.poll(now, view_.counters);
  drops_.poll(
      now, engine_->policy().version, [this](Drop drop) { return count_drops(view_, drop); },
      [this](const session::Event& event) { events_.add(event); });
  publish_cookies();
  merged_.poll(now, view_);
}

/// Every class within its budget. When the time is up, the others are the first of the next turn.
size_t ControlLoop::poll_rings(Millis now) {
  const uint64_t until = clock_.now_us() + kRingsUs;
  size_t packets = 0;
  for (size_t served = 0; served < kBudgets.size(); ++served) {
    const Budget& budget = kBudgets[next_class_];
    next_class_ = (next_class_ + 1) % kBudgets.size();
    packets += budget.from == PuntClass::kControl ? poll_control(now, budget.packets)
                                                  : poll_class(now, budget.from, budget.packets);
    turns_.lap(budget.counted);
    if (clock_.now_us() >= until) break;
  }
  return packets;
}

/// One worker's ring after the other, beginning where the time was up.
size_t ControlLoop::poll_class(Millis now, PuntClass from, unsigned budget) {
  const uint64_t until = clock_.now_us() + kClassUs;
  size_t total = 0;
  for (size_t served = 0; served < view_.rings.size(); ++served) {
    size_t& next = next_ring_[static_cast<size_t>(from)];
    rte_ring* const ring = view_.rings[next]->punt[static_cast<size_t>(from)];
    next = (next + 1) % view_.rings.size();
    void* packet = nullptr;
    for (unsigned taken = 0; taken < budget; ++taken) {
      if (rte_ring_sc_dequeue(ring, &packet) != 0) break;
      take(now, from, static_cast<rte_mbuf*>(packet));
      ++total;
      if (clock_.now_us() >= until) return total;
    }
  }
  return total;
}

size_t ControlLoop::poll_control(Millis now, unsigned budget) {
  const uint64_t until = clock_.now_us() + kClassUs;
  for (unsigned taken = 0; taken < budget; ++taken) {
    rte_mbuf* const packet = arrivals_.pop();
    if (packet == nullptr) return taken;
    take(std::min(now, arrivals_.of(packet)), PuntClass::kControl, packet);
    if (clock_.now_us() >= until) return taken + 1;
  }
  return budget;
}

void ControlLoop::take(Millis now, PuntClass from, rte_mbuf* packet) {
  if (from == PuntClass::kSlowPath) return slow_path_.handle(now, packet);
  take_message(now, from, packet);
  rte_pktmbuf_free(packet);
}

void ControlLoop::take_message(Millis now, PuntClass from, rte_mbuf* packet) {
  const PacketNote& note = note_of(packet);
  const std::span<const uint8_t> frame(rte_pktmbuf_mtod(packet, const uint8_t*),
                                       rte_pktmbuf_data_len(packet));
  const auto path = path_of_frame(frame, note.port);
  if (!path || size_t{note.payload_offset} + note.payload_bytes > frame.size()) {
    ++malformed_;
    return;
  }
  const auto payload = frame.subspan(note.payload_offset, note.payload_bytes);
  if (from == PuntClass::kControl) {
    engine_->on_control(now, *path, ReceiverIndex{note.receiver}, note.counter, payload,
                        note.serial);
  } else {
    engine_->on_handshake(
        now, *path, payload,
        from == PuntClass::kVerifiedHandshake ? MacVerdict::kVerified : MacVerdict::kMac1,
        note.peer);
  }
}

/// Foreign sources, and those of unknown indices, that the workers have seen: one worker's after
/// the other, beginning where the time was up.
void ControlLoop::take_signals(Millis now) {
  for (size_t served = 0; served < view_.rings.size(); ++served) {
    const WorkerRings& rings = *view_.rings[next_signals_];
    next_signals_ = (next_signals_ + 1) % view_.rings.size();
    if (!take_signals_of(now, rings.sources) || !take_signals_of(now, rings.unknown)) return;
  }
}

bool ControlLoop::take_signals_of(Millis now, rte_ring* ring) {
  SourceSignal each;
  for (unsigned taken = 0; ring != nullptr && taken < kSignals; ++taken) {
    if (rte_ring_sc_dequeue_elem(ring, &each, sizeof each) != 0) break;
    const Path from{each.port,
                    {{each.family, each.local}, each.local_port},
                    {{each.family, each.remote}, each.remote_port}};
    if (each.serial != 0)
      engine_->source_changed(now, from, ReceiverIndex{each.receiver}, each.serial);
    else
      engine_->on_unknown_index(now, from, ReceiverIndex{each.receiver});
    if (limit_.spent()) return false;
  }
  return true;
}

/// Shows the workers the engine's cookie secrets when they have rotated.
void ControlLoop::publish_cookies() {
  uint64_t generation = 0;
  const CookieSecrets& secrets = engine_->cookie_secrets(generation);
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
