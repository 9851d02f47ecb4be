#include "tools/client/client.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/limits.h"
#include "common/wire.h"
#include "control/show_sessions.h"

namespace jvpn {
namespace {

constexpr PeerId kGateway{0};
constexpr uint32_t kSlotBits = 8;  // far more than the indices of one session
constexpr Millis kNever{UINT64_MAX};
constexpr Millis kAttempt{kHandshakeTimeoutMs};

constexpr uint64_t kSignalTag = 1;
constexpr uint64_t kTunTag = 2;
constexpr uint64_t kAdminTag = 3;
constexpr uint64_t kSocketTags = 16;  // + 2 × underlay + (1 for IPv6)

uint64_t socket_tag(uint16_t underlay, Family family) {
  return kSocketTags + 2 * uint64_t{underlay} + (family == Family::kIpv6 ? 1 : 0);
}

EngineConfig engine_config(const ClientProfile& profile, SecretKey private_key,
                           std::optional<PresharedKey> preshared) {
  EngineConfig config;
  config.private_key = std::move(private_key);
  config.peers.push_back(
      {profile.gateway.name, profile.gateway.public_key, std::move(preshared), {}});
  config.suites = profile.crypto.suites;
  config.rekey_after = profile.crypto.rekey_after;
  config.rekey_after_packets = profile.crypto.rekey_after_packets;
  config.slot_bits = kSlotBits;
  config.policy = profile.policy;
  return config;
}

}  // namespace

Client::Client(ClientProfile profile, EventLoop loop)
    : profile_(std::move(profile)), started_(boottime_now()), loop_(std::move(loop)) {}

Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::create(LoadedClient loaded,
                                               std::shared_ptr<spdlog::logger> events) {
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  std::unique_ptr<Client> client(new Client(std::move(loaded.profile), std::move(loop).value()));
  const auto done =
      client->set_up(std::move(loaded.private_key), std::move(loaded.preshared), std::move(events));
  if (!done) return done.error();
  return client;
}

Result<void> Client::set_up(SecretKey private_key, std::optional<PresharedKey> preshared,
                            std::shared_ptr<spdlog::logger> events) {
  const auto& gateway = profile_.gateway;
  auto data_path = DataPath::create(gateway.allowed_ips, kSlotBits);
  if (!data_path) return data_path.error();
  data_path_ = std::move(data_path).value();
  auto tunnel =
      TunnelInterface::create(profile_.interface.name, gateway.allowed_ips, gateway.endpoints);
  if (!tunnel) return tunnel.error();
  tunnel_ = std::move(tunnel).value();
  for (const UnderlayProfile& underlay : profile_.underlays)
    underlays_.emplace_back(static_cast<uint16_t>(underlays_.size()), underlay, tunnel_->mark());

  host_ = std::make_unique<ClientHost>(
      ClientParts{*data_path_, *tunnel_, underlays_},
      ClientHost::Options{profile_.node, profile_.interface.mtu, gateway.endpoints},
      std::move(events));
  auto engine = SessionEngine::create(
      engine_config(profile_, std::move(private_key), std::move(preshared)), *host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  dialer_ = std::make_unique<Dialer>(
      underlays_.size(), gateway.endpoints, kAttempt,
      [this](size_t n, const Endpoint& remote) { return underlays_[n].path_to(remote); });
  outbound_ = std::make_unique<Outbound>(tunnel_->tun(), *data_path_, underlays_);
  inbound_ = std::make_unique<Inbound>(
      tunnel_->tun(), *data_path_,
      [this](const Path& from, std::span<uint8_t> message) { on_message(from, message); });
  if (profile_.admin.socket.empty()) return {};
  auto admin = AdminSocket::open(profile_.admin.socket,
                                 [this](const nlohmann::json& request) { return answer(request); });
  if (!admin) return admin.error();
  admin_ = std::move(admin).value();
  return loop_.add(admin_->descriptor(), kAdminTag);
}

Result<void> Client::run(int signal_fd) {
  if (auto added = loop_.add(signal_fd, kSignalTag); !added) return added;
  if (auto added = loop_.add(tunnel_->tun().fd(), kTunTag); !added) return added;
  spdlog::info("{}: started, gateway {}", profile_.node, profile_.gateway.name);
  while (!stopping_) {
    const auto ready = loop_.wait(next_deadline());
    const Millis now = boottime_now();
    for (const EventLoop::Ready& one : ready) serve(one, now);
    if (engine_->next_deadline() <= now) engine_->advance(now);
    follow_session(now);
    follow_outbound();
    if (host_->failure()) break;
  }
  engine_->shutdown(boottime_now());
  spdlog::info("{}: stopped", profile_.node);
  if (host_->failure()) return *host_->failure();
  return {};
}

Millis Client::next_deadline() const {
  const Millis deadline = std::min(engine_->next_deadline(), dialer_->due());
  const bool asked = admin_ && admin_->clients() != 0;
  return asked ? std::min(deadline, boottime_now() + AdminSocket::kClientTimeout) : deadline;
}

void Client::serve(const EventLoop::Ready& ready, Millis now) {
  switch (ready.tag) {
    case kSignalTag:
      stopping_ = true;
      return;
    case kTunTag:
      if (!outbound_->blocked()) outbound_->pump();
      return;
    case kAdminTag:
      return admin_->poll(now);
    default:
      return serve_underlay(ready, now);
  }
}

void Client::serve_underlay(const EventLoop::Ready& ready, Millis now) {
  const uint64_t number = ready.tag - kSocketTags;
  const Family family = number % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
  if (ready.writable) outbound_->resume();
  if (ready.readable) inbound_->pump(underlays_[number / 2], family, now);
}

void Client::on_message(const Path& from, std::span<uint8_t> message) {
  wire::Preamble preamble;
  auto& counters = data_path_->counters();
  if (message.size() < sizeof preamble) return counters.drop(Drop::kMessageLength);
  __builtin_memcpy(&preamble, message.data(), sizeof preamble);
  if ((preamble.reserved[0] | preamble.reserved[1] | preamble.reserved[2]) != 0)
    return counters.drop(Drop::kReserved);
  switch (preamble.type) {
    case wire::MessageType::kResponse:
    case wire::MessageType::kCookieReply:
      return engine_->on_handshake(boottime_now(), from, message, std::nullopt);
    case wire::MessageType::kControl:
      return on_control(from, message);
    default:
      return counters.drop(Drop::kMessageType);  // nobody calls a client
  }
}

void Client::on_control(const Path& from, std::span<uint8_t> message) {
  auto& counters = data_path_->counters();
  if (message.size() < wire::kTransportOverhead + sizeof(wire::ControlHeader) ||
      message.size() > wire::kTransportOverhead + wire::kMaxControlPlaintext)
    return counters.drop(Drop::kMessageLength);
  wire::TransportHeader header;
  __builtin_memcpy(&header, message.data(), sizeof header);
  const auto plaintext = engine_->open_control(message);
  if (!plaintext) return counters.drop(Drop::kBadTag);
  engine_->on_control(boottime_now(), from, ReceiverIndex{header.receiver}, header.counter,
                      *plaintext);
}

// The engine dials one path until it is told another; whether that goes on is seen here.
void Client::follow_session(Millis now) {
  const bool attached = data_path_->path().has_value();
  if (attached != attached_) {
    attached_ = attached;
    if (attached) {
      spdlog::info("attached over {}", to_string(*data_path_->path()));
      dialer_->attached();
      reported_.clear();
    } else {
      spdlog::warn("no session; dialling again");
      dialer_->lost(now);
    }
  }
  if (!attached && dialer_->due() <= now) dial(now);
}

void Client::dial(Millis now) {
  const auto path = dialer_->next(now);
  report(dialer_->findings());
  if (!path) return;
  watch_sockets(underlays_[path->interface]);
  if (dialled_ == path) return;
  dialled_ = path;
  spdlog::info("dialling {} by underlay {}", to_string(*path), underlays_[path->interface].name());
  engine_->dial(now, kGateway, *path);
}

void Client::watch_sockets(Underlay& underlay) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const UdpSocket* const socket = underlay.socket(family);
    if (socket == nullptr || !watched_.insert(socket->fd()).second) continue;
    if (const auto added = loop_.add(socket->fd(), socket_tag(underlay.number(), family)); !added)
      spdlog::error("underlay {}: {}", underlay.name(), added.error().message);
  }
}

