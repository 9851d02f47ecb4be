#include "tools/client/control/client.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/wire.h"
#include "control/admin/show_sessions.h"

namespace jvpn::client::control {
namespace {

constexpr PeerId kGateway{0};
constexpr uint32_t kSlotBits = 8;  // far more than the indices of one session
constexpr Millis kAttempt{kHandshakeTimeoutMs};
constexpr Millis kLinksSettle{100};
// Packets that were sealed before a jump may still leave by the old path, whose socket was full.
constexpr Millis kLeaveOldPath{20};

constexpr uint64_t kSignalTag = 1;
constexpr uint64_t kTunTag = 2;
constexpr uint64_t kAdminTag = 3;
constexpr uint64_t kLinksTag = 4;
constexpr uint64_t kSocketTags = 16;  // + 2 × underlay + (1 for IPv6)

uint64_t socket_tag(uint16_t underlay, Family family) {
  return kSocketTags + 2 * uint64_t{underlay} + (family == Family::kIpv6 ? 1 : 0);
}

session::EngineConfig engine_config(const ClientProfile& profile, SecretKey private_key,
                                    std::optional<PresharedKey> preshared) {
  session::EngineConfig config;
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

Client::Client(ClientProfile profile, EventLoop loop, events::EventLog& events)
    : profile_(std::move(profile)),
      started_(boottime_now()),
      loop_(std::move(loop)),
      events_(events),
      look_again_(kNever),
      abandon_at_(kNever) {}

Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::create(admin::LoadedClient loaded,
                                               events::EventLog& events) {
  auto loop = EventLoop::create();
  if (!loop) return loop.error();
  std::unique_ptr<Client> client(
      new Client(std::move(loaded.profile), std::move(loop).value(), events));
  client->profile_path_ = loaded.path;
  const auto done = client->set_up(std::move(loaded.private_key), std::move(loaded.preshared));
  if (!done) return done.error();
  return client;
}

Result<void> Client::set_up(SecretKey private_key, std::optional<PresharedKey> preshared) {
  const auto& gateway = profile_.gateway;
  auto data_path = dataplane::DataPath::create(gateway.allowed_ips, kSlotBits);
  if (!data_path) return data_path.error();
  data_path_ = std::move(data_path).value();
  auto tunnel = tunnel::TunnelInterface::create(profile_.interface.name, gateway.allowed_ips,
                                                gateway.endpoints);
  if (!tunnel) return tunnel.error();
  tunnel_ = std::move(tunnel).value();
  std::vector<std::string> devices;
  for (const UnderlayProfile& underlay : profile_.underlays) {
    underlays_.emplace_back(static_cast<uint16_t>(underlays_.size()), underlay, tunnel_->mark());
    devices.push_back(underlay.device);
  }
  auto links = underlays::LinkWatch::open(std::move(devices));
  if (!links) return links.error();
  links_ = std::move(links).value();
  host_ = std::make_unique<ClientHost>(
      ClientParts{*data_path_, *tunnel_, underlays_},
      ClientHost::Options{profile_.interface.mtu, gateway.endpoints}, events_);
  auto engine = engine::SessionEngine::create(
      engine_config(profile_, std::move(private_key), std::move(preshared)), *host_, started_);
  if (!engine) return engine.error();
  engine_ = std::move(engine).value();
  dialer_ = std::make_unique<underlays::Dialer>(
      underlays_.size(), gateway.endpoints, kAttempt,
      [this](size_t n, const Endpoint& remote) { return underlays_[n].path_to(remote); });
  outbound_ = std::make_unique<dataplane::Outbound>(tunnel_->tun(), *data_path_, underlays_);
  inbound_ = std::make_unique<dataplane::Inbound>(
      tunnel_->tun(), *data_path_,
      [this](const Path& from, std::span<uint8_t> message) { on_message(from, message); });
  if (profile_.admin.socket.empty()) return {};
  auto admin = admin::AdminSocket::open(
      profile_.admin.socket, [this](const nlohmann::json& request) { return answer(request); },
      &event_source_);
  if (!admin) return admin.error();
  admin_ = std::move(admin).value();
  return loop_.add(admin_->descriptor(), kAdminTag);
}

Result<void> Client::run(int signal_fd) {
  signals_ = signal_fd;
  if (auto added = loop_.add(signal_fd, kSignalTag); !added) return added;
  if (auto added = loop_.add(tunnel_->tun().fd(), kTunTag); !added) return added;
  if (auto added = loop_.add(links_->fd(), kLinksTag); !added) return added;
  spdlog::info("{}: started, gateway {}", profile_.node, profile_.gateway.name);
  look_at_paths(started_);
  while (!stopping_) {
    const auto ready = loop_.wait(next_deadline());
    const Millis now = boottime_now();
    for (const EventLoop::Ready& one : ready) serve(one, now);
    if (ready.empty() && admin_) admin_->poll(now);  // somebody may have taken too long
    if (look_again_ <= now) {
      look_again_ = kNever;
      look_at_paths(now);
    }
    engine_->wake(now, kGateway);
    if (engine_->next_deadline() <= now) engine_->advance(now);
    follow_session(now);
    follow_outbound(now);
    if (host_->failure()) break;
  }
  engine_->shutdown(boottime_now());
  spdlog::info("{}: stopped", profile_.node);
  if (host_->failure()) return *host_->failure();
  return {};
}

Millis Client::next_deadline() const {
  const Millis deadline = std::min(
      {engine_->next_deadline(), given_up_ ? kNever : dialer_->due(), look_again_, abandon_at_});
  const bool asked = admin_ && admin_->clients() != 0;
  return asked ? std::min(deadline, boottime_now() + admin::AdminSocket::kClientTimeout) : deadline;
}

void Client::serve(const EventLoop::Ready& ready, Millis now) {
  switch (ready.tag) {
    case kSignalTag:
      return take_signal();
    case kTunTag:
      if (!outbound_->blocked()) outbound_->pump();
      return;
    case kAdminTag:
      return admin_->poll(now);
    case kLinksTag:
      return follow_links(now);
    default:
      return serve_underlay(ready, now);
  }
}

void Client::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo != SIGHUP)
    stopping_ = true;
  else
    reload();
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
      message.size() > wire::kTransportOverhead + wire::kMaxPaddedPlaintext)
    return counters.drop(Drop::kMessageLength);
  wire::TransportHeader header;
  __builtin_memcpy(&header, message.data(), sizeof header);
  const auto plaintext = engine_->open_control(message);
  if (!plaintext) return counters.drop(Drop::kBadTag);
  engine_->on_control(boottime_now(), from, ReceiverIndex{header.receiver}, header.counter,
                      *plaintext);
}

