// A store in memory: for gateways that shall keep nothing, clients and tests. Control thread only.
#pragma once

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "control/session/ownership.h"

namespace jvpn::session {

/// Sessions, by id. Several owners may share one, one after the other or at once.
class MemoryStore {
 public:
  /// With room for so many sessions.
  explicit MemoryStore(size_t sessions = 0) { sessions_.reserve(sessions); }

  /// An owner begins: its epoch.
  uint64_t begin_epoch() { return ++epochs_; }
  /// An owner is gone since then, as far as anybody knows.
  void end_epoch(uint64_t epoch, Millis now) { ended_[epoch] = now; }

  OwnershipReply apply(Millis now, const OwnershipCall& call, uint64_t epoch) {
    OwnershipReply reply{call.kind, call.ticket, call.peer, call.session, {}, {}};
    const auto at = sessions_.find(call.session);
    if (call.kind == OwnershipCall::Kind::kAcquire && at == sessions_.end()) {
      StoredSession fresh = call.record;
      fresh.epoch = epoch;
      sessions_[call.session] = {fresh, now};
      return reply;
    }
    if (at == sessions_.end()) {
      reply.answer = OwnershipAnswer::kLost;
      return reply;
    }
    apply_to(now, at->second, call, epoch, reply);
    return reply;
  }

 private:
  struct Kept {
    StoredSession record;
    Millis acquired;
  };

  void apply_to(Millis now, Kept& kept, const OwnershipCall& call, uint64_t epoch,
                OwnershipReply& reply) {
    StoredSession& record = kept.record;
    const bool takes = call.from_epoch != 0 && call.from_epoch != epoch;
    const uint64_t owner = takes ? call.from_epoch : epoch;
    if (call.kind == OwnershipCall::Kind::kLoad) return tell(now, kept, epoch, reply);
    if (record.ended || record.epoch != owner || (takes && serves(record.epoch, epoch))) {
      tell(now, kept, epoch, reply);
      reply.answer = OwnershipAnswer::kLost;
      return;
    }
    if (call.kind == OwnershipCall::Kind::kRelease) {
      record.ended = true;
      record.reason = call.record.reason;
      record.detail = call.record.detail;
      released_.push_back(record.id);
      if (released_.size() <= kReleasedKept) return;
      const SessionId oldest = released_.front();
      released_.pop_front();
      sessions_.erase(oldest);  // `kept` is another's
      return;
    }
    if (call.kind == OwnershipCall::Kind::kCommit) {
      const BindingVersion there = record.binding_version;
      if (there < call.expected || there > call.attempted || call.next < there) {
        tell(now, kept, epoch, reply);
        reply.answer = OwnershipAnswer::kConflict;
        return;
      }
      record.binding_version = call.next;
      record.epoch = epoch;
    }
    record.ceiling = std::max({record.ceiling, call.ceiling, call.record.ceiling});
  }

  void tell(Millis now, const Kept& kept, uint64_t epoch, OwnershipReply& reply) const {
    reply.found = kept.record;
    reply.found->lived = kept.record.lived + (now - kept.acquired);
    reply.found->served = serves(kept.record.epoch, epoch);
    const auto gone = ended_.find(kept.record.epoch);
    if (kept.record.epoch != epoch && gone != ended_.end())
      reply.found->unserved = now - gone->second;
  }
  /// Whether that owner, another than who asks, may still run.
  bool serves(uint64_t owner, uint64_t asking) const {
    return owner != asking && !ended_.contains(owner);
  }

  static constexpr size_t kReleasedKept = 4'096;  // then the oldest is as one that never was

  std::unordered_map<SessionId, Kept> sessions_;
  std::deque<SessionId> released_;
  std::unordered_map<uint64_t, Millis> ended_;
  uint64_t epochs_ = 0;
};

/// One owner. Replies are there at once.
class MemoryOwnership : public Ownership {
 public:
  explicit MemoryOwnership(MemoryStore& store) : store_(store), epoch_(store.begin_epoch()) {}
  uint64_t epoch() const override { return epoch_; }
  bool ask(Millis now, const OwnershipCall& call) override {
    replies_.push_back(store_.apply(now, call, epoch_));
    return true;
  }
  std::optional<OwnershipReply> take() override {
    if (replies_.empty()) return std::nullopt;
    const OwnershipReply next = replies_.front();
    replies_.pop_front();
    return next;
  }

  bool has_replies() const override { return !replies_.empty(); }

 protected:
  void reply(const OwnershipReply& reply) { replies_.push_back(reply); }
  MemoryStore& store() { return store_; }

 private:
  MemoryStore& store_;
  uint64_t epoch_;
  std::deque<OwnershipReply> replies_;
};

}  // namespace jvpn::session
