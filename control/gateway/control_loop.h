// The control core of a gateway: one thread that serves the workers' rings, the session engine's
// timers, the neighbour tables and the operator's socket.
//
// Each turn: verified initiations, answers to our own, session control, slow path, other
// initiations (each with a budget, of packets and of time, so that none starves another), then its
// jobs: signals → uplinks → timers → neighbours → what is watched, cookies → reclaim → a slice of a
// reload → the operator. When the turn's time is up, the next turn goes on there. An idle loop
// sleeps in epoll for at most a millisecond.
//
// After a stall of its own the loop is late, not the peers: control messages are handled as of
// their arrival, and no timer runs past the arrival of one that still waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/dataplane_view.h"
#include "common/profile.h"
#include "common/result.h"
#include "control/admin/admin_socket.h"
#include "control/admin/event_admin.h"
#include "control/engine/engine.h"
#include "control/events/drop_watch.h"
#include "control/events/event_log.h"
#include "control/gateway/arrivals.h"
#include "control/gateway/carried_peers.h"
#include "control/gateway/carried_routes.h"
#include "control/gateway/exhaustion_watch.h"
#include "control/gateway/gateway_clock.h"
#include "control/gateway/gateway_host.h"
#include "control/gateway/health_flags.h"
#include "control/gateway/health_watch.h"
#include "control/gateway/mac_watch.h"
#include "control/gateway/merged_watch.h"
#include "control/gateway/ownership_watch.h"
#include "control/gateway/packet_tracing.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/reloads.h"
#include "control/gateway/silent_ports.h"
#include "control/gateway/stall_watch.h"
#include "control/gateway/turn_limit.h"
#include "control/gateway/turn_watch.h"
#include "control/gateway/uplinks.h"
#include "control/neighbor/handed_over.h"
#include "control/neighbor/inside_routes.h"
#include "control/neighbor/neighbors.h"
#include "control/neighbor/peer_proxy.h"
#include "control/neighbor/slow_path.h"
#include "control/publish/injector.h"
#include "control/publish/publisher.h"
#include "control/publish/reclaimer.h"

namespace jvpn::gateway {

class ControlLoop {
 public:
  /// Installs the profile's routes and opens the admin socket; `events` and `clock` outlive the
  /// loop. The workers of `view` may run already and must be stopped before the loop is destroyed.
  static Result<std::unique_ptr<ControlLoop>> create(const GatewayProfile& profile,
                                                     session::EngineConfig config,
                                                     DataplaneView view, events::EventLog& events,
                                                     const GatewayClock& clock);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  /// Announces our addresses, dials the peers that have endpoints, and serves until `stop` is true.
  /// Then ends every session that no store keeps, tells the peers, and waits until the workers have
  /// sent it, at most 200 ms for each slice of them. `reload` asks for what on_reload() was told,
  /// and is taken back.
  void run(const std::atomic<bool>& stop, std::atomic<bool>& reload);
  /// Where a reload finds the profile and its keys; an Error names what is wrong with them. Without
  /// one there is nothing to reload. It runs on a thread of its own.
  /// `path`: the profile's, for whoever asks where it is.
  void on_reload(ProfileReader::Load load, std::string path = {}) {
    reloads_->set_load(std::move(load));
    profile_path_ = std::move(path);
  }
  /// One round of everything, for whoever keeps the time himself: what the workers have handed
  /// over, what is due by `now`, the operator's socket. False when no packet was there.
  bool turn(Millis now);
  /// The sessions, for whoever turns the loop; on its thread.
  engine::SessionEngine& engine() { return *engine_; }
  /// How long its turns take. Any thread.
  TurnWatch& turns() { return turns_; }
  /// `stalls` is what `show` tells of, and outlives run(); `stuck` is called when a worker stands
  /// still and too much memory waits for it, and doesn't return.
  void watched_by(const StallWatch& stalls, std::function<void()> stuck) {
    stalls_ = &stalls;
    reclaimer_->on_stuck(std::move(stuck));
  }

