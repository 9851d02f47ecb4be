#include "perf/isolation/crowd.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "common/limits.h"
#include "common/reason.h"
#include "control/session/control_message.h"
#include "control/session/system_sources.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kGenerationBits = 2;
constexpr uint64_t kFreshRekeyUs = 100'000;
constexpr Millis kConfirmRepeat{200};  // of heartbeats, until the first is answered
constexpr uint64_t kAtOnceUs = 200;    // the worker waits for it
constexpr Suite kSuite = Suite::kAes128Gcm;

Millis ms_of(uint64_t us) {
  return Millis{us / 1'000};
}

template <typename Message>
std::optional<Message> message_in(std::span<const uint8_t> plaintext) {
  if (plaintext.size() < sizeof(Message)) return std::nullopt;
  Message message;
  std::memcpy(&message, plaintext.data(), sizeof message);
  return message;
}

}  // namespace

Result<std::unique_ptr<Crowd>> Crowd::create(const Options& options, Carry carry, Kept kept) {
  auto aead = Aead::create();
  if (!aead) return aead.error();
  auto mac = MessageMac::create();
  if (!mac) return mac.error();
  return std::unique_ptr<Crowd>(
      new Crowd(options, std::move(carry), std::move(kept), *std::move(aead), *std::move(mac)));
}

Crowd::Crowd(const Options& options, Carry carry, Kept kept, Aead aead, MessageMac mac)
    : options_(options),
      carry_(std::move(carry)),
      kept_(std::move(kept)),
      aead_(std::move(aead)),
      mac_(std::move(mac)),
      macs_(ResponderMacKeys::derive(mac_, options.gateway)),
      peers_(options.peers),
      timers_(options.peers, session::boottime_now()),
      random_(options.seed) {
  for (Peer& peer : peers_) {
    peer.identity.secret = generate_secret_key();
    peer.identity.public_key = public_key_of(peer.identity.secret);
  }
}

/// An index names its peer, and one of its latest key generations.
uint32_t Crowd::next_local(uint32_t number) {
  const uint32_t generation = ++peers_[number].generation % (1U << kGenerationBits);
  return (number + 1) << kGenerationBits | generation;
}

void Crowd::arm(uint32_t number) {
  const Peer& peer = peers_[number];
  const Millis at = std::min(peer.heartbeat_at, peer.again_at);
  if (at == kNever)
    timers_.cancel(number);
  else
    timers_.arm(number, at);
}

void Crowd::dial(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  if (peer.state == State::kNew) ++dialling_;
  peer.state = State::kDialling;
  peer.heartbeat_at = kNever;
  peer.unanswered_us = 0;
  peer.latest = protocol::next_timestamp(session::tai64n_now(), peer.latest);
  if (peer.claim) ++peer.claim->nonce;
  const uint32_t local = next_local(number);
  const SecretKey ephemeral = generate_secret_key();
  wire::Initiation message;
  auto noise = protocol::write_initiation(
      {peer.identity, options_.gateway, kSuite, ReceiverIndex{local}, 1, ephemeral},
      {.timestamp = peer.latest}, message, peer.claim.get());
  if (!noise) return;
  const std::span<uint8_t> bytes{reinterpret_cast<uint8_t*>(&message), sizeof message};
  write_macs(mac_, macs_.mac1, nullptr, bytes);
  peer.attempt = std::make_unique<Attempt>(Attempt{*std::move(noise), local});
  peer.again_at = ms_of(now_us) + Millis{kRetryMs};
  arm(number);
  carry_(number, bytes);
}

void Crowd::claim(uint32_t peer, const SessionId& session, BindingVersion version) {
  peers_[peer].claim =
      std::make_unique<wire::ResumeClaim>(wire::ResumeClaim{session.bytes, version.value, 0});
}