void Client::follow_links(Millis now) {
  if (!links_->take()) return;
  look_again_ = now + kLinksSettle;
  look_at_paths(now);
}

// What the host can reach now, told to the engine. A path that is in use and gone is left at once.
void Client::look_at_paths(Millis now) {
  const std::vector<Path> before = underlays::reachable(candidates_);
  std::vector<underlays::Candidate> found = underlays::find_candidates(
      underlays_.size(), profile_.gateway.endpoints,
      [this](size_t n, const Endpoint& remote) { return underlays_[n].path_to(remote); });
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].path && !found[i].path) spdlog::warn("{}", found[i].why);
    if (!candidates_[i].path && found[i].path)
      spdlog::info("underlay {} reaches {}", underlays_[found[i].underlay].name(),
                   to_string(found[i].remote));
  }
  candidates_ = std::move(found);
  for (underlays::Underlay& underlay : underlays_) watch_sockets(underlay);
  const std::vector<Path> paths = underlays::reachable(candidates_);
  if (paths != before) {
    engine_->set_candidates(now, kGateway, paths);
    host_->set_candidates(paths);
  }
  leave_lost_path(now);
  const bool dials = !has_session_ && dialled_;
  if (dials && std::find(paths.begin(), paths.end(), *dialled_) == paths.end()) dialer_->hurry(now);
}

void Client::leave_lost_path(Millis now) {
  const std::optional<Path> active = data_path_->path();  // a copy: the engine may change it
  if (!active) return;
  const auto usable = underlays_[active->interface].usable(*active);
  if (usable) return;
  spdlog::warn("lost {}: {}", to_string(*active), usable.error().message);
  for (underlays::Candidate& candidate :
       candidates_)  // so that it counts as found again when it is
    if (candidate.path == active) candidate.path.reset();
  engine_->path_lost(now, kGateway, *active);
}

// A session that recovers has no path and still lives: nobody dials.
bool Client::session_lives() const {
  bool lives = data_path_->path().has_value();
  if (lives) return true;
  engine_->for_each_session([&](const engine::SessionView& session) {
    lives = lives || (session.state != session::State::kBirth &&
                      session.state != session::State::kTerminated);
  });
  return lives;
}

// The engine dials one path until it is told another; whether that goes on is seen here.
void Client::follow_session(Millis now) {
  const bool lives = session_lives();
  if (lives != has_session_) {
    has_session_ = lives;
    if (lives) {
      dialer_->attached();
      reported_.clear();
      look_at_paths(now);
    } else {
      given_up_ = !engine_->dials(kGateway);
      if (given_up_)
        spdlog::error("the gateway ended the session for good ({}); restart to dial it again",
                      last_end());
      else
        spdlog::warn("no session; dialling again");
      dialer_->lost(now);
    }
  }
  follow_path();
  if (!lives && !given_up_ && dialer_->due() <= now) dial(now);
}

// Why the latest session ended.
std::string Client::last_end() const {
  std::string text;
  engine_->for_each_tombstone([&](const session::Tombstone& ended) {
    text = std::string(to_string(ended.reason)) + " " + to_string(ended.detail);
  });
  return text;
}

