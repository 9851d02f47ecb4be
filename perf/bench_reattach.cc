// What a jump costs the gateway's control core. Workers open control messages there, so the engine
// gets them as plaintext; installs and events go nowhere. Only the responder's calls are timed:
//   warm: REQUEST → checks, commit, ACK
//   cold: REQUEST → checks, CHALLENGE; RESPONSE → checks, commit, ACK
//   whole: all that one warm jump brings: probe, answer, request, heartbeat, timers of the old
//   index
// Sessions take turns, each within its policy's switch rate; time is virtual.
#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/random.h>

#include "control/engine/engine.h"
#include "control/events/event_log.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/control_message.h"

namespace jvpn {
namespace {

constexpr uint64_t kSwitchesPerMin = 60;
constexpr Millis kGenerationLasts{150'000};  // then keys would be refused: everything anew
constexpr uint32_t kSlotBits = 16;
constexpr uint16_t kNetworks = 3;
constexpr uint16_t kTunnelMtu = 1'400;

Path path_of(uint32_t session, uint64_t jump) {
  const auto network = static_cast<uint8_t>(jump % kNetworks);
  const auto high = static_cast<uint8_t>(session >> 8);
  const auto low = static_cast<uint8_t>(session);
  return {network,
          {IpAddress::v4({10, network, 255, 255}), 51'900},
          {IpAddress::v4({10, network, high, low}), 40'000}};
}

/// Keeps what the initiators' end of the benchmark has to know, and the latest datagram.
class RecordingHost : public session::SessionHost {
 public:
  explicit RecordingHost(uint32_t seed) : state_(seed) {}
  void apply(const session::Effects& effects) override { effects.carry_out(*this); }
  void send(const Path&, std::span<const uint8_t> datagram) {
    sent_bytes = datagram.size();
    std::ranges::copy(datagram, sent.begin());
    ++sends;
  }
  void install_rx(const session::RxInstall& install) {
    control_key = install.control_key;
    installed.emplace_back(install.index, install.first_lane.value);
  }
  void retire_rx(ReceiverIndex) {}
  void install_tx(const session::TxInstall& install) {
    binding_version = install.binding_version;
    binding = install.first_lane.value;
  }
  void withdraw_tx(PeerId) {}
  session::Activity activity(PeerId) override { return {}; }
  session::RxProgress rx_progress(ReceiverIndex) override { return {}; }
  uint16_t inner_mtu(const Path&) override { return kTunnelMtu; }
  void configured(PeerId, const wire::ResponsePayload& answer) { id = {answer.session_id}; }
  void emit(const session::Event& event) {
    if (log) log->add(event);
  }
  void random(std::span<uint8_t> bytes) override {
    if (log) return static_cast<void>(getrandom(bytes.data(), bytes.size(), 0));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((state_ = state_ * 69'069 + 1) >> 16);
  }
  wire::Timestamp timestamp() override { return {}; }

  std::span<uint8_t> datagram() { return {sent.data(), sent_bytes}; }

  std::array<uint8_t, 2'048> sent{};
  size_t sent_bytes = 0;
  uint64_t sends = 0;
  RawKey control_key{};  ///< of the latest install
  std::vector<std::pair<ReceiverIndex, uint16_t>> installed;
  BindingVersion binding_version;
  uint16_t binding = 0;
  SessionId id;
  std::unique_ptr<events::EventLog> log;

 private:
  uint32_t state_;
};

/// An initiator without an engine: what the gateway can't tell from a real one.
struct Initiator {
  SessionId id;
  RawKey control_key{};  ///< under which the gateway's control messages come
  std::deque<std::pair<ReceiverIndex, uint16_t>> spares;
  ReceiverIndex active;
  uint16_t binding = 0;
  BindingVersion binding_version;
  uint64_t counter = 100;
  uint64_t nonce = 0;
  uint64_t jumps = 0;
};

session::EngineConfig config_for(const SecretKey& key) {
  session::EngineConfig config;
  config.private_key = key;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = kSlotBits;
  config.handshakes_per_s = 1'000'000;
  Policy& policy = config.policy;
  policy.volatility.heartbeat_interval = Millis{60'000};
  policy.volatility.heartbeat_volatile = Millis{120'000};
  policy.volatility.transport_dead = Millis{240'000};
  policy.session.transport_loss_ttl = Millis{480'000};
  policy.switching.max_switches_per_min = 64;
  policy.switching.switch_cooldown = Millis{250};
  policy.transport.candidate_validation_ttl = Millis{10'000};
  policy.security.reattach_rate_per_s = 1'000;
  return config;
}

class Gateway {
 public:
  explicit Gateway(uint32_t sessions) : initiators_(sessions) {
    SecretKey own;
    host_.random(own.span());
    session::EngineConfig config = config_for(own);
    std::vector<SecretKey> keys(sessions);
    for (SecretKey& key : keys) {
      host_.random(key.span());
      config.peers.push_back({"peer", public_key_of(key), {}, {}});
    }
    engine_ = std::move(*engine::SessionEngine::create(std::move(config), host_, now));
    for (uint32_t i = 0; i < sessions; ++i) connect(i, keys[i], public_key_of(own));
  }

  /// Virtual time between two jumps of any session.
  Millis step() const {
    return Millis{(60'000 + kSwitchesPerMin * initiators_.size() - 1) /
                  (kSwitchesPerMin * initiators_.size())};
  }
  bool worn_out() const { return now - born_ > kGenerationLasts; }

  void probe(uint32_t session) {
    Initiator& peer = initiators_[session];
    wire::PathProbe message{};
    message.header = session::control_header(wire::ControlType::kPathProbe);
    message.nonce = ++peer.nonce;
    message.receiver = 1'000 + static_cast<uint32_t>(peer.nonce);
    message.lanes = 1;
    give(session, peer.spares.front().first, message, kTunnelMtu);
  }
  void answer_probe(uint32_t session) {
    const auto asked = opened<wire::PathChallenge>(session);
    wire::PathResponse message{};
    message.header = session::control_header(wire::ControlType::kPathResponse);
    message.nonce = asked.nonce;
    std::ranges::copy(asked.token, message.token);
    give(session, initiators_[session].spares.front().first, message, kTunnelMtu);
  }
  void request(uint32_t session) {
    Initiator& peer = initiators_[session];
    wire::ReattachRequest message{};
    message.header = session::control_header(wire::ControlType::kReattachRequest);
    message.session_id = peer.id.bytes;
    message.nonce = ++peer.nonce;
    message.clock_ms = now.value;
    message.binding_version = peer.binding_version.value;
    message.receiver = 5'000 + static_cast<uint32_t>(peer.jumps);
    message.lanes = 1;
    message.retire_active = 1;
    message.cause = wire::ReattachCause::kPlanned;
    give(session, peer.spares.front().first, message);
  }
  void answer_challenge(uint32_t session) {
    const auto asked = opened<wire::ReattachChallenge>(session);
    wire::ReattachResponse message{};
    message.header = session::control_header(wire::ControlType::kReattachResponse);
    message.nonce = asked.nonce;
    std::ranges::copy(asked.token, message.token);
    give(session, initiators_[session].spares.front().first, message);
  }
  /// The initiator's view of what was committed. False: nothing was.
  bool follow(uint32_t session) {
    Initiator& peer = initiators_[session];
    if (host_.binding_version <= peer.binding_version) return false;
    peer.binding_version = host_.binding_version;
    peer.active = peer.spares.front().first;
    peer.binding = host_.binding;
    for (const auto& spare : host_.installed) peer.spares.push_back(spare);
    host_.installed.clear();
    while (peer.spares.front().second <= host_.binding) peer.spares.pop_front();
    ++peer.jumps;
    return true;
  }
  void heartbeat(uint32_t session) {
    Initiator& peer = initiators_[session];
    wire::Heartbeat message{};
    message.header = session::control_header(wire::ControlType::kHeartbeat);
    message.binding_version = peer.binding_version.value;
    give(session, peer.active, message);
  }
  void advance() { engine_->advance(now); }
  void tell() {
    host_.log = std::make_unique<events::EventLog>(
        events::EventLogOptions{.node = "gw1", .sinks = {}, .report = {}});
    host_.log->start();
  }

  Millis now{1'000'000};

 private:
  /// By a real engine, of which only the keys are kept.
  void connect(uint32_t session, const SecretKey& key, const PublicKey& gateway) {
    RecordingHost host(session + 7);
    session::EngineConfig config = config_for(key);
    config.peers.push_back({"gateway", gateway, {}, {}});
    const auto engine = std::move(*engine::SessionEngine::create(std::move(config), host, now));
    const Path here = path_of(session, 0);
    engine->dial(now, PeerId{0}, {here.interface, here.remote, here.local});
    engine->advance(now);
    host_.installed.clear();
    engine_->on_handshake(now, here, host.datagram(), std::nullopt);
    engine->on_handshake(now, {here.interface, here.remote, here.local}, host_.datagram(),
                         std::nullopt);
    Initiator& peer = initiators_[session];
    peer.id = host.id;
    peer.control_key = host.control_key;
    peer.active = host_.installed.front().first;
    heartbeat(session);  // confirms the keys
    peer.spares.assign(host_.installed.begin() + 1, host_.installed.end());
    peer.binding_version = host_.binding_version;
    host_.installed.clear();
  }

  template <typename Message>
  void give(uint32_t session, ReceiverIndex index, const Message& message,
            size_t bytes = sizeof(Message)) {
    Initiator& peer = initiators_[session];
    const bool active = index == peer.active;
    const LaneId lane{active ? peer.binding : peer.spares.front().second};
    engine_->on_control(now, path_of(session, peer.jumps + (active ? 0 : 1)), index,
                        wire::make_counter(lane, peer.counter++), plaintext_of(message, bytes));
  }

  /// Zero bytes behind a message that is padded.
  template <typename Message>
  std::span<const uint8_t> plaintext_of(const Message& message, size_t bytes) {
    __builtin_memcpy(plaintext_.data(), &message, sizeof message);
    std::fill(plaintext_.begin() + sizeof message, plaintext_.begin() + static_cast<long>(bytes),
              0);
    return {plaintext_.data(), bytes};
  }

  /// The gateway's latest message.
  template <typename Message>
  Message opened(uint32_t session) {
    const std::span<uint8_t> datagram = host_.datagram();
    wire::TransportHeader header;
    __builtin_memcpy(&header, datagram.data(), sizeof header);
    const auto body =  // probes are padded
        datagram.subspan(sizeof header, datagram.size() - wire::kTransportOverhead);
    AeadKey key;
    aead_.expand(Suite::kAes128Gcm, initiators_[session].control_key, key);
    Message message{};
    if (aead_.open_one(
            key, transport_nonce(ReceiverIndex{header.receiver}, header.counter), {}, body,
            std::span<const uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes)))
      __builtin_memcpy(&message, body.data(), std::min(body.size(), sizeof message));
    return message;
  }

  RecordingHost host_{1};
  std::array<uint8_t, kTunnelMtu> plaintext_{};
  Aead aead_{*Aead::create()};
  Millis born_ = now;
  std::vector<Initiator> initiators_;
  std::unique_ptr<engine::SessionEngine> engine_;
};

/// Adds up the time of the calls that it is given.
class Stopwatch {
 public:
  template <typename Call>
  void operator()(Call&& call) {
    const auto begun = std::chrono::steady_clock::now();
    call();
    spent_ += std::chrono::steady_clock::now() - begun;
  }
  double seconds() const { return std::chrono::duration<double>(spent_).count(); }

 private:
  std::chrono::steady_clock::duration spent_{};
};

enum class What : uint8_t { kWarm, kCold, kWhole, kTold };

void one_jump(Gateway& gateway, uint32_t session, What what, Stopwatch& timed) {
  Stopwatch untimed;
  Stopwatch& around = what == What::kWhole ? timed : untimed;
  if (what != What::kCold) {
    around([&] { gateway.probe(session); });
    around([&] { gateway.answer_probe(session); });
  }
  timed([&] { gateway.request(session); });
  if (what == What::kCold) timed([&] { gateway.answer_challenge(session); });
}

void reattach(benchmark::State& state, What what) {
  const auto sessions = static_cast<uint32_t>(state.range(0));
  std::unique_ptr<Gateway> gateway;
  uint32_t session = 0;
  for (auto _ : state) {
    if (!gateway || gateway->worn_out()) {
      gateway = std::make_unique<Gateway>(sessions);
      if (what == What::kTold) gateway->tell();
    }
    gateway->now = gateway->now + gateway->step();
    Stopwatch timed;
    Stopwatch untimed;
    Stopwatch& around = what == What::kWhole ? timed : untimed;
    around([&] { gateway->advance(); });
    one_jump(*gateway, session, what, timed);
    if (!gateway->follow(session)) {
      state.SkipWithError("no jump was committed");
      break;
    }
    around([&] { gateway->heartbeat(session); });
    state.SetIterationTime(timed.seconds());
    session = (session + 1) % sessions;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(reattach, warm, What::kWarm)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, cold, What::kCold)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, whole, What::kWhole)->Arg(64)->Arg(4'096)->UseManualTime();
BENCHMARK_CAPTURE(reattach, told, What::kTold)->Arg(64)->UseManualTime();

}  // namespace
}  // namespace jvpn