// Says what stands in the way once, not at every attempt.
void Client::report(const std::vector<std::string>& findings) {
  for (const std::string& finding : findings) {
    if (std::find(reported_.begin(), reported_.end(), finding) != reported_.end()) continue;
    spdlog::warn("{}", finding);
    reported_.push_back(finding);
  }
}

// A full socket stops the reading of the TUN until it can take more.
void Client::follow_outbound() {
  if (outbound_->take_too_big()) host_->refresh_mtu();
  if (full_ && data_path_->path() != full_) outbound_->resume();  // the session moved or ended
  const auto& blocked = outbound_->blocked();
  if (blocked == full_) return;
  const auto watch = [this](const Path& path, bool writable) {
    const Family family = path.remote.address.family;
    if (const UdpSocket* const socket = underlays_[path.interface].socket(family))
      loop_.change(socket->fd(), socket_tag(path.interface, family), true, writable);
  };
  if (full_) watch(*full_, false);
  if (blocked) watch(*blocked, true);
  loop_.change(tunnel_->tun().fd(), kTunTag, !blocked, false);
  full_ = blocked;
}

nlohmann::json Client::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  if (command != request.end() && *command == "show") return show();
  return {{"error", "unknown command; jvpn-client answers: show"}};
}

nlohmann::json Client::show() {
  const Millis now = boottime_now();
  const auto name = [this](PeerId) { return profile_.gateway.name; };
  nlohmann::json out =
      show_header(profile_.node, "client", now - started_, engine_->policy().version);
  out["sessions"] = show_sessions(*engine_, *host_, name, now);
  out["terminated"] = show_terminated(*engine_, name, now);
  out["control"] = show_counters(engine_->counters());

  const DataPathCounters& counters = data_path_->counters();
  nlohmann::json& drops = out["drops"] = nlohmann::json::object();
  for (size_t i = 0; i < kDropCount; ++i) drops[kDropInfo[i].name] = counters.drops[i];
  nlohmann::json addresses = nlohmann::json::array();
  for (const Prefix& address : tunnel_->addresses()) addresses.push_back(to_string(address));
  out["interface"] = {{"name", tunnel_->tun().name()},
                      {"mtu", tunnel_->mtu()},
                      {"addresses", std::move(addresses)},
                      {"refused", tunnel_->tun().refused()}};
  return out;
}

}  // namespace jvpn
