// A store of ownership that does what a cluster's may do: answer late, not at all, or that another
// node was faster. Each gateway has an end of its own.
#pragma once

#include <deque>
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
  Ownership& client() { return clients_.emplace_back(*this); }
  /// Replies to whoever waits; a commit that is told to have succeeded has.
  void answer(Millis now, OwnershipAnswer what) {
    for (Waiting& each : std::exchange(waiting, {})) each.client->answer(now, each.call, what);
  }
  /// Another node takes the session over, as its own compare-and-set would.
  void take_over(Millis now, const SessionId& session, BindingVersion to) {
    OwnershipCall call{.kind = OwnershipCall::Kind::kCommit, .peer = {}, .session = session};
    call.attempted = BindingVersion{UINT64_MAX};
    call.next = to;
    call.from_epoch = 1;  // of the only gateway that was there before
    EXPECT_EQ(sessions.apply(now, call, sessions.begin_epoch()).answer,
              OwnershipAnswer::kCommitted);
  }
  /// What is kept of a session.
  std::optional<StoredSession> kept(const SessionId& session) {
    const OwnershipCall call{.kind = OwnershipCall::Kind::kLoad, .peer = {}, .session = session};
    return sessions.apply(Millis{}, call, 0).found;
  }

  bool reachable = true;  ///< before a commit is tried
  bool answers = true;    ///< when one is
  bool late = false;      ///< commits are answered by answer() alone
  size_t commits = 0;

 private:
  class Client final : public MemoryOwnership {
   public:
    explicit Client(TestStore& of) : MemoryOwnership(of.sessions), of_(of) {}
    bool reachable() const override { return of_.asks() && of_.reachable; }
    bool ask(Millis now, const OwnershipCall& call) override {
      if (call.kind != OwnershipCall::Kind::kCommit) return MemoryOwnership::ask(now, call);
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
      return MemoryOwnership::ask(now, call);
    }
    void answer(Millis now, const OwnershipCall& call, OwnershipAnswer what) {
      if (what == OwnershipAnswer::kCommitted) {
        MemoryOwnership::ask(now, call);
        return;
      }
      reply({call.kind, call.ticket, call.peer, call.session, what, {}});
    }

   private:
    TestStore& of_;
  };
  struct Waiting {
    Client* client = nullptr;
    OwnershipCall call;
  };

  /// Called whenever somebody asks whether the store is there. False: it isn't.
  virtual bool asks() { return true; }
  /// The answer to this commit, whatever is there.
  virtual std::optional<OwnershipAnswer> forced() { return std::nullopt; }

 public:
  MemoryStore sessions;
  std::vector<Waiting> waiting;

 private:
  std::deque<Client> clients_;
};

}  // namespace jvpn::test
