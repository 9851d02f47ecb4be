// A control message's way through the engine, from the ring to the part that answers it:
//   1. index    2. lane and control counter, once only    3. key confirmation, signs of life
//   4. version, type and size    5. the part
// Answers go along the session's binding, never to where a message came from.
// Control thread only.
#pragma once

#include "control/engine/parts.h"

namespace jvpn::engine {

/// What a message was opened under. An index may have been given away again since.
struct OpenedUnder {
  ReceiverIndex index;
  std::optional<uint64_t> serial;  ///< of that install; nullopt: it was opened just now
};

class PacketDispatch {
 public:
  explicit PacketDispatch(Parts& parts) : parts_(parts) {}

  /// A message whose tag was right. Returns the peer whose state may have changed.
  std::optional<PeerId> on_control(Millis now, const Path& from, const OpenedUnder& under,
                                   uint64_t counter, std::span<const uint8_t> plaintext);
  /// The index still is what the message was opened under.
  bool is_same_install(const OpenedUnder& under) const;

 private:
  bool answers_heartbeat(Millis now, const Keyed& at, std::span<const uint8_t> plaintext);
  bool waits_for_commit(const Keyed& at, const Path& from, ReceiverIndex index, uint64_t counter,
                        std::span<const uint8_t> plaintext);
  bool confirm_keys(Millis now, Keyed& at);
  void dispatch(Millis now, Session& session, const Arrival& at,
                std::span<const uint8_t> plaintext);
  bool dispatch_liveness(Millis now, Session& session, const Arrival& at, wire::ControlType type,
                         std::span<const uint8_t> plaintext);
  bool is_current(const Session& session, const Arrival& at);
  bool dispatch_paths(Millis now, Session& session, const Arrival& at, wire::ControlType type,
                      std::span<const uint8_t> plaintext);
  void on_terminate(Millis now, Session& session, const wire::Terminate& message);

  /// Hands the message to `receive` if what follows its fixed part needn't be understood. One that
  /// is too short ends the session.
  template <typename Message, typename Receive>
  bool deliver(Millis now, Session& session, std::span<const uint8_t> plaintext, Receive receive);

  Parts& parts_;
};

}  // namespace jvpn::engine
