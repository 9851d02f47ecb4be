// jvpn-client: one session with one gateway, over several underlays. One thread, which sleeps in
// EventLoop::wait() alone.
//
// A packet's way: outbound.h, inbound.h. A decision's way: engine (control/engine.h) → client_host.
// What the engine may choose from: link_watch → candidates → engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "control/admin/admin_socket.h"
#include "control/admin/event_admin.h"
#include "control/admin/profile_file.h"
#include "control/engine/engine.h"
#include "tools/client/control/client_host.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/dataplane/inbound.h"
#include "tools/client/dataplane/outbound.h"
#include "tools/client/underlays/candidates.h"
#include "tools/client/underlays/dialer.h"
#include "tools/client/underlays/link_watch.h"

namespace jvpn::client::control {

class Client {
 public:
  /// Creates the TUN and opens the admin socket. `events` outlives the client.
  static Result<std::unique_ptr<Client>> create(admin::LoadedClient loaded,
                                                events::EventLog& events);
  ~Client();

  /// Keeps a session with the gateway until `signal_fd`, a signalfd(2), tells of another signal
  /// than SIGHUP, which reloads the policy; then ends it, telling the gateway. An Error: the host's
  /// network could not be configured.
  Result<void> run(int signal_fd);

 private:
  Client(ClientProfile profile, EventLoop loop, events::EventLog& events);
  Result<void> set_up(SecretKey private_key, std::optional<PresharedKey> preshared);
  Millis next_deadline() const;
  void serve(const EventLoop::Ready& ready, Millis now);
  void serve_underlay(const EventLoop::Ready& ready, Millis now);
  void on_message(const Path& from, std::span<uint8_t> message);
  void on_control(const Path& from, std::span<uint8_t> message);
  void follow_links(Millis now);
  void look_at_paths(Millis now);
  void leave_lost_path(Millis now);
  void follow_session(Millis now);
  void follow_path();
  void follow_outbound(Millis now);
  void leave_old_path(Millis now);
  bool session_lives() const;
  void dial(Millis now);
  void watch_sockets(underlays::Underlay& underlay);
  void report(const std::vector<std::string>& findings);
  nlohmann::json answer(const nlohmann::json& request);
  nlohmann::json show();
  nlohmann::json show_paths() const;
  nlohmann::json jump(const nlohmann::json& request);
  nlohmann::json reload();
  void take_signal();
  std::string last_end() const;

  ClientProfile profile_;
  std::string profile_path_;
  int signals_ = -1;
  Millis started_;
  EventLoop loop_;
  events::EventLog& events_;
  admin::EventSource event_source_{events_};
  std::unique_ptr<dataplane::DataPath> data_path_;
  std::unique_ptr<tunnel::TunnelInterface> tunnel_;
  std::vector<underlays::Underlay> underlays_;
  std::unique_ptr<underlays::LinkWatch> links_;
  std::unique_ptr<ClientHost> host_;
  std::unique_ptr<engine::SessionEngine> engine_;
  std::unique_ptr<underlays::Dialer> dialer_;
  std::unique_ptr<dataplane::Outbound> outbound_;
  std::unique_ptr<dataplane::Inbound> inbound_;
  std::unique_ptr<admin::AdminSocket> admin_;
  bool stopping_ = false;
  std::vector<underlays::Candidate> candidates_;
  Millis look_again_;  ///< some changes come unannounced behind one that was
  bool has_session_ = false;
  bool given_up_ = false;        ///< the gateway doesn't want us
  std::optional<Path> active_;   ///< as the log was told
  bool told_session_ = false;    ///< so, too
  std::optional<Path> full_;     ///< its socket is full: the TUN isn't read until it takes more
  Millis abandon_at_;            ///< for packets that wait on a path that the session has left
  std::optional<Path> dialled_;  ///< what the engine dials, again and again by itself
  std::vector<std::string> reported_;
};

}  // namespace jvpn::client::control
