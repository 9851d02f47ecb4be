// A jump from a dead path loses nothing that its sender still holds (docs/DESIGN.md, hold): both
// ends' words on it, as fields of REATTACH_REQUEST and REATTACH_ACK.
//
//   initiator: the indices that it holds packets under → responder: the commit closes them, and
//   once nothing can come under them any more the acknowledgement tells what did → initiator:
//   HoldSettle, before it sends on the new binding
//
//   initiator: closes its own indices, and the request tells what came under them → responder: the
//   commit's HoldSettle, before it sends on the new binding
//
// Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "control/session/bindings.h"
#include "control/session/context.h"
#include "control/session/vocabulary.h"

namespace jvpn::jump {

// Initiator.

/// It holds what it sends: nothing follows a request before the responder has told what it has.
bool holds_packets(const Context& context, const Session& session);
/// Of a request from a dead path; nothing when no packets are held.
std::vector<uint8_t> held_fields(const Context& context, const Session& session);
/// The acknowledgement's word on what is held; without one that is given up. False: it contradicts
/// the protocol.
bool settle_hold(Context& context, const Session& session, std::span<const uint8_t> fields);

/// What a responder that holds packets is told. Writes InitiatorSide::closed.
class LaneCloser {
 public:
  explicit LaneCloser(Context& context) : context_(context) {}

  /// Of a request by that spare, from a dead path to a responder that holds: closes the indices
  /// that data may have come under, for good, and adds what did. The dead binding's is never used
  /// again; what comes under it late, the responder seals anew. A report is made once and kept, for
  /// it may be another request that is committed.
  void append_report(Session& session, const SpareBinding& by, std::vector<uint8_t>& fields);
  /// No data is taken under it any more: its binding can't carry the session.
  static bool is_closed(const Session& session, ReceiverIndex index);
  /// A commit was followed: all that was told is settled.
  static void forget(Session& session) { session.initiator->closed.reports.clear(); }

 private:
  bool close(Session& session, ReceiverIndex index);
  void close_asked(Session& session, const SpareBinding& by);

  Context& context_;
};

// Responder.

/// What a request tells; nothing of it was looked up. nullopt: it contradicts the protocol.
std::optional<HoldWord> hold_word(std::span<const uint8_t> fields);
/// The commit's, before the responder sends on the new binding: the request's word on what it
/// holds. Without one that is given up, unless the old path has carried everything.
void settle_own_hold(Context& context, const Session& session, HoldWord& word);
/// What a request names; nothing of it was looked up.
HeldIndices held_indices(std::span<const uint8_t> fields);

/// What is told of indices that were closed at a commit. Writes ReattachMemory::closed.
class ClosedLanes {
 public:
  static constexpr Millis kPatience{100};

  ClosedLanes(Context& context, Bindings& bindings) : context_(context), bindings_(bindings) {}

  /// The commit's, after the swap of the binding: closes those of `held` that still receive. What
  /// was told of others that it names, closed by an earlier one, stays. True: the acknowledgement
  /// has to wait for the host.
  bool close(Millis now, Session& session, const HeldIndices& held);
  /// A repeated request needs no answer: the acknowledgement is about to go. After kPatience it is
  /// answered with what is known: no worker that stands still keeps an initiator waiting.
  static bool answers_soon(Millis now, const Session& session);
  /// The host says what came under an index. True: the acknowledgement may go now.
  bool take(Session& session, const LaneReport& report);
  /// Fields of the acknowledgement, as far as the host has said.
  static std::vector<uint8_t> fields(const Session& session);

 private:
  Context& context_;
  Bindings& bindings_;
};

}  // namespace jvpn::jump