// For the log alone: people follow a session by its underlay.
void Client::follow_path() {
  const std::optional<Path>& path = data_path_->path();
  if (path == active_ && has_session_ == told_session_) return;
  if (path)
    spdlog::info("{} {} by underlay {}", told_session_ ? "jumped to" : "attached over",
                 to_string(*path), underlays_[path->interface].name());
  else if (has_session_)
    spdlog::warn("no path carries the session; recovering");
  active_ = path;
  told_session_ = has_session_;
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

void Client::watch_sockets(underlays::Underlay& underlay) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const underlays::UdpSocket* const socket = underlay.socket(family);
    if (socket == nullptr) continue;
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

// Packets that wait for a full socket were sealed for its path and go nowhere else: after a jump
// they get a moment, without a path none.
void Client::leave_old_path(Millis now) {
  const auto& blocked = outbound_->blocked();
  const std::optional<Path>& path = data_path_->path();
  if (!blocked || path == blocked) {
    abandon_at_ = kNever;
  } else if (!path) {
    outbound_->abandon(Drop::kNoBinding);
  } else if (abandon_at_ == kNever) {
    abandon_at_ = now + kLeaveOldPath;
    outbound_->resume();
  } else if (now >= abandon_at_) {
    outbound_->abandon(Drop::kTxFull);
  }
  if (!blocked) abandon_at_ = kNever;
}

// A full socket stops the reading of the TUN until it can take more.
void Client::follow_outbound(Millis now) {
  if (outbound_->take_too_big()) host_->refresh_mtu();
  leave_old_path(now);
  const auto& blocked = outbound_->blocked();
  if (blocked == full_) return;
  const auto watch = [this](const Path& path, bool writable) {
    const Family family = path.remote.address.family;
    if (const underlays::UdpSocket* const socket = underlays_[path.interface].socket(family))
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
  if (command != request.end() && *command == "jump") return jump(request);
  if (command != request.end() && *command == "reload") return reload();
  return {{"error", "unknown command; jvpn-client answers: show, jump, reload"}};
}

// The policy section of the profile, read anew. Refused: the one in force stays.
nlohmann::json Client::reload() {
  const Millis now = boottime_now();
  const Result<Policy> policy = admin::load_client_policy(profile_path_);
  if (!policy) {
    spdlog::error("reload refused, no new session until a valid policy is loaded:\n{}",
                  policy.error().message);
    engine_->deny_new_sessions(now);
    return {{"error", policy.error().message}};
  }
  engine_->set_policy(now, *policy);
  spdlog::info("policy {} loaded", policy->version);
  return {{"reloaded", {{"policy_version", policy->version}}}};
}

// A planned jump: the old path carries everything until the new one is committed.
nlohmann::json Client::jump(const nlohmann::json& request) {
  const auto name = request.find("underlay");
  if (name == request.end() || !name->is_string())
    return {{"error", "jump: expected an underlay's name in \"underlay\""}};
  const auto underlay =
      std::find_if(underlays_.begin(), underlays_.end(),
                   [&](const underlays::Underlay& one) { return one.name() == *name; });
  if (underlay == underlays_.end()) {
    std::string names;
    for (const underlays::Underlay& one : underlays_)
      names += (names.empty() ? "" : ", ") + one.name();
    return {{"error", "jump: expected one of the underlays " + names}};
  }
  const std::optional<Path> active = data_path_->path();
  const auto target = underlays::jump_target(candidates_, underlay->number(), active);
  if (!target) return {{"error", "jump: " + target.error().message}};
  engine_->jump(boottime_now(), kGateway, *target);
  return {{"jump", {{"from", to_string(*active)}, {"to", to_string(*target)}}}};
}

nlohmann::json Client::show_paths() const {
  nlohmann::json paths = nlohmann::json::array();
  for (const underlays::Candidate& candidate : candidates_) {
    const std::string& name = underlays_[candidate.underlay].name();
    const std::string prefix = "underlay " + name + ": ";
    nlohmann::json path{{"underlay", name},
                        {"remote", to_string(candidate.remote)},
                        {"state", underlays::state_of(candidate, data_path_->path())}};
    if (candidate.path)
      path["local"] = to_string(candidate.path->local);
    else
      path["why"] = candidate.why.substr(candidate.why.starts_with(prefix) ? prefix.size() : 0);
    paths.push_back(std::move(path));
  }
  return paths;
}

nlohmann::json Client::show() {
  const Millis now = boottime_now();
  const auto name = [this](PeerId) { return profile_.gateway.name; };
  nlohmann::json out =
      admin::show_header(profile_.node, "client", now - started_, engine_->policy().version);
  out["denies_new_sessions"] = engine_->denies_new_sessions();
  out["sessions"] = admin::show_sessions(*engine_, *host_, name, now);
  out["terminated"] = admin::show_terminated(*engine_, name, now);
  out["paths"] = show_paths();
  out["control"] = admin::show_counters(engine_->counters());
  out["events"] = admin::show_events(events_.status());

  const dataplane::DataPathCounters& counters = data_path_->counters();
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

}  // namespace jvpn::client::control