 private:
  ControlLoop(const GatewayProfile& profile, const session::EngineConfig& config,
              DataplaneView view, events::EventLog& events, const GatewayClock& clock,
              std::unique_ptr<publish::Publisher> publisher,
              std::unique_ptr<publish::Reclaimer> reclaimer);
  Result<void> start(session::EngineConfig config);
  Result<void> install_peer_routes();

  bool do_jobs(Millis now);
  void prove_ownership(Millis now);
  void take_signals(Millis now);
  /// False: the turn's time is up.
  bool take_signals_of(Millis now, rte_ring* ring);
  void poll_uplinks(Millis now);
  void run_timers(Millis now);
  void ask_neighbors(Millis now);
  void watch(Millis now);
  void reclaim(Millis now);
  void go_on_reloading(Millis now);
  void serve_admin(Millis now);

  size_t poll_rings(Millis now);
  size_t poll_class(Millis now, PuntClass from, unsigned budget);
  size_t poll_control(Millis now, unsigned budget);
  void take(Millis now, PuntClass from, rte_mbuf* packet);
  void take_message(Millis now, PuntClass from, rte_mbuf* packet);
  void publish_cookies(Millis now);
  void rest();
  void flush();
  void finish();

  admin::AdminSocket::Answer answer(const nlohmann::json& request);
  nlohmann::json show(const nlohmann::json& request);
  nlohmann::json show_gateway(Millis now);
  HealthFlags health(Millis now);
  admin::AdminSocket::Answer enrol(const nlohmann::json& request);
  nlohmann::json terminate(const nlohmann::json& request);
  nlohmann::json drain(const nlohmann::json& request);

  const GatewayClock& clock_;
  DataplaneView view_;
  const GatewayProfile profile_;  ///< as the program started with it; peers_ has its peers
  const PublicKey own_key_;
  Millis started_;
  std::optional<OwnershipWatch> ownership_;
  std::unique_ptr<publish::Reclaimer> reclaimer_;
  PeerBook peers_;
  std::unique_ptr<publish::Publisher> publisher_;
  events::EventLog& events_;
  admin::EventSource event_source_{events_};
  publish::Injector injector_;
  neighbor::Neighbors neighbors_;
  neighbor::InsideRoutes inside_;
  CarriedPeers carried_{peers_, *publisher_, view_.sessions};
  neighbor::PeerProxy lan_{view_.ports, injector_, view_.routes, carried_, view_.sessions.peers()};
  neighbor::HandedOver handed_over_{view_.ports, injector_, lan_, view_.sessions};
  neighbor::SlowPath slow_path_;
  TurnLimit limit_{clock_};
  PacketTracing tracing_{view_};
  CarriedRoutes routes_{clock_, limit_, carried_, view_.sessions.peers()};
  GatewayHost host_;
  Uplinks uplinks_;
  MacWatch macs_;
  MergedWatch merged_;
  Arrivals arrivals_;
  events::DropWatch drops_;
  BusySeconds busy_seconds_;
  ExhaustionWatch exhaustion_;
  SilentPorts silent_;
  HealthWatch health_watch_;
  TurnWatch turns_;
  std::unique_ptr<engine::SessionEngine> engine_;
  std::unique_ptr<Reloads> reloads_;
  std::string profile_path_;
  std::unique_ptr<admin::AdminSocket> admin_;
  size_t next_class_ = 0;                         ///< of kBudgets, the first of the next turn
  std::array<size_t, kPuntClasses> next_ring_{};  ///< worker that each class begins with
  size_t next_job_ = 0;                           ///< beside the rings, the first of the next turn
  size_t next_signals_ = 0;                       ///< worker
  uint64_t cookie_generation_ = 0;
  session::CookieUse cookies_told_;  ///< to the engine
  uint64_t malformed_ = 0;
  unsigned idle_turns_ = 0;
  const StallWatch* stalls_ = nullptr;
  bool busy_ = false;         ///< packets came in this turn
  bool admin_asked_ = false;  ///< somebody waits at the socket
  Millis admin_polled_;
  Millis admin_eager_until_;
  int epoll_ = -1;
};

}  // namespace jvpn::gateway
