// A jump from a dead path loses nothing that its sender still holds (docs/DESIGN.md, hold): both
// ends' words on it, as fields of REATTACH_REQUEST and REATTACH_ACK.
//
//   initiator: the indices that it holds packets under → responder: the commit closes them, and
//   once nothing can come under them any more the acknowledgement tells what did → initiator:
//   HoldSettle, before it sends on the new binding
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

// Responder.

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