void Crowd::receive(uint64_t now_us, std::span<uint8_t> message) {
  if (message.size() < wire::kTransportOverhead) return;
  if (wire::MessageType{message[0]} == wire::MessageType::kReset) ++endings_["reset"];
  if (wire::MessageType{message[0]} == wire::MessageType::kResponse)
    return on_response(now_us, message);
  if (wire::MessageType{message[0]} != wire::MessageType::kControl) return;
  wire::TransportHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  const uint32_t number = (header.receiver >> kGenerationBits) - 1;
  if (number >= peers_.size()) return;
  Peer& peer = peers_[number];
  Keys* keys = peer.current.local == header.receiver ? &peer.current : peer.previous.get();
  if (keys == nullptr || keys->local != header.receiver) return;
  const auto body = message.subspan(sizeof header, message.size() - wire::kTransportOverhead);
  AeadKey key;
  aead_.expand(kSuite, keys->keys.receive.control.bytes(), key);
  const bool ok = aead_.open_one(
      key, transport_nonce(key.iv, ReceiverIndex{header.receiver}, header.counter), {}, body,
      std::span<const uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  if (ok) on_control(now_us, number, body);
}

void Crowd::on_response(uint64_t now_us, std::span<const uint8_t> bytes) {
  const auto message = protocol::parse_response(bytes);
  const uint32_t number = message ? (message->receiver.value >> kGenerationBits) - 1 : UINT32_MAX;
  if (number >= peers_.size()) return;
  Peer& peer = peers_[number];
  const bool waits = peer.state == State::kDialling && peer.attempt &&
                     peer.attempt->local == message->receiver.value;
  if (!waits) return;
  const auto answer =
      protocol::read_response(peer.attempt->noise, PresharedKey{}, kSuite, *message);
  const auto keys = answer ? peer.attempt->noise.split() : std::nullopt;
  if (!keys) return;
  peer.current = {session::derive_session_keys(*keys, true),
                  keys->chain,
                  1,
                  message->receiver.value,
                  message->sender.value,
                  0};
  peer.session.bytes = answer->payload.session_id;
  peer.rekeys = 0;
  peer.attempt.reset();
  peer.state = State::kAttached;
  peer.binding_version = answer->payload.binding_version;
  // As in a crowd that has been there for long: ages and heartbeats are spread evenly.
  peer.again_at = ms_of(now_us) + Millis{random_() % options_.rekey_after.value};
  peer.dial_again_at = ms_of(now_us) + Millis{kHandshakeTimeoutMs};
  heartbeat(now_us, number);
  arm(number);
}

void Crowd::on_control(uint64_t now_us, uint32_t number, std::span<const uint8_t> plaintext) {
  const auto header = message_in<wire::ControlHeader>(plaintext);
  if (!header || peers_[number].state != State::kAttached) return;
  if (header->type == wire::ControlType::kHeartbeat) {
    if (const auto asked = message_in<wire::Heartbeat>(plaintext)) {
      auto ack = session::control_message<wire::HeartbeatAck>(wire::ControlType::kHeartbeatAck);
      ack.echo_us = asked->clock_us;
      ack.clock_us = now_us;
      ack.binding_version = peers_[number].binding_version;
      send(number, ack);
    }
  } else if (header->type == wire::ControlType::kHeartbeatAck) {
    on_ack(now_us, number);
  } else if (header->type == wire::ControlType::kRekeyResponse) {
    if (const auto answer = message_in<wire::RekeyResponse>(plaintext))
      on_rekey_response(now_us, number, *answer);
  } else if (header->type == wire::ControlType::kMtuProbe) {
    std::array<uint8_t, wire::kMaxPaddedPlaintext> ack{};
    if (const auto probe = message_in<wire::MtuProbe>(plaintext)) {
      auto answer = session::control_message<wire::MtuAck>(wire::ControlType::kMtuAck);
      answer.nonce = probe->nonce;
      std::memcpy(ack.data(), &answer, sizeof answer);
      send(number, std::span(ack).first(std::min(plaintext.size(), ack.size())));
    }
  } else if (header->type == wire::ControlType::kTerminate) {
    if (const auto why = message_in<wire::Terminate>(plaintext)) end_session(number, *why);
  }
}

void Crowd::on_ack(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  if (number < counted_ && peer.unanswered_us != 0) {
    ++account_.answered;
    count_delay(now_us, peer);
  }
  peer.unanswered_us = 0;
  if (std::exchange(peer.idle, true)) return;
  --dialling_;
  ++attached_;
  peer.heartbeat_at = ms_of(now_us) + Millis{1 + random_() % options_.heartbeat.value};
  arm(number);
  auto message = session::control_message<wire::Idle>(wire::ControlType::kIdle);
  message.binding_version = peer.binding_version;
  message.interval_ms = static_cast<uint32_t>(options_.heartbeat.value);
  send(number, message);
}

void Crowd::count_delay(uint64_t now_us, const Peer& peer) {
  const uint64_t delay = now_us - peer.unanswered_us;
  const uint64_t kept = std::min(kept_() - peer.kept_us, delay);
  account_.delay.record(delay);
  account_.longest_own_us = std::max(account_.longest_own_us, delay - kept);
}

void Crowd::end_session(uint32_t number, const wire::Terminate& why) {
  Peer& peer = peers_[number];
  ++endings_[fmt::format("{} {}", to_string(static_cast<Reason>(why.reason)),
                         to_string(static_cast<Detail>(why.detail)))];
  peer.state = State::kEnded;
  peer.heartbeat_at = peer.again_at = kNever;
  peer.attempt.reset();
  arm(number);
  --(peer.idle ? attached_ : dialling_);
  if (number < counted_) ++account_.terminated;
}

void Crowd::heartbeat(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  auto message = session::control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  message.clock_us = now_us;
  message.binding_version = peer.binding_version;
  if (peer.unanswered_us == 0) {
    peer.unanswered_us = now_us;
    peer.kept_us = kept_();
  }
  if (number < counted_) ++account_.sent;
  peer.heartbeat_at = ms_of(now_us) + (peer.idle ? options_.heartbeat : kConfirmRepeat);
  send(number, message);
}

std::optional<NoiseHandshake> Crowd::write_rekey(Peer& peer, uint32_t local,
                                                 wire::RekeyInitiation& message) {
  const SecretKey ephemeral = generate_secret_key();
  return protocol::write_rekey(
      {peer.identity, options_.gateway, kSuite, ReceiverIndex{local}, 1, ephemeral}, basis_of(peer),
      ++peer.rekeys, message);
}

void Crowd::rekey(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  peer.again_at = ms_of(now_us) + Millis{kRetryMs};
  // The index of the attempt before is used again: nothing came under it.
  const uint32_t local = peer.attempt ? peer.attempt->local : next_local(number);
  wire::RekeyInitiation message;
  auto noise = write_rekey(peer, local, message);
  if (!noise) return;
  peer.attempt = std::make_unique<Attempt>(Attempt{*std::move(noise), local});
  send(number, message);
}

void Crowd::on_rekey_response(uint64_t now_us, uint32_t number,
                              const wire::RekeyResponse& message) {
  Peer& peer = peers_[number];
  if (!peer.attempt || peer.attempt->local != message.receiver) return;
  const PresharedKey mixed = basis_of(peer).mixed({});
  const auto payload = protocol::read_rekey_response(peer.attempt->noise, mixed, kSuite, message);
  const auto keys = payload ? peer.attempt->noise.split() : std::nullopt;
  if (!keys) return;
  Keys fresh{session::derive_session_keys(*keys, true),
             keys->chain,
             peer.current.generation + 1,
             message.receiver,
             message.sender,
             0};
  peer.previous = std::make_unique<Keys>(std::exchange(peer.current, std::move(fresh)));
  peer.attempt.reset();
  peer.again_at = ms_of(now_us) + options_.rekey_after;
  heartbeat(now_us, number);  // confirms the keys
  arm(number);
}

void Crowd::flood_rekey(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  if (peer.state != State::kAttached) return;
  if (now_us - flooded_us_ >= kFreshRekeyUs) {
    flooded_us_ = now_us;
    if (!write_rekey(peer, next_local(number), flood_)) return;
  }
  send(number, flood_);
}

void Crowd::send(uint32_t number, std::span<const uint8_t> plaintext) {
  Keys& keys = peers_[number].current;
  std::array<uint8_t, wire::kMaxPaddedPlaintext + wire::kTransportOverhead> datagram;
  wire::TransportHeader header{};
  header.type = wire::MessageType::kControl;
  header.receiver = keys.remote;
  header.counter =
      wire::make_counter(LaneId{0}, keys.next++) ^
      session::counter_mask(mac_, keys.keys.send, header.type, ReceiverIndex{keys.remote});
  std::memcpy(datagram.data(), &header, sizeof header);
  const std::span<uint8_t> body{datagram.data() + sizeof header, plaintext.size()};
  std::ranges::copy(plaintext, body.begin());
  AeadKey key;
  aead_.expand(kSuite, keys.keys.send.control.bytes(), key);
  aead_.seal_one(key, transport_nonce(key.iv, ReceiverIndex{keys.remote}, header.counter), {}, body,
                 std::span<uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
  carry_(number, {datagram.data(), plaintext.size() + wire::kTransportOverhead});
}

void Crowd::serve(uint64_t now_us, uint32_t number) {
  Peer& peer = peers_[number];
  const Millis now = ms_of(now_us);
  if (peer.state == State::kDialling && now >= peer.again_at) return dial(now_us, number);
  if (peer.state != State::kAttached) return;
  if (!peer.idle && now >= peer.dial_again_at) return dial(now_us, number);  // it isn't confirmed
  if (now >= peer.again_at) rekey(now_us, number);
  if (now >= peer.heartbeat_at) heartbeat(now_us, number);
  arm(number);
}

void Crowd::advance(uint64_t now_us) {
  timers_.expire(ms_of(now_us));
  for (uint64_t now = now_us; now - now_us < kAtOnceUs; now = session::boottime_us()) {
    const auto number = timers_.pop();
    if (!number) return;
    serve(now, *number);
  }
}

void Crowd::begin(uint32_t counted) {
  counted_ = std::min(counted, size());
  account_ = {};
}

Crowd::Account Crowd::end(uint64_t now_us, uint64_t patience_us) {
  for (uint32_t number = 0; number < counted_; ++number) {
    const Peer& peer = peers_[number];
    const bool waits = peer.state == State::kAttached && peer.unanswered_us != 0;
    if (!waits || now_us - peer.unanswered_us < patience_us) continue;
    ++account_.unanswered;
    count_delay(now_us, peer);
  }
  return account_;
}

}  // namespace jvpn::perf
