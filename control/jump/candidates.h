// The paths that an initiator's session may jump to: what probing has shown of each, and which is
// the best. Decides nothing. Control thread only.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "control/jump/path_choice.h"
#include "control/session/context.h"
#include "control/session/part.h"
#include "control/session/vocabulary.h"

namespace jvpn::jump {

class Candidates : public Part {
 public:
  explicit Candidates(Context& context) : context_(context) {}

  /// Replaces the list, by preference; what is known of those that stay is kept. True: some are
  /// new to the session, if there is one.
  bool replace(PeerId id, std::span<const Path> paths);
  void remove(PeerId id, const Path& path);

  /// Those of the gateway that has the session: no other one has its keys.
  std::span<Candidate> of(const Session& session);
  std::span<const Candidate> of(const Session& session) const;
  /// nullptr: no candidate.
  Candidate* at(const Session& session, const Path& path);

  PathMerits merits(Millis now, const Session& session, const Candidate& candidate) const;
  bool is_warm(Millis now, const Session& session, const Candidate& candidate) const {
    return merits(now, session, candidate).standing == Standing::kWarm;
  }
  /// The best one, if it is worth to leave the living path, whose merits are `bound`, for it.
  std::optional<Path> better_than(Millis now, const Session& session,
                                  const PathMerits& bound) const;
  /// The best of those tried least; all by rank otherwise. The path bound so far may be back: it
  /// comes at the end of each round, and alone when there is no candidate.
  Path next_target(Millis now, const Session& session) const;

  /// The most preferred of those that stand before the bound path and answer every probe; nullptr:
  /// none.
  Candidate* preferred(const Session& session);
  const Candidate* preferred(const Session& session) const;
  /// So many answers in a row hardly come from a path that loses loss_volatile_threshold or more:
  /// with a chance of 5 %, or of what 100 answers leave of it.
  static uint32_t answers_to_trust(const Policy& policy);

  /// A probe or a jump to it wasn't answered.
  static void note_loss(Candidate& candidate);
  /// The probe that is out came back.
  static void note_answer(Millis now, Candidate& candidate, std::optional<uint32_t> rtt_us);

  /// A session that has begun to recover tries all of them anew.
  void on_rows(Millis now, Session& session) override;
  /// Nothing is known of the path that was left, nor of those to other gateways: what probes showed
  /// was of other keys.
  void on_rebound(Millis now, Session& session, const Path& old_path) override;

 private:
  GatewayNumber here(const Session& session) const {
    return context_.gateway_of(session.peer, session.path);
  }

  Context& context_;
};

}  // namespace jvpn::jump
