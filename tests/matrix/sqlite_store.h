// The same store, with the product's database in a file behind it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/store/session_db.h"
#include "tests/matrix/stores.h"
#include "tests/unit/store_rig.h"

namespace jvpn::test {

class SqliteTestStore final : public TestStore {
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

/// Runs a row with a store in memory, and with one in a file.
inline void with_each_store(const std::function<void(TestStore&)>& row) {
  {
    SCOPED_TRACE("in memory");
    TestStore store;
    row(store);
  }
  SCOPED_TRACE("in a file");
  SqliteTestStore store;
  row(store);
}

}  // namespace jvpn::test
