#include "control/jump/spare_keeper.h"

#include <algorithm>

namespace jvpn::jump {
namespace {

constexpr Millis kAskAgain{5'000};  // for spares that the responder may not have

}  // namespace

/// It belongs to a path that the session can't or won't take any more.
bool SpareKeeper::is_stranded(const Session& session, const SpareBinding& spare) const {
  if (!spare.path) return false;
  const std::optional<JumpWish>& wish = session.initiator->jumping.wish;
  if (wish && wish->path == *spare.path) return false;
  return candidates_.at(session, *spare.path) == nullptr;
}

bool SpareKeeper::lacks_spares(const Session& session) const {
  if (!session.initiates() || !session.confirmed || session.jumping() || !session.has_transport()) {
    return false;
  }
  const SpareSet& spares = session.current->spares;
  const bool stranded = std::ranges::any_of(
      spares, [&](const SpareBinding& spare) { return is_stranded(session, spare); });
  const size_t held = spares.size() - spares.count(SpareStatus::kReturned);
  return stranded || held < bindings_.spares_wanted(context_.policy_of(session));
}

Millis SpareKeeper::due(const Session& session) const {
  return lacks_spares(session) ? session.initiator->spares_asked + kAskAgain : kNever;
}

bool SpareKeeper::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  session.initiator->spares_asked = now;
  auto message = control_message<wire::NewIndices>(wire::ControlType::kNewIndices);
  size_t returned = 0;
  for (SpareBinding& spare : session.current->spares) {
    if (is_stranded(session, spare)) spare.status = SpareStatus::kReturned;
    const bool goes = spare.status == SpareStatus::kReturned && returned < wire::kSpareIndices;
    if (!goes) continue;
    message.spares.index[returned] = spare.remote.value;
    message.spares.number[returned++] = spare.number;
  }
  channel_.send(session, message);
  return true;
}

void SpareKeeper::on_new_indices(Session& session, const Arrival& at,
                                 const wire::NewIndices& message) {
  if (session.initiates()) {
    bindings_.drop_returned_spares(at.generation, message.spares);
    return at.generation.learn_spares(message.spares);
  }
  if (!session.has_transport()) {
    ++context_.counters.control_stale;
    return;
  }
  const ReattachMemory* const memory = session.responder->reattach.get();
  for (size_t i = 0; i < wire::kSpareIndices; ++i) {
    if (message.spares.index[i] == 0) continue;
    const uint16_t number = message.spares.number[i];
    const bool challenged =
        memory != nullptr && memory->outstanding && memory->outstanding->number == number;
    if (!challenged) bindings_.take_back_spare(at.generation, number);
  }
  bindings_.top_up_spares(session, at.generation);
  auto answer = control_message<wire::NewIndices>(wire::ControlType::kNewIndices);
  answer.spares = at.generation.spares.offered();
  channel_.send(session, at.generation, answer);
}

}  // namespace jvpn::jump
