// SQLite's handles, and as much of its interface as the store uses. A statement that fails says so
// once, at the end of its transaction. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "common/result.h"

namespace jvpn::store {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

/// What SQLite said last.
inline Error sqlite_error(sqlite3* database, const std::string& what) {
  return Error{what + ": " + sqlite3_errmsg(database)};
}

/// A prepared statement, run again and again: bind in order, then step.
class Statement {
 public:
  static Result<Statement> prepare(sqlite3* database, const char* sql);

  /// Begins anew: the parameters follow in order.
  Statement& bind();
  Statement& integer(uint64_t value);
  Statement& blob(std::span<const uint8_t> value);
  Statement& text(std::string_view value);
  /// The next row; false: there is none, or it failed.
  bool row();
  /// Runs it to its end. False: it failed.
  bool run();
  bool failed() const { return failed_; }

  // Of the present row, columns from 0.
  uint64_t integer_at(int column) const;
  std::span<const uint8_t> blob_at(int column) const;
  std::string text_at(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int next_ = 1;
  bool failed_ = false;
};

/// Runs statements that give nothing back.
Result<void> execute(sqlite3* database, const std::string& sql);
/// The first column of the only row.
Result<std::string> ask_text(sqlite3* database, const char* sql);

}  // namespace jvpn::store
