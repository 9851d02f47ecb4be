// A store of ownership that does what a cluster's may do: answer late, not at all, or that another
// node was faster. Each gateway has an end of its own.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/memory_ownership.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

class TestStore {
 public:
  TestStore() = default;
  TestStore(const TestStore&) = delete;
  TestStore& operator=(const TestStore&) = delete;
  virtual ~TestStore() = default;

  /// The store as one more gateway sees it.
  Ownership& client() { return clients_.emplace_back(*this, open()); }
  /// Replies to whoever waits; a commit that is told to have succeeded has.
  void answer(Millis now, OwnershipAnswer what) {
    for (Waiting& each : std::exchange(waiting, {})) each.client->answer(now, each.call, what);
  }
  /// Another node takes the session over, as its own compare-and-set would.
  void take_over(Millis now, const SessionId& session, BindingVersion to) {
    OwnershipCall call{.kind = OwnershipCall::Kind::kCommit, .peer = {}, .session = session};
    call.attempted = BindingVersion{UINT64_MAX};
    call.next = to;
    call.from_epoch = clients_.front().epoch();
    call.record.peer = peer_of(session);
    end_run(now, call.from_epoch);
    EXPECT_EQ(open()->apply(now, call).answer, OwnershipAnswer::kCommitted);
  }
  /// That gateway, counted from 0, is known to be over.
  void stop(size_t number, Millis now) { end_run(now, clients_[number].epoch()); }
  /// That one knows until then that its sessions are its own.
  void prove(size_t number, Millis until) { clients_[number].proven_until = until; }
  /// Whatever is behind it can't be reached by anybody, until it can again.
  virtual void cut_off(bool cut) { cut_ = cut; }
  /// It knows which of several gateways still run. A file is one gateway's: whoever opens it has
  /// shown by the lock of its folder that nobody else does.
  virtual bool tells_who_runs() const { return true; }
  /// What is kept of a session.
  std::optional<StoredSession> kept(const SessionId& session) {
    OwnershipCall call{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = session};
    call.record.peer = peer_of(session);
    return open()->apply(Millis{}, call).found;
  }

  bool reachable = true;         ///< before a commit is tried
  bool answers = true;           ///< when one is
  bool durable = false;          ///< what it keeps outlives a gateway
  bool shared = false;           ///< gateways may ask each other for what it keeps
  bool late = false;             ///< commits are answered by answer() alone
  Millis proven_until = kNever;  ///< that a gateway's sessions are its own
  size_t commits = 0;

  /// One owner's way to what is kept.
  class Backend {
   public:
    virtual ~Backend() = default;
    virtual uint64_t epoch() const = 0;
    virtual OwnershipReply apply(Millis now, const OwnershipCall& call) = 0;
    virtual std::optional<OwnershipNotice> take_notice() { return std::nullopt; }
    virtual void begin_again() {}
  };

 private:
  class InMemory final : public Backend {
   public:
    explicit InMemory(MemoryStore& sessions)
        : sessions_(sessions), epoch_(sessions.begin_epoch()) {}
    uint64_t epoch() const override { return epoch_; }
    OwnershipReply apply(Millis now, const OwnershipCall& call) override {
      return sessions_.apply(now, call, epoch_);
    }

   private:
    MemoryStore& sessions_;
    uint64_t epoch_;
  };

  class Client final : public Ownership {
   public:
    Client(TestStore& of, std::unique_ptr<Backend> backend)
        : of_(of), backend_(std::move(backend)) {}
    uint64_t epoch() const override { return backend_->epoch(); }
    bool durable() const override { return of_.durable; }
    bool may_ask_owner() const override { return of_.shared; }
    Millis safe_until() const override { return std::min(proven_until, of_.proven_until); }
    bool silent() const override { return now_ > safe_until(); }
    void note_alive(Millis now, bool) override { now_ = now; }
    bool reachable() const override { return of_.asks() && of_.reachable && !silent(); }
    bool has_replies() const override { return !replies_.empty(); }
    std::optional<OwnershipReply> take() override {
      if (replies_.empty()) return std::nullopt;
      OwnershipReply next = replies_.front();
      replies_.pop_front();
      return next;
    }
    std::optional<OwnershipNotice> take_notice() override { return backend_->take_notice(); }
    void begin_again() override { backend_->begin_again(); }
    bool ask(Millis now, const OwnershipCall& call) override {
      if (of_.cut_) return false;
      if (call.kind == OwnershipCall::Kind::kAcquire) of_.peers_[call.session] = call.record.peer;
      if (call.kind != OwnershipCall::Kind::kCommit) return made(now, call);
      ++of_.commits;
      if (of_.late) {
        of_.waiting.push_back({this, call});
        return true;
      }
      if (!of_.answers) return false;
      if (const auto forced = of_.forced()) {
        answer(now, call, *forced);
        return true;
      }
      return made(now, call);
    }
    void answer(Millis now, const OwnershipCall& call, OwnershipAnswer what) {
      if (what == OwnershipAnswer::kCommitted)
        made(now, call);
      else
        replies_.push_back({call.kind, call.ticket, call.peer, call.session, what, {}});
    }

    Millis proven_until = kNever;

   private:
    bool made(Millis now, const OwnershipCall& call) {
      replies_.push_back(backend_->apply(now, call));
      return true;
    }

    TestStore& of_;
    Millis now_;
    std::unique_ptr<Backend> backend_;
    std::deque<OwnershipReply> replies_;
  };
  struct Waiting {
    Client* client = nullptr;
    OwnershipCall call;
  };

  /// That run is over, and all others know it.
  virtual void end_run(Millis now, uint64_t epoch) { sessions_.end_epoch(epoch, now); }
  virtual std::unique_ptr<Backend> open() { return std::make_unique<InMemory>(sessions_); }
  /// Called whenever somebody asks whether the store is there. False: it isn't.
  virtual bool asks() { return true; }
  /// The answer to this commit, whatever is there.
  virtual std::optional<OwnershipAnswer> forced() { return std::nullopt; }

 public:
  std::vector<Waiting> waiting;

 private:
 protected:
  const std::map<SessionId, PublicKey>& peers() const { return peers_; }

 private:
  PublicKey peer_of(const SessionId& session) const {
    const auto at = peers_.find(session);
    return at == peers_.end() ? PublicKey{} : at->second;
  }

  bool cut_ = false;
  MemoryStore sessions_;
  std::deque<Client> clients_;
  std::map<SessionId, PublicKey> peers_;
};

}  // namespace jvpn::test
