// jvpn-client: one session with one gateway, over several underlays. One thread, which sleeps in
// EventLoop::wait() alone. This file wires the parts together and hands each wake-up to its part.
//
// A packet's way: dataplane/outbound.h, dataplane/inbound.h.
// A decision's way: engine (control/engine/engine.h) → client_host.
// What the engine may choose from: path_finder → engine. Whether to dial: session_keeper.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/profile.h"
#include "common/result.h"
#include "control/admin/admin_socket.h"
#include "control/admin/event_admin.h"
#include "control/admin/profile_file.h"
#include "control/engine/engine.h"
#include "control/events/drop_watch.h"
#include "tools/client/control/attendant_keeper.h"
#include "tools/client/control/backpressure.h"
#include "tools/client/control/client_admin.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/control/fallback_keeper.h"
#include "tools/client/control/guard_keeper.h"
#include "tools/client/control/message_switch.h"
#include "tools/client/control/path_finder.h"
#include "tools/client/control/session_keeper.h"
#include "tools/client/control/socket_watch.h"
#include "tools/client/dataplane/inbound.h"
#include "tools/client/dataplane/outbound.h"

namespace jvpn::client::control {

/// What becomes of the guards (tunnel/routing.h) at a stop by signal.
enum class AtStop : uint8_t { kRelease, kStayClosed };

class Client {
 public:
  /// Sets the guards, creates the TUN and opens the admin socket. `events` outlives the client.
  /// `attendant`: of a profile that needs one.
  static Result<std::unique_ptr<Client>> create(admin::LoadedClient loaded,
                                                events::EventLog& events,
                                                std::unique_ptr<attendant::Attendant> attendant);
  ~Client();

  /// What the kill switch's filter lets through, if the profile has one.
  std::optional<uint32_t> kill_switch_mark() const;
  /// Keeps a session with the gateway until `signal_fd`, a signalfd(2), tells of another signal
  /// than SIGHUP, which reloads the policy; then ends it, telling the gateway. An Error: the host's
  /// network could not be configured; the guards then stay in any case.
  Result<void> run(int signal_fd, AtStop at_stop);

 private:
  Client(ClientProfile profile, EventLoop loop, events::EventLog& events);
  Result<void> create_data_path();
  Result<void> create_underlays();
  Result<void> create_engine(SecretKey private_key, std::optional<PresharedKey> preshared);
  void create_attendant_keeper(std::unique_ptr<attendant::Attendant> attendant,
                               std::optional<PresharedKey> preshared);
  Result<void> create_control();
  Result<void> open_admin(admin::RunningClient running);
  Result<void> watch_descriptors();
  Millis next_deadline() const;
  void serve(const EventLoop::Ready& ready, Millis now);
  void serve_socket(const EventLoop::Ready& ready, Millis now);
  void take_signal();
  void look_at_paths(Millis now);
  void run_what_is_due(Millis now);

  ClientProfile profile_;
  int signals_ = -1;
  Millis started_;
  EventLoop loop_;
  events::EventLog& events_;
  admin::EventSource event_source_{events_};
  std::unique_ptr<dataplane::DataPath> data_path_;
  std::unique_ptr<tunnel::TunnelInterface> tunnel_;
  std::unique_ptr<GuardKeeper> guards_;
  std::vector<underlays::Underlay> underlays_;
  SocketWatch sockets_{loop_, underlays_};
  std::unique_ptr<ClientHost> host_;
  std::unique_ptr<engine::SessionEngine> engine_;
  std::unique_ptr<PathFinder> paths_;
  std::unique_ptr<SessionKeeper> keeper_;
  std::unique_ptr<FallbackKeeper> fallback_;
  std::unique_ptr<AttendantKeeper> attendant_;
  std::unique_ptr<MessageSwitch> messages_;
  std::unique_ptr<dataplane::Outbound> outbound_;
  std::unique_ptr<dataplane::Inbound> inbound_;
  std::unique_ptr<Backpressure> backpressure_;
  std::unique_ptr<ClientAdmin> admin_;
  std::unique_ptr<admin::AdminSocket> admin_socket_;
  events::DropWatch drops_;
  bool stopping_ = false;
};

}  // namespace jvpn::client::control
