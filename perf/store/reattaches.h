// Reattaches at a gateway's engine, for what a store adds to each: real initiators' engines jump
// between their paths, one session after the other, and so many of them may be unanswered. Counted
// is all that the gateway's engine does, on the one thread that everything runs on, but for the
// store's. Time is virtual.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "control/session/ownership.h"
#include "perf/harness/engine_node.h"

namespace jvpn::perf {

/// Hands everything on, and knows what is unanswered.
class CountedOwnership final : public session::Ownership {
 public:
  explicit CountedOwnership(session::Ownership& store) : store_(store) {}

  bool durable() const override { return store_.durable(); }
  uint64_t epoch() const override { return store_.epoch(); }
  bool ask(Millis now, const session::OwnershipCall& call) override {
    const bool asked = store_.ask(now, call);
    unanswered_ += asked ? 1 : 0;
    return asked;
  }
  std::optional<session::OwnershipReply> take() override {
    auto reply = store_.take();
    unanswered_ -= reply ? 1 : 0;
    return reply;
  }
  bool has_replies() const override { return store_.has_replies(); }
  int descriptor() const override { return store_.descriptor(); }
  uint64_t unanswered() const { return unanswered_; }

 private:
  session::Ownership& store_;
  uint64_t unanswered_ = 0;
};

class Reattaches : EngineWorld<> {
 public:
  struct Options {
    uint32_t sessions = 1'024;
    uint32_t at_once = 256;
    session::Ownership* store = nullptr;  ///< none: in the engine's memory
  };
  struct Slice {
    uint64_t jumps = 0;
    double gateway_s = 0;  ///< that its engine took
    double all_s = 0;      ///< initiators included
  };

  /// All sessions attached, and known to the store.
  static Result<std::unique_ptr<Reattaches>> create(const Options& options);
  /// So many jumps, each of which has to be committed.
  Result<Slice> run(uint32_t jumps);

 private:
  explicit Reattaches(const Options& options);
  Result<void> start();
  void deliver(EngineNode& initiator);
  /// What the store has told meanwhile, and what is due.
  void turn();
  Result<void> wait_until_less(uint64_t unanswered);
  template <typename Call>
  void time(Call&& call);

  const Options options_;
  std::unique_ptr<CountedOwnership> store_;
  std::vector<uint64_t> jumps_;  ///< by session
  uint32_t next_ = 0;
  std::chrono::steady_clock::duration spent_{};
};

}  // namespace jvpn::perf
