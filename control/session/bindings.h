// Receiver indices, spare bindings, and the swap of the active binding: the heart of a jump.
//
//   issue_spares() → install_rx() → assign_spare() → rebind() → the old index drains →
//   retire_index()
//
// Spares are issued ahead by the responder, each for one path and with lanes of its own, so that a
// jump shows nothing on the new path that was seen on the old. Control thread only.
#pragma once

#include <optional>

#include "control/session/context.h"
#include "control/session/reset_tokens.h"

namespace jvpn::session {

/// Spares that were drawn for new keys and not installed yet.
struct IssuedSpares {
  SpareSet spares;
  uint16_t last_number = 0;
};

class Bindings {
 public:
  explicit Bindings(Context& context)
      : context_(context),
        reset_tokens_(context.mac, context.config.private_key, context.config.node) {}

  // Indices.

  /// A fresh one for a peer, which never has more than kIndicesPerSession: draining ones make room.
  /// nullopt: all slots are taken.
  std::optional<ReceiverIndex> allocate_index(PeerId id);
  /// The same, with memory for its `lanes`. nullopt (counted): no slot, or no memory.
  std::optional<ReceiverIndex> allocate_index(PeerId id, uint16_t lanes);
  /// Of an index that was never installed.
  void release_index(ReceiverIndex index);
  /// Stops receiving on an installed index.
  void retire_index(ReceiverIndex index);
  /// Nothing is taken any more under one of the peer's that drains or is of the keys before; the
  /// host says what was. False: it is neither.
  bool close_index(Session& session, ReceiverIndex index);
  /// Retires the draining indices whose time is over.
  void serve_draining(Millis now, PeerState& peer);
  /// Retires all of them now.
  void retire_draining(PeerState& peer);
  static Millis draining_due(const PeerState& peer);
  /// Draining indices are retired at most `after` from now.
  static void shorten_draining(Millis now, Millis after, PeerState& peer);
  /// What goes to the initiator with an index that is given out now.
  wire::ResetToken reset_token(ReceiverIndex index) const;
  const ResetTokens& reset_tokens() const { return reset_tokens_; }

  // Room. Whatever is installed was set aside before anybody heard of it.

  /// For an index whose lanes are known only now. False (counted): no memory.
  bool reserve_rx(PeerId id, ReceiverIndex index, uint16_t lanes);
  /// For the peer's next install_tx(), install_tx_ahead() or rebind(). False (counted): no memory.
  bool reserve_tx(PeerId id);

  // Spare bindings.

  /// One for each path that policy lets a session keep in view, and one for a path that turns up.
  size_t spares_wanted(const Policy& policy) const;
  /// As many as are wanted, for new keys of a peer that sends on `lanes`; fewer when indices run
  /// short.
  IssuedSpares issue_spares(PeerId id, uint16_t lanes, size_t wanted);
  void release_spares(const IssuedSpares& issued);
  /// Responder: as many on offer as are wanted, installed.
  void top_up_spares(const Session& session, KeyGeneration& generation);
  /// Initiator: the spare that belongs to `path`, or an unused one that now does; nullptr when
  /// there is none, or when no more than `kept` would be left.
  SpareBinding* assign_spare(const Session& session, const Path& path, size_t kept = 0);
  /// Those at or below the active binding's number can't be taken any more.
  void drop_void_spares(KeyGeneration& generation);
  /// Initiator: spares given back are gone once the responder lists them no more.
  void drop_returned_spares(KeyGeneration& generation, const wire::SpareIndices& told);
  /// Responder: the initiator gives one back.
  void take_back_spare(KeyGeneration& generation, uint16_t number);
  void retire_spares(KeyGeneration& generation);

  // What the data path has.

  /// The active binding's index of these keys and those of the installed spares.
  void install_rx(const Session& session, const KeyGeneration& generation);
  /// Data goes by the active binding of the current keys.
  void install_tx(Session& session);
  /// Initiator without a transport: data follows the request by this spare, before its commit.
  void install_tx_ahead(Session& session, const SpareBinding& spare);
  /// The policy may have moved the end of the session: what is installed holds until then, unless
  /// its keys end sooner.
  void extend(const Session& session);
  /// Nothing is sent to the peer any more. What wants to go waits where packets are held, or else
  /// is dropped by name.
  void withdraw_tx(Session& session, Waiting waiting = Waiting::kKept);

  /// The spare of that number takes the place of the active binding, on `path`. The old index
  /// drains.
  void rebind(Millis now, Session& session, uint16_t number, const Path& path);
  /// Responder: the initiator was heard on the new binding; what it sent before arrives within
  /// drain_ms.
  void settle_draining(Millis now, Session& session);

  // The end of keys.

  void retire(std::unique_ptr<KeyGeneration>& generation);
  /// Retires every index of a session that ends, or lets the active ones drain: at our end of a
  /// dialled session until the responder has moved to the new one, at the latest until it must
  /// have; `longer` than the policy's drain_ms.
  void release_keys(Millis now, Session& session, bool drain, Millis longer = {});

 private:
  void issue(PeerId id, uint16_t lanes, size_t count, SpareSet& spares, uint16_t& last_number);
  void install_index(const Session& session, const KeyGeneration& generation, ReceiverIndex index,
                     uint16_t number);
  Millis end_of(const Session& session, const KeyGeneration& generation) const;
  void send_by(Session& session, ReceiverIndex remote, uint16_t number, const Path& path);

  Context& context_;
  ResetTokens reset_tokens_;
};

}  // namespace jvpn::session
