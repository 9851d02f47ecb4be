// Many idle peers of one gateway in little memory: real handshakes, heartbeats, rekeys and
// agreements to be idle, without an engine for each. They answer what a gateway asks of an idle
// peer and never jump. One thread, which passes the time.
//
//   dial ── initiation ─▶      ◀─ response ── attached: HEARTBEAT, then IDLE
//   every interval HEARTBEAT ─▶      ◀─ HEARTBEAT_ACK: how late?
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "common/aead.h"
#include "common/handshake_mac.h"
#include "common/path.h"
#include "common/result.h"
#include "control/engine/timer_wheel.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/key_schedule.h"
#include "perf/ndr/latency_histogram.h"

namespace jvpn::perf {

class Crowd {
 public:
  struct Options {
    uint32_t peers = 1;
    PublicKey gateway{};
    Millis heartbeat{5'000};
    Millis rekey_after{120'000};
    uint64_t seed = 1;
  };
  /// What became of the heartbeats and the sessions of the first peers, since begin().
  struct Account {
    uint64_t sent = 0;
    uint64_t answered = 0;
    uint64_t unanswered = 0;      ///< for longer than anything takes that isn't lost
    uint64_t terminated = 0;      ///< sessions that the gateway ended
    LatencyHistogram delay;       ///< microseconds from a heartbeat to its answer
    uint64_t longest_own_us = 0;  ///< of them, without what this thread was kept from the CPU
  };
  /// Takes a datagram on its way to the gateway, along a peer's path.
  using Carry = std::function<void(uint32_t peer, std::span<const uint8_t> datagram)>;

  /// How long the thread was kept from the CPU so far.
  using Kept = std::function<uint64_t()>;

  static Result<std::unique_ptr<Crowd>> create(const Options& options, Carry carry, Kept kept);

  uint32_t size() const { return static_cast<uint32_t>(peers_.size()); }
  const PublicKey& key_of(uint32_t peer) const { return peers_[peer].identity.public_key; }
  uint32_t attached() const { return attached_; }
  uint32_t dialling() const { return dialling_; }

  void dial(uint64_t now_us, uint32_t peer);
  /// Its calls from now on claim that session, whatever another run of the crowd had of it.
  void claim(uint32_t peer, const SessionId& session, BindingVersion version);
  /// A message from the gateway, opened in place.
  void receive(uint64_t now_us, std::span<uint8_t> message);
  /// Whatever is due.
  void advance(uint64_t now_us);

  /// Counts anew, of the peers below `counted`.
  void begin(uint32_t counted);
  /// What was counted; heartbeats without an answer for `patience` count with their age.
  Account end(uint64_t now_us, uint64_t patience_us);
  /// Why the gateway ended sessions, or answered that it knows none ("reset"), and how often; since
  /// the crowd is there.
  const std::map<std::string, uint64_t>& endings() const { return endings_; }

  /// A peer that misbehaves: one more REKEY_INITIATION. Every so often it is a new one; the others
  /// repeat its Noise message under counters of their own, which costs the sender nothing.
  void flood_rekey(uint64_t now_us, uint32_t peer);

 private:
  enum class State : uint8_t { kNew, kDialling, kAttached, kEnded };
  struct Keys {
    session::SessionKeys keys;
    Secret<32> chain;
    uint64_t generation = 0;
    uint32_t local = 0;   ///< the peer receives on it
    uint32_t remote = 0;  ///< the gateway does
    uint64_t next = 0;    ///< counter
  };
  struct Attempt {
    NoiseHandshake noise;
    uint32_t local;
  };
  struct Peer {
    protocol::Identity identity;
    State state = State::kNew;
    bool idle = false;       ///< an answer came: it is confirmed, and has told the gateway
    uint8_t generation = 0;  ///< of the latest local index
    uint64_t binding_version = 0;
    SessionId session;
    uint64_t rekeys = 0;  ///< asked for in this session
    std::unique_ptr<wire::ResumeClaim> claim;
    wire::Timestamp latest{};
    Millis heartbeat_at = kNever;
    Millis dial_again_at;        ///< unless it is confirmed
    Millis again_at = kNever;    ///< the handshake or rekey
    uint64_t unanswered_us = 0;  ///< when the first heartbeat without an answer left; 0: none
    uint64_t kept_us = 0;        ///< Kept at that time
    Keys current;
    std::unique_ptr<Keys> previous;
    std::unique_ptr<Attempt> attempt;
  };

  Crowd(const Options& options, Carry carry, Kept kept, Aead aead, MessageMac mac);
  uint32_t next_local(uint32_t number);
  void arm(uint32_t number);
  void serve(uint64_t now_us, uint32_t number);
  void on_response(uint64_t now_us, std::span<const uint8_t> message);
  void on_control(uint64_t now_us, uint32_t number, std::span<const uint8_t> plaintext);
  void on_ack(uint64_t now_us, uint32_t number);
  void count_delay(uint64_t now_us, const Peer& peer);
  void on_rekey_response(uint64_t now_us, uint32_t number, const wire::RekeyResponse& message);
  void heartbeat(uint64_t now_us, uint32_t number);
  std::optional<NoiseHandshake> write_rekey(Peer& peer, uint32_t local,
                                            wire::RekeyInitiation& message);
  static protocol::RekeyBasis basis_of(const Peer& peer) {
    return {peer.session, peer.current.generation, peer.current.chain};
  }
  void rekey(uint64_t now_us, uint32_t number);
  void end_session(uint32_t number, const wire::Terminate& why);
  void send(uint32_t number, std::span<const uint8_t> plaintext);
  template <typename Message>
  void send(uint32_t number, const Message& message) {
    send(number, std::span(reinterpret_cast<const uint8_t*>(&message), sizeof message));
  }

  const Options options_;
  Carry carry_;
  Kept kept_;
  Aead aead_;
  MessageMac mac_;
  ResponderMacKeys macs_;
  std::vector<Peer> peers_;
  engine::TimerWheel timers_;
  std::mt19937_64 random_;
  uint32_t attached_ = 0;
  uint32_t dialling_ = 0;
  uint32_t counted_ = 0;
  Account account_;
  std::map<std::string, uint64_t> endings_;
  wire::RekeyInitiation flood_{};
  uint64_t flooded_us_ = 0;
};

}  // namespace jvpn::perf
