// A store of ownership that does what a cluster's may do: answer late, not at all, or that another
// node was faster. Each gateway has an end of its own.
#pragma once

#include <deque>
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
    sessions_.end_epoch(call.from_epoch, now);
    EXPECT_EQ(open()->apply(now, call).answer, OwnershipAnswer::kCommitted);
  }
  /// That gateway, counted from 0, is known to be over.
  void stop(size_t number, Millis now) { sessions_.end_epoch(clients_[number].epoch(), now); }
  /// What is kept of a session.
  std::optional<StoredSession> kept(const SessionId& session) {
    const OwnershipCall call{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = session};
    return open()->apply(Millis{}, call).found;
  }

  bool reachable = true;  ///< before a commit is tried
  bool answers = true;    ///< when one is
  bool durable = false;   ///< what it keeps outlives a gateway
  bool late = false;      ///< commits are answered by answer() alone
  size_t commits = 0;

  /// One owner's way to what is kept.
  class Backend {
   public:
    virtual ~Backend() = default;
    virtual uint64_t epoch() const = 0;
    virtual OwnershipReply apply(Millis now, const OwnershipCall& call) = 0;
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
    bool reachable() const override { return of_.asks() && of_.reachable; }
    bool has_replies() const override { return !replies_.empty(); }
    std::optional<OwnershipReply> take() override {
      if (replies_.empty()) return std::nullopt;
      OwnershipReply next = replies_.front();
      replies_.pop_front();
      return next;
    }
    bool ask(Millis now, const OwnershipCall& call) override {
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

   private:
    bool made(Millis now, const OwnershipCall& call) {
      replies_.push_back(backend_->apply(now, call));
      return true;
    }

    TestStore& of_;
    std::unique_ptr<Backend> backend_;
    std::deque<OwnershipReply> replies_;
  };
  struct Waiting {
    Client* client = nullptr;
    OwnershipCall call;
  };

  virtual std::unique_ptr<Backend> open() { return std::make_unique<InMemory>(sessions_); }
  /// Called whenever somebody asks whether the store is there. False: it isn't.
  virtual bool asks() { return true; }
  /// The answer to this commit, whatever is there.
  virtual std::optional<OwnershipAnswer> forced() { return std::nullopt; }

 public:
  std::vector<Waiting> waiting;

 private:
  MemoryStore sessions_;
  std::deque<Client> clients_;
};

}  // namespace jvpn::test
