// The store that several gateways share, with its threads and an etcd: calls are answered, a
// session is handed over, and a run that stops leaves what it had at once.
#include "control/cluster/etcd_ownership.h"

#include <csignal>
#include <functional>

#include <poll.h>

#include "control/session/system_sources.h"
#include "tests/cluster/etcd_rig.h"
#include "tests/support/etcd_server.h"

namespace jvpn::cluster {
namespace {

using session::OwnershipAnswer;
using session::OwnershipCall;
using session::OwnershipNotice;
using session::OwnershipReply;
using Kind = OwnershipCall::Kind;

constexpr uint8_t kSessions = 200;

OwnershipCall call(Kind kind, uint8_t number) {
  static uint64_t tickets = 0;
  OwnershipCall made;
  made.kind = kind;
  made.ticket = ++tickets;
  made.session.bytes.fill(number);
  made.record.id = made.session;
  made.record.peer.fill(number);
  made.record.binding_version = made.expected = made.attempted = BindingVersion{1};
  made.next = BindingVersion{3};
  return made;
}

/// A gateway's end of the store; what control does, without a gateway.
class End {
 public:
  End(const test::EtcdServers& servers, const std::string& node) {
    std::signal(SIGPIPE, SIG_IGN);
    EtcdOwnershipOptions options;
    options.etcd.endpoints = servers.endpoints();
    options.node = node;
    options.prefix = "test";
    options.safe = Millis{10'000};
    options.patience = Millis{20'000};
    SecretKey key;
    key.bytes().fill(1);
    store_ = test::must(EtcdOwnership::open(std::move(options), key));
  }
  /// Until `done`, or for a minute.
  bool run(const std::function<bool()>& done) {
    for (const Millis end = session::boottime_now() + kMinute; !done();) {
      if (session::boottime_now() > end) return false;
      store_->note_alive(session::boottime_now(), true);
      pollfd waits{store_->descriptor(), POLLIN, 0};
      poll(&waits, 1, 10);
      while (const auto notice = store_->take_notice()) notices.push_back(*notice);
      while (const auto reply = store_->take()) replies.push_back(*reply);
    }
    return true;
  }
  EtcdOwnership& store() { return *store_; }
  void stop() { store_.reset(); }

  std::vector<OwnershipReply> replies;
  std::vector<OwnershipNotice> notices;

 private:
  std::unique_ptr<EtcdOwnership> store_;
};

TEST(EtcdOwnership, CallsAreAnsweredSessionsMoveAndAStopLeavesThem) {
  const auto servers = test::must(test::EtcdServers::start({}));
  End a(*servers, "a"), b(*servers, "b");
  ASSERT_TRUE(a.run([&] { return !a.store().silent(); }));
  ASSERT_TRUE(b.run([&] { return !b.store().silent(); }));
  const uint64_t epoch = a.store().epoch();
  EXPECT_NE(epoch, b.store().epoch());
  for (uint8_t i = 0; i < kSessions; ++i)
    ASSERT_TRUE(a.store().ask(session::boottime_now(), call(Kind::kAcquire, i)));
  ASSERT_TRUE(a.run([&] { return a.replies.size() == kSessions; }));
  for (const OwnershipReply& each : a.replies) EXPECT_EQ(each.answer, OwnershipAnswer::kCommitted);

  OwnershipCall wanted = call(Kind::kCommit, 0);
  wanted.from_epoch = epoch;
  b.store().ask(session::boottime_now(), wanted);
  ASSERT_TRUE(a.run([&] { return !a.notices.empty(); }));
  EXPECT_EQ(a.notices[0].kind, OwnershipNotice::Kind::kWanted);
  EXPECT_EQ(a.notices[0].session, wanted.session);
  a.store().ask(session::boottime_now(), call(Kind::kHandOver, 0));
  ASSERT_TRUE(b.run([&] { return !b.replies.empty(); }));
  EXPECT_EQ(b.replies[0].answer, OwnershipAnswer::kCommitted);

  a.stop();
  const Millis begun = session::boottime_now();
  for (uint8_t i = 1; i < kSessions; ++i) {
    OwnershipCall take = call(Kind::kCommit, i);
    take.from_epoch = epoch;
    b.store().ask(session::boottime_now(), take);
  }
  ASSERT_TRUE(b.run([&] { return b.replies.size() == kSessions; }));
  for (const OwnershipReply& each : b.replies) EXPECT_EQ(each.answer, OwnershipAnswer::kCommitted);
  EXPECT_LT(session::boottime_now() - begun, Millis{10'000}) << "nobody waits for the safe time";
}

}  // namespace
}  // namespace jvpn::cluster
