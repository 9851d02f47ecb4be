// Sealing and opening of control messages. Answers go along a binding, under its own counters.
// Control thread only.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "common/assert.h"
#include "common/wire.h"
#include "control/session/context.h"
#include "control/session/control_message.h"

namespace jvpn::session {

class ControlChannel {
 public:
  explicit ControlChannel(Context& context) : context_(context) {}

  /// Along a generation's active binding.
  template <typename Message>
  void send(const Session& session, KeyGeneration& generation, const Message& message) {
    send_along(session, generation, {generation.local, generation.remote, session.path}, message);
  }
  /// Along the active binding of the current keys.
  template <typename Message>
  void send(const Session& session, const Message& message) {
    send(session, *session.current, message);
  }
  /// Along any of a generation's bindings.
  template <typename Message>
  void send_along(const Session& session, KeyGeneration& generation, const Route& route,
                  const Message& message) {
    seal_and_send(session, generation, route,
                  {reinterpret_cast<const uint8_t*>(&message), sizeof message});
  }
  /// The same, with fields behind the fixed part.
  template <typename Message>
  void send_along(const Session& session, KeyGeneration& generation, const Route& route,
                  const Message& message, std::span<const uint8_t> fields) {
    std::array<uint8_t, wire::kMaxControlPlaintext> plaintext;
    JVPN_ASSERT(sizeof message + fields.size() <= plaintext.size(), "fields have their bound");
    __builtin_memcpy(plaintext.data(), &message, sizeof message);
    std::ranges::copy(fields, plaintext.begin() + sizeof message);
    seal_and_send(session, generation, route, {plaintext.data(), sizeof message + fields.size()});
  }
  /// Without fields, padded to `bytes` where the message is shorter.
  template <typename Message>
  void send_padded(const Session& session, KeyGeneration& generation, const Route& route,
                   const Message& message, size_t bytes) {
    std::array<uint8_t, wire::kMaxPaddedPlaintext> plaintext{};
    __builtin_memcpy(plaintext.data(), &message, sizeof message);
    const size_t length = std::clamp(bytes, sizeof message, plaintext.size());
    seal_and_send(session, generation, route, {plaintext.data(), length});
  }
  /// POLICY_HINT to a source that has to be authentic.
  void send_hint(const Session& session, const Path& to, wire::Hint hint);

  /// The plaintext, in place, and its counter; nullopt when the index is unknown or the tag wrong.
  std::optional<OpenedControl> open(std::span<uint8_t> message);

 private:
  bool is_silenced(std::span<const uint8_t> plaintext) const;
  uint64_t mask_of(KnownMask& latest, const DirectionKeys& keys, ReceiverIndex index);
  void seal_and_send(const Session& session, KeyGeneration& generation, const Route& route,
                     std::span<const uint8_t> plaintext);

  Context& context_;
};

}  // namespace jvpn::session
