// Inside of SessionEngine, shared by the engine_*.cc files alone. Control thread only.
//
// A decision's way: an input finds its peer → triggers go through drive() and so through step() →
// what follows is told to the host → rearm() sets the peer's one timer to whatever is due next.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/aead.h"
#include "common/limits.h"
#include "common/message_mac.h"
#include "common/token_bucket.h"
#include "control/engine/engine.h"
#include "control/engine/timer_wheel.h"
#include "control/jump/reattach.h"
#include "control/protocol/handshake.h"
#include "control/session/index_allocator.h"
#include "control/session/session.h"
#include "control/session/vocabulary.h"

namespace jvpn::engine {

using namespace protocol;
using namespace jump;

inline constexpr Millis kRetry{kRetryMs};
inline constexpr Millis kHandshakeTimeout{kHandshakeTimeoutMs};
inline constexpr Millis kConfirmRepeat{200};           ///< heartbeats until new keys are confirmed
inline constexpr uint64_t kLongestRttUs = 60'000'000;  ///< beyond it an echo is stale
inline constexpr Millis kPreviousKeyLinger{5'000};     ///< least time that replaced keys still open

struct SessionEngine::Impl : StaticSecrets {
  /// Whether the peer is told that its session ends.
  enum class Farewell : uint8_t { kSend, kSilent };
  /// A session and the generation that one of its indices names.
  struct Keyed {
    Session* session = nullptr;
    KeyGeneration* generation = nullptr;
    SpareBinding* spare = nullptr;  ///< none: the generation's active binding
  };
  /// Where an authentic control message came from and under what.
  struct Arrival {
    const Path& from;
    KeyGeneration& generation;
    ReceiverIndex index;
    size_t bytes = 0;  ///< of the plaintext, padding included
  };
  /// Which binding a control message is sent on, and where to.
  struct Along {
    ReceiverIndex local;   ///< this end's index of the binding
    ReceiverIndex remote;  ///< the peer's
    const Path& path;
  };
  struct HashKey {
    size_t operator()(const PublicKey& key) const {
      uint64_t word;  // keys are configured, not chosen by whoever sends packets
      __builtin_memcpy(&word, key.data(), sizeof word);
      return word;
    }
  };

  Impl(EngineConfig config, SessionHost& host, Aead aead, MessageMac mac, Millis now);
  ~Impl() override;

  // engine.cc: time, randomness, lookups.
  void advance(Millis now);
  Millis next_deadline() const;
  void serve(Millis now, PeerId id);
  void serve_session(Millis now, PeerState& peer);
  void serve_draining(Millis now, PeerState& peer);
  void rearm(PeerId id);
  Millis next_due(const PeerState& peer) const;
  Millis session_due(const Session& session) const;
  SecretKey random_secret();
  uint32_t random_u32();
  PeerState& peer_of(const Session& session) { return peers[session.peer.value]; }
  const EnginePeer& configured(PeerId id) const { return config.peers[id.value]; }
  const PresharedKey& psk_of(PeerId id) const;
  const Policy& policy_of(const Session& session) const;
  std::optional<ReceiverIndex> allocate_index(PeerId id);
  Keyed find(ReceiverIndex index);
  Call call_to(PeerId id, Suite suite, ReceiverIndex sender, const SecretKey& ephemeral);
  void visit_peer(PeerId id, const std::function<void(const SessionView&)>& visit) const;
  SessionView view_of(const Session& session) const;

  // engine_handshake.cc: the responder's side.
  void on_handshake(Millis now, const Path& from, std::span<const uint8_t> datagram,
                    std::optional<MacVerdict> verdict);
  void on_initiation(Millis now, const Path& from, std::span<const uint8_t> datagram,
                     std::optional<MacVerdict> verdict);
  void admit(Millis now, const Path& from, const wire::Initiation& message);
  bool fresh(Millis now, const Path& from, PeerId id, const Heard& heard);
  bool calling_ourselves(Millis now, PeerId id) const;
  void answer(Millis now, const Path& from, PeerId id, Heard& heard);
  wire::ResponsePayload response_payload(Millis now, const Session& session,
                                         std::span<const SpareBinding> spares) const;
  std::optional<wire::Response> response_to(Millis now, Heard& heard, const Session& session,
                                            ReceiverIndex index,
                                            std::span<const SpareBinding> spares);
  bool confirm_pending(Millis now, PeerState& peer);
  bool allowed(Suite suite) const;
  void send_cookie(Millis now, const Path& to, const wire::Initiation& message);
  void rotate_cookies(Millis now);
  MacVerdict judge(const Path& from, std::span<const uint8_t> datagram,
                   std::optional<MacVerdict> verdict);
  void refuse_handshake(Millis now, const Path& from, Reason reason, Detail detail,
                        PeerId id = kNoPeer);

  // engine_dial.cc: the initiator's side.
  void dial(Millis now, PeerId id, const Path& path);
  void start_dial(Millis now, PeerState& peer, Millis delay);
  void stop_dial(PeerState& peer);
  void stop_attempt(Dial& call);
  void serve_dial(Millis now, PeerId id);
  void send_initiation(Millis now, PeerId id);
  bool dial_waits(const PeerState& peer, PeerId id) const;
  Millis dial_due(const PeerState& peer, PeerId id) const;
  void on_response(Millis now, const Path& from, std::span<const uint8_t> datagram,
                   std::optional<MacVerdict> verdict);
  void attach_dialled(Millis now, PeerId id, const NoiseKeys& keys, const wire::Response& message,
                      const wire::ResponsePayload& payload);
  void on_cookie_reply(Millis now, const Path& from, std::span<const uint8_t> datagram);

  // engine_session.cc: what follows from a step; installs, events.
  bool drive(Millis now, Session& session, const SessionEvent& event,
             Farewell farewell = Farewell::kSend);
  void supersede(Millis now, PeerState& peer, Farewell farewell);
  void close(Millis now, Session& session, Detail detail, Farewell farewell);
  void end_peer(Millis now, PeerId id, Detail detail);
  void send_farewell(Session& session, Detail detail);
  void release_keys(Millis now, PeerState& peer, Session& session, bool drain);
  std::unique_ptr<KeyGeneration> make_generation(Millis now, const NoiseKeys& keys, bool initiator,
                                                 ReceiverIndex local, ReceiverIndex remote,
                                                 uint16_t peer_lanes) const;
  void install_rx(const Session& session, const KeyGeneration& generation);
  void install_rx(PeerId peer, Suite suite, const KeyGeneration& generation, ReceiverIndex index,
                  uint16_t number);
  void withdraw_tx(Session& session);
  void tell_refused(Millis now, const Session& session, const SessionEvent& refused);
  void tell_rows(Millis now, const Session& session, const SessionRecord& before,
                 const Step& taken);
  void install_tx(Session& session);
  void send_on(const Session& session, ReceiverIndex remote, uint16_t number, const Path& path);
  void send_ahead(Millis now, Session& session, const SpareBinding& spare);
  void retire(std::unique_ptr<KeyGeneration>& generation);
  void retire_index(ReceiverIndex index);
  Event event_of(Millis now, EventKind kind, const Session& session) const;
  void emit_security(Millis now, Reason reason, Detail detail, PeerId peer, const SessionId& id,
                     const Path& from);

  // engine_control.cc: control messages and liveness.
  void on_control(Millis now, const Path& from, ReceiverIndex index, uint64_t counter,
                  std::span<const uint8_t> plaintext);
  bool may_confirm(const Keyed& at, const Path& from) const;
  bool confirm_keys(Millis now, Keyed& at);
  void dispatch(Millis now, Session& session, const Arrival& at,
                std::span<const uint8_t> plaintext);
  template <typename Message>
  std::optional<Message> exactly(Millis now, Session& session, std::span<const uint8_t> plaintext);
  template <typename Message>
  std::optional<Message> padded(Millis now, Session& session, std::span<const uint8_t> plaintext);
  bool dispatch_jump(Millis now, Session& session, const Arrival& at, wire::ControlType type,
                     std::span<const uint8_t> plaintext);
  void on_heartbeat(Millis now, Session& session, const wire::Heartbeat& message);
  void on_heartbeat_ack(Millis now, Session& session, const wire::HeartbeatAck& message);
  void on_terminate(Millis now, Session& session, const wire::Terminate& message);
  void violation(Millis now, Session& session);
  void send_heartbeat(Millis now, Session& session);
  Millis heartbeat_due(const Session& session) const;
  void note_activity(Session& session);

  // engine_quality.cc: how the bound path does.
  Millis quality_due(const Session& session) const;
  bool judge_quality(Millis now, Session& session);
  void report_loss(Millis now, Session& session);
  void on_quality_report(Millis now, Session& session, const wire::QualityReport& message);
  void ask_for_better(Millis now, Session& session);
  PathMerits merits_of_bound(Millis now, const Session& session) const;

  // engine_idle.cc.
  bool note_data(Millis now, Session& session);
  Millis idle_wish(Millis now, const Session& session) const;
  void serve_idle(Millis now, Session& session);
  Millis idle_due(const Session& session) const;
  void wake(Millis now, PeerId id);
  void send_idle(Session& session, Millis interval);
  void on_idle(Millis now, Session& session, const wire::Idle& message);

  // engine_policy.cc.
  void set_policy(Millis now, const Policy& policy);
  void deny_new_sessions(Millis now);
  void emit_config(Millis now, Reason reason);

  // Sealing and opening (engine_control.cc).
  /// Along the active binding.
  template <typename Message>
  void send_control(const Session& session, KeyGeneration& generation, const Message& message) {
    send_along(session, generation, {generation.local, generation.remote, session.path}, message);
  }
  /// Along any of the generation's bindings.
  template <typename Message>
  void send_along(const Session& session, KeyGeneration& generation, const Along& along,
                  const Message& message) {
    seal_and_send(session, generation, along,
                  {reinterpret_cast<const uint8_t*>(&message), sizeof message});
  }
  void seal_and_send(const Session& session, KeyGeneration& generation, const Along& along,
                     std::span<const uint8_t> plaintext);
  std::optional<std::span<uint8_t>> open_control(std::span<uint8_t> message);

  // engine_spares.cc: spare indices, and what both ends do when a binding replaces another.
  size_t spares_wanted(const Session& session) const;
  std::vector<SpareBinding> issue_spares(PeerId id, uint16_t lanes, uint16_t& last_number,
                                         size_t count);
  void top_up_spares(const Session& session, KeyGeneration& generation);
  static wire::SpareIndices list_spares(std::span<const SpareBinding> spares, uint16_t binding);
  void drop_void_spares(KeyGeneration& generation);
  static void learn_spares(KeyGeneration& generation, const wire::SpareIndices& told);
  void retire_spares(KeyGeneration& generation);
  void drop_returned(KeyGeneration& generation, const wire::SpareIndices& told);
  void settle_drain(Millis now, Session& session);
  void give_back_spare(KeyGeneration& generation, uint16_t number);
  void on_new_indices(Millis now, Session& session, const Arrival& at,
                      const wire::NewIndices& message);
  void serve_spares(Millis now, Session& session);
  Millis spares_due(const Session& session) const;
  bool lacks_spares(const Session& session) const;
  bool is_stranded(const Session& session, const SpareBinding& spare) const;
  void rebind(Millis now, Session& session, uint16_t number, const Path& path);
  void tell_switch(Millis now, const Session& session, const Path& old_path);
  static size_t indices_alive(const PeerState& peer);

  // engine_reattach.cc: the responder's side of a jump.
  Ownership& ownership() { return config.ownership != nullptr ? *config.ownership : own_memory; }
  void on_transport_dead(Millis now, Session& session, const wire::TransportDead& message);
  void interface_lost(Millis now, uint16_t interface);
  void tell_dead(Millis now, Session& session);
  void source_changed(Millis now, const Path& from, ReceiverIndex index);
  void hint_rebind(Millis now, Session& session, const Path& from);
  void lose_session(Millis now, Session& session);
  void on_reattach_request(Millis now, Session& session, const Arrival& at,
                           const wire::ReattachRequest& message);
  void on_reattach_response(Millis now, Session& session, const Arrival& at,
                            const wire::ReattachResponse& message);
  Finding judge_request(Millis now, Session& session, const Arrival& at,
                        const wire::ReattachRequest& message);
  bool remembers_ended(const SessionId& id) const;
  void challenge(Millis now, Session& session, const Arrival& at,
                 const wire::ReattachRequest& message);
  void refuse_request(Millis now, Session& session, const Arrival& at,
                      const wire::ReattachRequest& message, const Finding& finding);
  void send_reject(Millis now, Session& session, const Arrival& at, uint64_t nonce,
                   ReceiverIndex receiver, const Finding& finding);
  void send_ack(Millis now, Session& session, uint64_t nonce);
  void send_hint(Session& session, const Path& to, wire::Hint hint);
  void tell_refusal(Millis now, const Session& session, const Finding& finding, const Path& from);
  void begin_commit(Millis now, Session& session);
  void end_commit(Millis now, PeerId id, uint64_t ticket, OwnershipAnswer answer);
  void apply_commit(Millis now, Session& session, const OutstandingChallenge& request);
  Event reattach_event(Millis now, const Session& session, Reason reason, Detail detail,
                       const Path& from) const;

  // engine_jump.cc: the initiator's side.
  void set_candidates(Millis now, PeerId id, std::span<const Path> paths);
  void path_lost(Millis now, PeerId id, const Path& path);
  void wish_jump(Millis now, PeerId id, const Path& path);
  void note_candidates(Millis now, Session& session);
  void serve_jump(Millis now, Session& session);
  Millis jump_due(const Session& session) const;
  Millis jump_may_start(const Session& session) const;
  std::vector<Path> jump_targets(Millis now, const Session& session) const;
  Candidate* candidate_at(const Session& session, const Path& path);
  PathMerits merits_of(Millis now, const Session& session, size_t place) const;
  std::optional<Path> better_path(Millis now, const Session& session) const;
  const Candidate* failback_target(const Session& session) const;
  Millis failback_due(const Session& session) const;
  void serve_failback(Millis now, Session& session);
  void note_jump(Millis now, Session& session, const Path& old_path);
  void start_jump(Millis now, Session& session);
  void send_request(Millis now, Session& session);
  SpareBinding* spare_for(Session& session, const Path& path, size_t kept = 0);
  bool lose_bound(Millis now, Session& session);
  void on_reattach_challenge(Millis now, Session& session, const Arrival& at,
                             const wire::ReattachChallenge& message);
  void on_reattach_ack(Millis now, Session& session, const Arrival& at,
                       const wire::ReattachAck& message);
  void on_reattach_reject(Millis now, Session& session, const Arrival& at,
                          const wire::ReattachReject& message);
  void on_policy_hint(Millis now, Session& session, const wire::PolicyHint& message);
  SpareBinding* spare_at(const Session& session, const Arrival& at);

  // engine_probe.cc: candidates kept warm.
  Millis probe_interval(const Session& session) const;
  size_t probe_bytes(const Session& session) const;
  template <typename Message>
  void send_padded(const Session& session, KeyGeneration& generation, const Along& along,
                   const Message& message, size_t bytes) {
    std::array<uint8_t, wire::kMaxPaddedPlaintext> plaintext{};
    __builtin_memcpy(plaintext.data(), &message, sizeof message);
    const size_t length = std::clamp(bytes, sizeof message, plaintext.size());
    seal_and_send(session, generation, along, {plaintext.data(), length});
  }
  Millis probe_due(const Session& session) const;
  void serve_probes(Millis now, Session& session);
  ReattachMemory& memory_of(Millis now, Session& session);
  void on_path_probe(Millis now, Session& session, const Arrival& at,
                     const wire::PathProbe& message);
  void on_path_challenge(Millis now, Session& session, const Arrival& at,
                         const wire::PathChallenge& message);
  void on_path_response(Millis now, Session& session, const Arrival& at,
                        const wire::PathResponse& message);
  void note_answer(Millis now, const Session& session, const Path& path,
                   const wire::PathChallenge& message);
  uint64_t token_epoch(Millis now, const Session& session) const;
  bool is_warm(Millis now, const Session& session, const Arrival& at) const;

  // engine_rekey.cc.
  void serve_rekey(Millis now, Session& session);
  Millis rekey_due(const Session& session) const;
  bool key_nearly_used(const Session& session);
  void ask_rekey(Millis now, Session& session);
  void drop_rekey(Session& session);
  void on_rekey_initiation(Millis now, Session& session, const wire::RekeyInitiation& message);
  void on_rekey_response(Millis now, Session& session, const wire::RekeyResponse& message);
  std::optional<Secret<kDhBytes>>* place_of(const PublicKey& peer) override;
  void adopt(Millis now, Session& session, std::unique_ptr<KeyGeneration> fresh,
             Millis previous_until);
  void keys_confirmed(Millis now, Session& session);
  Millis linger(const Session& session) const;

  EngineConfig config;
  SessionHost& host;
  Aead aead;
  MessageMac mac;
  DhKey own_key;
  Identity self;
  ResponderMacKeys own_macs;
  CookieSecrets secrets{};
  uint64_t secrets_generation = 1;
  Millis rotate_at = kNever;  ///< secrets last as long as a cookie made from them may be in use
  unsigned rotations_due = 0;
  TokenBucket handshakes;           ///< from any source
  TokenBucket verified_handshakes;  ///< from sources that showed a cookie
  TokenBucket security_events;
  std::unordered_map<PublicKey, PeerId, HashKey> by_key;
  std::vector<PeerState> peers;
  IndexAllocator indices;
  TimerWheel timers;     ///< one for each peer
  MacKey path_secret{};  ///< of reattach tokens
  MemoryOwnership own_memory;
  uint64_t commits_begun = 0;
  bool denies_new = false;                                ///< the latest reload was refused
  std::shared_ptr<int> alive = std::make_shared<int>(0);  ///< late answers of a store see it gone
  std::deque<Tombstone> tombstones;
  EngineCounters counters;
};

}  // namespace jvpn::engine
