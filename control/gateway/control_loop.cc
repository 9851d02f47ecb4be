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
#include "control/admin/event_admin.h"
#include "control/admin/show_sessions.h"
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
     {PuntClass::kControl, 64, Work::kControl},
     {PuntClass::kSlowPath, 32, Work::kSlowPath},
     {PuntClass::kHandshake, 8, Work::kHandshakes}}};

// One message may hold a key exchange, some 200 us: how many there are says nothing of how long
// they take. Whoever began last within these may end later.
constexpr uint64_t kClassUs = 125;  ///< for a class
constexpr uint64_t kRingsUs = 400;  ///< for all of them, in one turn

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
      host_(clock_, view_.ports, injector_, neighbors_, *publisher_, *reclaimer_, events_),
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
  auto engine = engine::SessionEngine::create(std::move(config), host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  reloads_ = std::make_unique<Reloads>(
      profile_, own_key_, PeerReloadParts{peers_, *engine_, view_.routes, inside_, uplinks_});
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
  const size_t packets = poll_rings(now);
  take_signals(now);
  turns_.lap(Work::kSignals);
  uplinks_.poll(now, *engine_);
  turns_.lap(Work::kUplinks);
  const Millis judged = std::min(now, arrivals_.earliest());
  if (engine_->next_deadline() <= judged) engine_->advance(judged);
  for (const PeerId peer : host_.take_refused()) engine_->install_refused(now, peer);
  turns_.lap(Work::kTimers);
  neighbors_.advance(now);
  turns_.lap(Work::kNeighbors);
  watch(now);
  turns_.lap(Work::kWatches);
  reclaimer_->reclaim();
  turns_.lap(Work::kReclaim);
  if (reloads_->poll(now)) admin_asked_ = true;
  turns_.lap(Work::kReload);
  serve_admin(now, packets > 0);
  turns_.lap(Work::kAdmin);
  turns_.end();
  return packets > 0 || reloads_->applying();
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
        from == PuntClass::kVerifiedHandshake ? MacVerdict::kVerified : MacVerdict::kMac1);
  }
}

/// Foreign sources that the workers have seen.
void ControlLoop::take_signals(Millis now) {
  std::array<SourceSignal, 32> signals;
  for (const WorkerRings* worker : view_.rings) {
    if (worker->sources == nullptr) continue;
    const unsigned n = rte_ring_sc_dequeue_burst_elem(
        worker->sources, signals.data(), sizeof(SourceSignal), signals.size(), nullptr);
    for (unsigned i = 0; i < n; ++i) {
      const SourceSignal& each = signals[i];
      const Path from{each.port,
                      {{each.family, each.local}, each.local_port},
                      {{each.family, each.remote}, each.remote_port}};
      engine_->source_changed(now, from, ReceiverIndex{each.receiver}, each.serial);
    }
  }
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
void ControlLoop::serve_admin(Millis now, bool busy) {
  const bool wanted = !busy && (admin_asked_ || now < admin_eager_until_);
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
    engine_->advance(clock_.now());
    reclaimer_->reclaim();
  }
  flush();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the workers' bursts in hand
  admin_->poll(clock_.now());  // whoever follows the events hears how it ended
  admin_.reset();
}

admin::AdminSocket::Answer ControlLoop::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  const std::string name =
      command != request.end() && command->is_string() ? command->get<std::string>() : "";
  if (name == "show") return show(request);
  if (name == "reload") return reloads_->answer();
  if (name == "terminate") return terminate(request);
  return nlohmann::json{
      {"error", admin::not_answered("jvpnd", name, "show, terminate and reload")}};
}

/// A page of sessions; the first one with everything else.
nlohmann::json ControlLoop::show(const nlohmann::json& request) {
  const Millis now = clock_.now();
  nlohmann::json all;
  if (!request.contains("from")) all = show_gateway(now);
  const admin::PeerName name = [this](PeerId id) { return peers_.name(id); };
  admin::add_sessions(all, request, *engine_, host_, name, now);
  if (all.contains("next")) admin_eager_until_ = now + kAdminEager;
  return all;
}

nlohmann::json ControlLoop::show_gateway(Millis now) {
  nlohmann::json all =
      admin::show_header(profile_.node, "gateway", now - started_, engine_->policy().version);
  all["denies_new_sessions"] = engine_->denies_new_sessions();
  all["reload"] = reloads_->show(now);
  all["terminated"] = admin::show_terminated(*engine_, now);
  all["drops"] = show_drops(view_);
  all["ports"] = show_ports(view_);
  all["workers"] = show_workers(view_);
  nlohmann::json control = admin::show_counters(engine_->counters());
  control["malformed"] = malformed_;
  control["unroutable"] = host_.unroutable();
  control["install_failures"] = publisher_->failures();
  control["reclaim_pending"] = reclaimer_->pending();
  control["neighbors"] = show_neighbors(neighbors_);
  control["slow_path"] = show_slow_path(slow_path_.counters());
  control["inject"] = show_injector(injector_.counters());
  control["turns"] = show_turns(turns_);
  all["control"] = std::move(control);
  all["events"] = admin::show_events(events_.status());
  return all;
}

nlohmann::json ControlLoop::terminate(const nlohmann::json& request) {
  const auto name = request.find("peer");
  if (name == request.end() || !name->is_string())
    return {{"error", "peer: expected the name of a configured peer"}};
  const auto id = peers_.named(name->get<std::string>());
  if (!id) return {{"error", "peer: no peer is named " + name->get<std::string>()}};
  JVPN_ASSERT(engine_ != nullptr, "the socket is opened after the engine is there");
  engine_->terminate(clock_.now(), *id, Detail::kOperator);
  return {{"terminated", peers_.name(*id)}};
}

}  // namespace jvpn::gateway
