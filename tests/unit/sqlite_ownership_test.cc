// The state directory, files in it that aren't ours, and the thread that writes.
#include "control/store/sqlite_ownership.h"

#include <poll.h>

#include "tests/unit/store_rig.h"

namespace jvpn::test {
namespace {

using store::SqliteOwnership;
using store::StoreOptions;

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

class StateDirTest : public testing::Test {
 protected:
  std::string dir() const { return folder / "state"; }
  std::string file() const { return dir() + "/sessions.db"; }
  /// Opens the directory and what is in it, and lets go of both.
  std::string open(uint8_t key = 1) {
    const auto directory = StateDir::open(dir());
    if (!directory) return directory.error().message;
    const auto db = directory->open_sessions(record_key_of(key), time,
                                             [this](const std::string& line) { news += line; });
    return db ? "" : db.error().message;
  }
  std::vector<std::string> set_aside() const {
    std::vector<std::string> found;
    for (const auto& each : std::filesystem::directory_iterator(dir())) {
      const std::string name = each.path().string();
      if (name.find(".refused-") != std::string::npos) found.push_back(name);
    }
    return found;
  }
  StoreFolder folder;
  StoreTime time{1'700'000'000'000, Millis{5'000'000}, "boot a"};
  std::string news;
};

TEST_F(StateDirTest, ItIsMadeForUsAlone) {
  EXPECT_EQ(open(), "");
  EXPECT_EQ(mode_of(dir()), 0700U);
  EXPECT_EQ(mode_of(file()), 0600U);
  EXPECT_EQ(mode_of(dir() + "/lock"), 0600U);
  EXPECT_EQ(open(), "") << "and opened again";
  EXPECT_EQ(news, "");
}

TEST_F(StateDirTest, WhatIsWrongWithItIsToldWithItsMend) {
  EXPECT_EQ(store::state_dir_trouble(dir()), "");
  std::filesystem::create_directory(dir());
  chmod(dir().c_str(), 0755);
  EXPECT_NE(open().find("chmod 0700 " + dir()), std::string::npos) << open();
  EXPECT_NE(store::state_dir_trouble(dir()), "");
  std::filesystem::remove(dir());
  write_bytes(dir(), "a file");
  EXPECT_NE(open().find("is no directory"), std::string::npos) << open();
  EXPECT_NE(store::state_dir_trouble(folder / "no/state").find("No such file"), std::string::npos);
}

TEST_F(StateDirTest, TwoGatewaysDontShareIt) {
  const auto first = StateDir::open(dir());
  ASSERT_TRUE(first.ok());
  EXPECT_NE(open().find("another jvpnd uses"), std::string::npos);
}

/// Whatever isn't ours stays as it is, under another name.
TEST_F(StateDirTest, FilesThatArentOursAreSetAside) {
  const auto sql = [this](const std::string& text) {
    const auto opened = store::open_file(file());
    ASSERT_TRUE(opened.ok() && store::execute(opened->get(), text).ok()) << text;
  };
  struct Case {
    const char* name;
    std::function<void()> spoil;
    const char* told;
  };
  const Case cases[] = {
      {"no database", [this] { write_bytes(file(), std::string(9'000, 'x')); }, "not a database"},
      {"another program's",
       [&] {
         std::filesystem::remove(file());
         sql("CREATE TABLE theirs(a)");
       },
       "belongs to another program"},
      {"a later version's", [&] { sql("PRAGMA user_version = 9"); }, "a later version of jvpnd"},
      {"corrupt",
       [this] {
         std::string bytes = bytes_in(file());
         for (size_t i = 4'096; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
         write_bytes(file(), bytes);
       },
       "corrupt"},
      {"cut off", [this] { write_bytes(file(), bytes_in(file()).substr(0, 5'000)); }, "malformed"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    std::filesystem::remove_all(dir());
    ASSERT_EQ(open(), "");
    {
      const auto opened = store::open_file(file());  // all of it in one file
      ASSERT_TRUE(store::execute(opened->get(), "PRAGMA journal_mode = DELETE").ok());
    }
    each.spoil();
    const std::string before = bytes_in(file());
    news.clear();
    EXPECT_EQ(open(), "") << "an empty one is begun";
    EXPECT_NE(news.find(each.told), std::string::npos) << news;
    ASSERT_EQ(set_aside().size(), 1U);
    EXPECT_EQ(bytes_in(set_aside()[0]), before);
    EXPECT_EQ(open(), "");
    EXPECT_EQ(set_aside().size(), 1U) << "the new one is ours";
    time.wall_ms += 1;
  }
}

TEST_F(StateDirTest, AnotherNodesFileIsSetAside) {
  ASSERT_EQ(open(1), "");
  EXPECT_EQ(open(2), "");
  EXPECT_NE(news.find("under another private key"), std::string::npos) << news;
  EXPECT_EQ(set_aside().size() % 2, 1U) << "with its log, if it had one";
}

/// Nothing can be renamed in it: the gateway doesn't start, and the file stays.
TEST_F(StateDirTest, WhatCantBeSetAsideStopsUs) {
  ASSERT_EQ(open(), "");
  write_bytes(file(), "garbage");
  write_bytes(file() + ".refused-" + std::to_string(time.wall_ms), "an earlier one");
  EXPECT_NE(open().find("is there already"), std::string::npos) << open();
  EXPECT_EQ(bytes_in(file()), "garbage");
}

class SqliteOwnershipTest : public StateDirTest {
 protected:
  std::unique_ptr<SqliteOwnership> opened(size_t calls = 64) {
    SecretKey node;
    node.bytes().fill(1);
    auto store = SqliteOwnership::open(
        {dir(), calls, [this](const std::string& line) { told.push_back(line); }}, node);
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().message);
    return store.ok() ? std::move(*store) : nullptr;
  }
  /// The next reply, as soon as the store says that there is one.
  static std::optional<OwnershipReply> next(SqliteOwnership& store) {
    constexpr int kLimitMs = 20'000;
    for (;;) {
      if (auto reply = store.take()) return reply;
      pollfd waits{store.descriptor(), POLLIN, 0};
      if (poll(&waits, 1, kLimitMs) <= 0) return std::nullopt;
    }
  }
  std::vector<std::string> told;
};

TEST_F(SqliteOwnershipTest, CallsAreAnsweredInOrderAndOutliveTheProgram) {
  uint64_t first = 0;
  {
    const auto store = opened();
    ASSERT_NE(store, nullptr);
    EXPECT_TRUE(store->durable());
    first = store->epoch();
    const OwnershipCall begin = acquisition(1);
    const OwnershipCall go_on = commit(1, 1, 3);
    EXPECT_TRUE(store->ask(Millis{}, begin));
    EXPECT_TRUE(store->ask(Millis{}, go_on));
    EXPECT_EQ(next(*store)->ticket, begin.ticket);
    EXPECT_EQ(next(*store)->ticket, go_on.ticket);
    EXPECT_FALSE(store->has_replies());
    EXPECT_TRUE(store->ask(Millis{}, commit(1, 3, 5))) << "nobody waits for this one";
  }
  const auto store = opened();
  ASSERT_NE(store, nullptr);
  EXPECT_GT(store->epoch(), first);
  EXPECT_TRUE(store->ask(Millis{}, call_for(Kind::kLoad, 1)));
  const auto kept = next(*store);
  ASSERT_TRUE(kept && kept->found);
  EXPECT_EQ(kept->found->binding_version, BindingVersion{5}) << "what was taken is written";
  EXPECT_EQ(kept->found->epoch, first);
  EXPECT_EQ(told, std::vector<std::string>{});
}

/// Another program holds the database: calls are taken until there is no room, nobody waits, and
/// the replies come when it lets go.
TEST_F(SqliteOwnershipTest, AStoreThatHangsTakesWhatFitsAndAnswersLate) {
  const auto store = opened(8);
  ASSERT_NE(store, nullptr);
  const auto other = store::open_file(file());
  ASSERT_TRUE(other.ok() && store::execute(other->get(), "BEGIN EXCLUSIVE").ok());
  std::vector<uint64_t> tickets;
  for (uint8_t session = 1; session <= 8; ++session) {
    const OwnershipCall call = acquisition(session, session);
    EXPECT_TRUE(store->ask(Millis{}, call));
    tickets.push_back(call.ticket);
  }
  EXPECT_FALSE(store->ask(Millis{}, acquisition(9, 9))) << "full: Unavailable";
  EXPECT_FALSE(store->take()) << "and nobody waits";
  ASSERT_TRUE(store::execute(other->get(), "COMMIT").ok());
  for (const uint64_t ticket : tickets) {
    const auto reply = next(*store);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->ticket, ticket);
    EXPECT_EQ(reply->answer, OwnershipAnswer::kCommitted);
  }
  EXPECT_TRUE(store->ask(Millis{}, acquisition(9, 9))) << "there is room again";
  EXPECT_EQ(next(*store)->answer, OwnershipAnswer::kCommitted);
}

TEST_F(SqliteOwnershipTest, TroubleIsToldOnceAndSoIsItsEnd) {
  const auto store = opened();
  ASSERT_NE(store, nullptr);
  const auto other = store::open_file(file());
  ASSERT_TRUE(store::execute(other->get(),
                             "CREATE TRIGGER full BEFORE INSERT ON sessions BEGIN "
                             "SELECT RAISE(FAIL, 'the disk is full'); END")
                  .ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(store->ask(Millis{}, acquisition(1)));
    EXPECT_EQ(store->status().waiting, 1U);
    EXPECT_EQ(next(*store)->answer, OwnershipAnswer::kUnavailable);
  }
  EXPECT_NE(store->status().trouble.find("the disk is full"), std::string::npos);
  ASSERT_TRUE(store::execute(other->get(), "DROP TRIGGER full").ok());
  EXPECT_TRUE(store->ask(Millis{}, acquisition(1)));
  EXPECT_EQ(next(*store)->answer, OwnershipAnswer::kCommitted);
  const session::OwnershipStatus status = store->status();
  EXPECT_STREQ(status.kind, "embedded");
  EXPECT_EQ(status.trouble, "");
  EXPECT_EQ(status.waiting, 0U);
  EXPECT_EQ(status.transactions, 4U);
  EXPECT_EQ(status.all_transactions, 4U);
  EXPECT_GT(status.p50_us, 0U);
  EXPECT_GE(status.p99_us, status.p50_us);
  ASSERT_GE(told.size(), 2U);
  EXPECT_NE(told.front().find("the disk is full"), std::string::npos) << told.front();
  EXPECT_NE(told.back().find("again"), std::string::npos) << told.back();
}

}  // namespace
}  // namespace jvpn::test
