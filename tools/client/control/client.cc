#include "tools/client/control/client.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/limits.h"
#include "control/session/system_sources.h"
#include "tools/client/control/gateway_peer.h"
#include "tools/client/control/reach.h"

namespace jvpn::client::control {
namespace {

constexpr Millis kStoodStill{20};  // later than planned: not what a scheduler usually takes

constexpr uint32_t kSlotBits = 8;  // far more than the indices of one session
constexpr Millis kAttempt{kHandshakeTimeoutMs};
constexpr Millis kAttemptBesideTcp{2'000};  // where UDP is blocked, every path by it is
constexpr const char* kTcpSuffix = "/tcp";  // of an underlay's name; a profile's have no slash

constexpr uint64_t kSignalTag = 1;
constexpr uint64_t kTunTag = 2;
constexpr uint64_t kAdminTag = 3;
constexpr uint64_t kLinksTag = 4;
constexpr uint64_t kGuardsTag = 5;
constexpr uint64_t kAttendantTag = 6;
static_assert(kAttendantTag < SocketWatch::kFirstTag);

session::EnginePeer engine_peer(const ClientProfile& profile,
                                std::optional<PresharedKey> preshared) {
  const PeerProfile& gateway = profile.gateway;
  return {gateway.name,
          gateway.public_key,
          std::move(preshared),
          {},
          path_gateways(gateway, profile.fallback)};
}

session::EngineConfig engine_config(const ClientProfile& profile, SecretKey private_key,
                                    std::optional<PresharedKey> preshared) {
  session::EngineConfig config;
  config.private_key = std::move(private_key);
  config.peers.push_back(engine_peer(profile, std::move(preshared)));
  config.suites = profile.crypto.suites;
  config.rekey_after = profile.crypto.rekey_after;
  config.rekey_after_packets = profile.crypto.rekey_after_packets;
  config.slot_bits = kSlotBits;
  config.policy = profile.policy;
  return config;
}

bool ipv6_inside(const ClientProfile& profile) {
  return std::ranges::any_of(profile.gateway.allowed_ips,
                             [](const Prefix& prefix) { return prefix.address.is_v6(); });
}

}  // namespace

Client::Client(ClientProfile profile, EventLoop loop, events::EventLog& events)
    : profile_(std::move(profile)),
      started_(session::boottime_now()),
      loop_(std::move(loop)),
      events_(events) {}

Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::create(admin::LoadedClient loaded, events::EventLog& events,
                                               std::unique_ptr<attendant::Attendant> attendant) {
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  std::unique_ptr<Client> client(new Client(loaded.profile, std::move(loop).value(), events));
  if (auto done = client->create_data_path(); !done) return done.error();
  admin::RunningClient running = admin::running_client(loaded);
  std::optional<PresharedKey> preshared;
  if (attendant && loaded.preshared) preshared.emplace(*loaded.preshared);
  if (auto done = client->create_engine(std::move(loaded.private_key), std::move(loaded.preshared));
      !done)
    return done.error();
  if (auto done = client->create_control(); !done) return done.error();
  if (attendant) client->create_attendant_keeper(std::move(attendant), std::move(preshared));
  if (auto done = client->open_admin(std::move(running)); !done) return done.error();
  return client;
}

Result<void> Client::create_data_path() {
  const auto& gateway = profile_.gateway;
  auto data_path = dataplane::DataPath::create(gateway.allowed_ips, kSlotBits);
  if (!data_path) return data_path.error();
  data_path_ = std::move(data_path).value();
  data_path_->hold().set_limits(dataplane::hold_limits(profile_.policy));
  auto tunnel = tunnel::TunnelInterface::create(profile_.interface.name, gateway.allowed_ips,
                                                outer_endpoints(gateway, profile_.fallback),
                                                reach_of(profile_));
  if (!tunnel) return tunnel.error();
  tunnel_ = std::move(tunnel).value();
  guards_ = std::make_unique<GuardKeeper>(*tunnel_);
  guards_->look(started_);
  if (auto made = create_underlays(); !made) return made;
  outbound_ = std::make_unique<dataplane::Outbound>(tunnel_->tun(), *data_path_, underlays_);
  return {};
}

/// Those by TCP come last: their paths are the last to be preferred.
Result<void> Client::create_underlays() {
  for (const UnderlayProfile& underlay : profile_.underlays)
    underlays_.emplace_back(static_cast<uint16_t>(underlays_.size()), underlay, tunnel_->mark());
  if (profile_.fallback.endpoints.empty()) return {};
  const auto trust = underlays::TlsTrust::create(profile_.fallback);
  if (!trust) return trust.error();
  for (UnderlayProfile underlay : profile_.underlays) {
    underlay.name += kTcpSuffix;
    underlays_.emplace_back(static_cast<uint16_t>(underlays_.size()), std::move(underlay),
                            tunnel_->mark(), *trust);
  }
  return {};
}

Result<void> Client::create_engine(SecretKey private_key, std::optional<PresharedKey> preshared) {
  host_ = std::make_unique<ClientHost>(
      ClientParts{*data_path_, *tunnel_, underlays_},
      ClientHost::Options{profile_.interface.mtu, ipv6_inside(profile_),
                          all_endpoints(profile_.gateway)},
      events_);
  auto key_log = admin::KeyLog::open(profile_.crypto.key_log_file.path,
                                     [](const std::string& line) { spdlog::warn("{}", line); });
  if (!key_log) return key_log.error();
  host_->log_keys(std::move(*key_log));
  auto engine = engine::SessionEngine::create(
      engine_config(profile_, std::move(private_key), std::move(preshared)), *host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  messages_ = std::make_unique<MessageSwitch>(*engine_, data_path_->counters());
  inbound_ = std::make_unique<dataplane::Inbound>(
      tunnel_->tun(), *data_path_, [this](const Path& from, std::span<uint8_t> message) {
        messages_->on_message(from, message);
      });
  return {};
}

Result<void> Client::create_control() {
  std::vector<std::string> devices;
  for (const UnderlayProfile& underlay : profile_.underlays) devices.push_back(underlay.device);
  auto links = underlays::LinkWatch::open(std::move(devices));
  if (!links) return links.error();
  paths_ = std::make_unique<PathFinder>(
      std::move(links).value(), gateway_endpoints(profile_.gateway), profile_.fallback.endpoints,
      PathFinderParts{*engine_, *host_, *data_path_, underlays_, sockets_});
  underlays::Dialer dialer(
      profile_.underlays.size(), all_endpoints(profile_.gateway),
      profile_.fallback.endpoints.empty() ? kAttempt : kAttemptBesideTcp,
      [this](size_t n, const Endpoint& remote) { return underlays_[n].path_to(remote); });
  keeper_ = std::make_unique<SessionKeeper>(
      std::move(dialer), SessionKeeperParts{*engine_, *data_path_, underlays_, sockets_, *paths_});
  fallback_ = std::make_unique<FallbackKeeper>(
      profile_.fallback.endpoints,
      FallbackKeeperParts{*engine_, *data_path_, underlays_, sockets_, *paths_, *keeper_});
  backpressure_ = std::make_unique<Backpressure>(loop_, TunWatch{tunnel_->tun().fd(), kTunTag},
                                                 sockets_, *outbound_, *data_path_);
  return {};
}

void Client::create_attendant_keeper(std::unique_ptr<attendant::Attendant> attendant,
                                     std::optional<PresharedKey> preshared) {
  attendant_ = std::make_unique<AttendantKeeper>(
      std::move(attendant), profile_.gateway, engine_peer(profile_, std::move(preshared)),
      !profile_.dns.servers.empty(),
      AttendantKeeperParts{*engine_, *data_path_, *tunnel_, *host_, *paths_, *keeper_,
                           profile_.fallback});
}

Result<void> Client::open_admin(admin::RunningClient running) {
  admin_ = std::make_unique<ClientAdmin>(
      ClientIdentity{std::move(running), started_},
      ClientAdminParts{*engine_, *host_, *data_path_, *tunnel_, underlays_, *paths_, events_,
                       *keeper_, *fallback_, attendant_.get()});
  if (profile_.admin.socket.empty()) return {};
  auto socket = admin::AdminSocket::open(
      profile_.admin.socket,
      [this](const nlohmann::json& request) { return admin_->answer(request); }, &event_source_);
  if (!socket) return socket.error();
  admin_socket_ = std::move(socket).value();
  return loop_.add(admin_socket_->descriptor(), kAdminTag);
}

Result<void> Client::watch_descriptors() {
  if (auto added = loop_.add(signals_, kSignalTag); !added) return added;
  if (auto added = loop_.add(tunnel_->tun().fd(), kTunTag); !added) return added;
  if (auto added = loop_.add(guards_->descriptor(), kGuardsTag); !added) return added;
  if (attendant_)
    if (auto added = loop_.add(attendant_->descriptor(), kAttendantTag); !added) return added;
  return loop_.add(paths_->descriptor(), kLinksTag);
}

std::optional<uint32_t> Client::kill_switch_mark() const {
  return profile_.kill_switch ? tunnel_->mark() : std::nullopt;
}

Result<void> Client::run(int signal_fd, AtStop at_stop) {
  signals_ = signal_fd;
  if (auto watched = watch_descriptors(); !watched) return watched;
  spdlog::info("{}: started, gateway {}", profile_.node, profile_.gateway.name);
  look_at_paths(started_);
  Millis turned = started_;
  while (!stopping_ && !host_->failure()) {
    const Millis planned = std::max(next_deadline(), turned);
    const auto ready = loop_.wait(planned);
    const Millis now = session::boottime_now();
    turned = now;
    if (now > saturating_add(planned, kStoodStill)) engine_->wake(now, kGateway, planned);
    for (const EventLoop::Ready& one : ready) serve(one, now);
    // An admin client may have taken too long.
    if (ready.empty() && admin_socket_) admin_socket_->poll(now);
    run_what_is_due(now);
  }
  engine_->shutdown(session::boottime_now());
  // While the device is there.
  const bool opens = at_stop == AtStop::kRelease && !host_->failure();
  const auto ended = attendant_ ? attendant_->end(opens) : Result<void>{};
  spdlog::info("{}: stopped", profile_.node);
  if (host_->failure()) return *host_->failure();
  if (!ended) return ended.error();
  return at_stop == AtStop::kRelease ? tunnel_->release() : Result<void>{};
}

void Client::run_what_is_due(Millis now) {
  if (paths_->due() <= now) look_at_paths(now);
  guards_->advance(now);
  engine_->wake(now, kGateway);
  if (engine_->next_deadline() <= now) engine_->advance(now);
  keeper_->follow(now);
  if (attendant_) attendant_->follow(now);
  if (outbound_->take_too_big()) engine_->mtu_changed(now, kGateway);
  backpressure_->follow(now);
  fallback_->follow(now);  // the last: connections wake for what they wait for now
  drops_.poll(
      now, engine_->policy().version,
      [this](Drop drop) { return data_path_->counters().dropped(drop); },
      [this](const session::Event& event) { events_.add(event); });
}

Millis Client::next_deadline() const {
  const Millis deadline = std::min({engine_->next_deadline(), keeper_->due(), paths_->due(),
                                    backpressure_->due(), guards_->due(), fallback_->due()});
  const Millis earliest = attendant_ ? std::min(deadline, attendant_->due()) : deadline;
  const bool asked = admin_socket_ && admin_socket_->clients() != 0;
  return asked ? std::min(earliest, session::boottime_now() + admin::AdminSocket::kClientTimeout)
               : earliest;
}

void Client::serve(const EventLoop::Ready& ready, Millis now) {
  switch (ready.tag) {
    case kSignalTag:
      return take_signal();
    case kTunTag:
      if (!outbound_->blocked()) outbound_->pump(now);
      return;
    case kAdminTag:
      return admin_socket_->poll(now);
    case kLinksTag:
      if (paths_->take(now)) look_at_paths(now);
      return;
    case kAttendantTag:
      if (attendant_->take(now)) look_at_paths(now);
      return;
    case kGuardsTag:
      return guards_->take(now);
    default:
      return serve_socket(ready, now);
  }
}

void Client::serve_socket(const EventLoop::Ready& ready, Millis now) {
  const SocketWatch::Source source = SocketWatch::source(ready.tag);
  underlays::Underlay& underlay = underlays_[source.underlay];
  if (underlay.tcp() != nullptr) underlay.tcp()->advance(now);
  if (ready.writable) outbound_->resume();
  if (ready.readable) inbound_->pump(underlay, source.family, now);
  if (underlay.tcp() != nullptr) underlay.tcp()->advance(now);  // reading may have shown its end
}

void Client::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGHUP)
    admin_->reload();
  else
    stopping_ = true;
}

void Client::look_at_paths(Millis now) {
  paths_->look(now);
  keeper_->paths_changed(now);
}

}  // namespace jvpn::client::control
