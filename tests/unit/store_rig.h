// A folder for a store's files, clocks that a test sets, and calls as StoreCalls makes them.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/store/schema.h"
#include "control/store/session_db.h"
#include "control/store/state_dir.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

using session::OwnershipAnswer;
using session::OwnershipCall;
using session::OwnershipReply;
using session::StoredSession;
using store::OpenError;
using store::SessionDb;
using store::StateDir;
using store::StoreTime;
using Kind = OwnershipCall::Kind;

inline SessionId session_id(uint8_t number) {
  SessionId id;
  id.bytes.fill(number);
  return id;
}

inline store::RecordKey record_key_of(uint8_t byte) {
  SecretKey node;
  node.bytes().fill(byte);
  return store::record_key(node);
}

/// A folder that goes with the test.
class StoreFolder {
 public:
  StoreFolder() {
    std::string made = testing::TempDir() + "jvpn_store_XXXXXX";
    EXPECT_NE(mkdtemp(made.data()), nullptr);
    path_ = made;
  }
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;
  ~StoreFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string bytes_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline OwnershipCall call_for(Kind kind, uint8_t session) {
  static uint64_t tickets = 0;
  OwnershipCall call;
  call.kind = kind;
  call.ticket = ++tickets;
  call.session = session_id(session);
  return call;
}
inline OwnershipCall acquisition(uint8_t session, uint8_t peer = 1, uint64_t ceiling = 1'025) {
  OwnershipCall call = call_for(Kind::kAcquire, session);
  call.record.id = call.session;
  call.record.peer.fill(peer);
  call.record.binding_version = BindingVersion{1};
  call.record.ceiling = StateVersion{ceiling};
  call.record.policy_version = 7;
  call.record.inner_addresses[0] = *Prefix::parse("10.9.0.2/32");
  call.record.address_count = 1;
  return call;
}
inline OwnershipCall commit(uint8_t session, uint64_t expected, uint64_t next,
                            uint64_t from_epoch = 0) {
  OwnershipCall call = call_for(Kind::kCommit, session);
  call.expected = call.attempted = BindingVersion{expected};
  call.next = BindingVersion{next};
  call.from_epoch = from_epoch;
  return call;
}

/// A database in a folder of its own, as one run of a gateway after the other opens it.
class SessionDbTest : public testing::Test {
 protected:
  std::string file() const { return folder / "sessions.db"; }
  std::unique_ptr<SessionDb> open() {
    auto opened = SessionDb::open(file(), record_key_of(1), time);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  OwnershipReply ask(SessionDb& db, const OwnershipCall& call) {
    std::vector<OwnershipReply> replies;
    db.apply({&call, 1}, time, replies);
    EXPECT_EQ(replies.size(), 1U);
    EXPECT_EQ(replies[0].ticket, call.ticket);
    return replies[0];
  }
  OwnershipAnswer answer(SessionDb& db, const OwnershipCall& call) { return ask(db, call).answer; }
  StoredSession load(SessionDb& db, uint8_t session) {
    const OwnershipReply reply = ask(db, call_for(Kind::kLoad, session));
    EXPECT_EQ(reply.answer, OwnershipAnswer::kCommitted);
    EXPECT_TRUE(reply.found.has_value());
    return reply.found.value_or(StoredSession{});
  }
  void pass(Millis span) {
    time.wall_ms += span.value;
    time.boot = time.boot + span;
  }
  void reboot(Millis off, const std::string& id = "boot b") {
    time.wall_ms += off.value;
    time.boot = Millis{0};
    time.boot_id = id;
  }

  StoreFolder folder;
  StoreTime time{1'700'000'000'000, Millis{5'000'000}, "boot a"};
};

}  // namespace jvpn::test
