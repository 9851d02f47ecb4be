// The same store, with the product's database in a file behind it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/store/session_db.h"
#include "tests/matrix/stores.h"
#include "tests/unit/store_rig.h"

namespace jvpn::test {

class SqliteTestStore final : public TestStore {
 public:
  /// The database carries nothing out, as on a full disk.
  void cut_off(bool cut) override {
    const auto file = store::open_file(folder_ / "sessions.db");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(
        store::execute(file->get(), cut ? "CREATE TRIGGER full BEFORE INSERT ON epochs BEGIN "
                                          "SELECT RAISE(FAIL, 'the disk is full'); END"
                                        : "DROP TRIGGER full")
            .ok());
  }
  bool tells_who_runs() const override { return false; }

 private:
  class InFile final : public Backend {
   public:
    explicit InFile(const std::string& path) {
      auto opened = store::SessionDb::open(path, record_key_of(1), at(Millis{}));
      EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
      if (opened.ok()) database_ = std::move(*opened);
    }
    uint64_t epoch() const override { return database_->epoch(); }
    OwnershipReply apply(Millis now, const OwnershipCall& call) override {
      std::vector<OwnershipReply> replies;
      database_->apply({&call, 1}, at(now), replies);
      return replies.at(0);
    }

   private:
    static store::StoreTime at(Millis now) { return {now.value, now, "boot"}; }
    std::unique_ptr<store::SessionDb> database_;
  };

  std::unique_ptr<Backend> open() override {
    return std::make_unique<InFile>(folder_ / "sessions.db");
  }

  StoreFolder folder_;
};

}  // namespace jvpn::test
