#include "control/store/sqlite.h"

#include <utility>

namespace jvpn::store {

Result<Statement> Statement::prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr) != SQLITE_OK)
    return sqlite_error(database, sql);
  Statement statement;
  statement.statement_.reset(made);
  return statement;
}

Statement& Statement::bind() {
  sqlite3_reset(statement_.get());
  next_ = 1;
  failed_ = false;
  return *this;
}

Statement& Statement::integer(uint64_t value) {
  failed_ |=
      sqlite3_bind_int64(statement_.get(), next_++, static_cast<int64_t>(value)) != SQLITE_OK;
  return *this;
}

Statement& Statement::blob(std::span<const uint8_t> value) {
  if (value.empty()) {  // a null pointer would be NULL, which is no blob
    failed_ |= sqlite3_bind_zeroblob(statement_.get(), next_++, 0) != SQLITE_OK;
    return *this;
  }
  failed_ |= sqlite3_bind_blob(statement_.get(), next_++, value.data(),
                               static_cast<int>(value.size()), SQLITE_TRANSIENT) != SQLITE_OK;
  return *this;
}

Statement& Statement::text(std::string_view value) {
  failed_ |= sqlite3_bind_text(statement_.get(), next_++, value.data(),
                               static_cast<int>(value.size()), SQLITE_TRANSIENT) != SQLITE_OK;
  return *this;
}

bool Statement::row() {
  if (failed_) return false;
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  failed_ = result != SQLITE_DONE;
  sqlite3_reset(statement_.get());
  return false;
}

bool Statement::run() {
  while (row()) continue;
  return !failed_;
}

uint64_t Statement::integer_at(int column) const {
  return static_cast<uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::span<const uint8_t> Statement::blob_at(int column) const {
  const auto* const at = static_cast<const uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  if (at == nullptr) return {};
  return {at, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string Statement::text_at(int column) const {
  const std::span<const uint8_t> bytes = blob_at(column);
  return {bytes.begin(), bytes.end()};
}

Result<void> execute(sqlite3* database, const std::string& sql) {
  if (sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return sqlite_error(database, sql);
  return {};
}

Result<std::string> ask_text(sqlite3* database, const char* sql) {
  auto statement = Statement::prepare(database, sql);
  if (!statement) return statement.error();
  if (!statement->bind().row()) return sqlite_error(database, sql);
  return statement->text_at(0);
}

}  // namespace jvpn::store
