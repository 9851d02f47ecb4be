#include "control/store/schema.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "common/secret.h"

namespace jvpn::store {
namespace {

constexpr int kApplicationId = 0x4a565053;  // JVPS
constexpr int kBusyMs = 30'000;

/// The n-th leads from version n to the next. Never change one that was released: add another.
constexpr std::array kMigrations = {
    R"(CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), key_check BLOB NOT NULL);
       CREATE TABLE epochs(
         epoch INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, seen_wall INTEGER NOT NULL,
         seen_boot INTEGER NOT NULL, mac BLOB NOT NULL);
       CREATE TABLE sessions(
         id BLOB PRIMARY KEY, peer BLOB NOT NULL, epoch INTEGER NOT NULL,
         binding_version INTEGER NOT NULL, ceiling INTEGER NOT NULL,
         policy_version INTEGER NOT NULL, lived INTEGER NOT NULL, written_wall INTEGER NOT NULL,
         written_boot INTEGER NOT NULL, addresses BLOB NOT NULL, ended INTEGER NOT NULL,
         reason INTEGER NOT NULL, detail INTEGER NOT NULL, ended_wall INTEGER NOT NULL,
         mac BLOB NOT NULL) WITHOUT ROWID;
       CREATE INDEX living_by_peer ON sessions(peer) WHERE ended = 0;
       CREATE INDEX ended_by_time ON sessions(ended_wall) WHERE ended = 1;)"};
constexpr int kVersion = static_cast<int>(kMigrations.size());

OpenError unusable(const std::string& path, const std::string& why) {
  return {OpenError::Kind::kUnusable, path + ": " + why};
}
OpenError foreign(const std::string& path, const std::string& why) {
  return {OpenError::Kind::kForeign, path + ": " + why};
}

/// What SQLite found: the file's content is to blame, or something else.
OpenError refused(sqlite3* database, const std::string& path, const Error& error) {
  const int code = sqlite3_errcode(database);
  const bool content = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
  return content ? foreign(path, error.message) : unusable(path, error.message);
}

Result<int> pragma(sqlite3* database, const char* sql) {
  auto statement = Statement::prepare(database, sql);
  if (!statement) return statement.error();
  if (!statement->bind().row()) return sqlite_error(database, sql);
  return static_cast<int>(statement->integer_at(0));
}

Result<void> make(sqlite3* database, int from, const RecordKey& key) {
  std::string all = "BEGIN IMMEDIATE;";
  for (int version = from; version < kVersion; ++version)
    all += kMigrations[static_cast<size_t>(version)];
  all += fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId,
                     kVersion);
  if (auto done = execute(database, all); !done) return done;
  if (from == 0) {
    auto insert = Statement::prepare(database, "INSERT INTO meta VALUES(1, ?)");
    if (!insert) return insert.error();
    if (!insert->bind().blob(key_check(key)).run()) return sqlite_error(database, "meta");
  }
  return execute(database, "COMMIT;");
}

/// Which version it has; 0: it is empty.
Result<int, OpenError> version_of(sqlite3* database, const std::string& path) {
  const auto application = pragma(database, "PRAGMA application_id");
  if (!application) return refused(database, path, application.error());
  const auto version = pragma(database, "PRAGMA user_version");
  if (!version) return refused(database, path, version.error());
  const auto tables = pragma(database, "SELECT count(*) FROM sqlite_schema");
  if (!tables) return refused(database, path, tables.error());
  if (*application == 0 && *version == 0 && *tables == 0) return 0;
  if (*application != kApplicationId)
    return foreign(path, "it belongs to another program (its application_id is not ours)");
  if (*version > kVersion)
    return foreign(path, fmt::format("it has schema {}, written by a later version of jvpnd; this "
                                     "one knows schemas up to {}",
                                     *version, kVersion));
  if (*version < 1) return foreign(path, fmt::format("its schema {} is none", *version));
  return *version;
}

Result<void, OpenError> check_content(sqlite3* database, const std::string& path,
                                      const RecordKey& key) {
  const auto sound = ask_text(database, "PRAGMA quick_check(1)");
  if (!sound) return refused(database, path, sound.error());
  if (*sound != "ok") return foreign(path, "it is corrupt: " + *sound);
  const auto written_by = ask_text(database, "SELECT key_check FROM meta");
  const int code = sqlite3_errcode(database);
  const bool missing = code == SQLITE_ERROR || code == SQLITE_OK || code == SQLITE_DONE;
  if (!written_by && missing) return foreign(path, "it doesn't say which node wrote it");
  if (!written_by) return refused(database, path, written_by.error());
  const RecordMac expected = key_check(key);
  if (!std::ranges::equal(*written_by, expected, {},
                          [](char c) { return static_cast<uint8_t>(c); }))
    return foreign(path, "it was written under another private key than this node's");
  return {};
}

}  // namespace

Result<Database, OpenError> open_file(const std::string& path) {
  sqlite3* opened = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &opened,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(opened);
  if (result != SQLITE_OK) return unusable(path, sqlite3_errstr(result));
  sqlite3_extended_result_codes(database.get(), 0);
  sqlite3_busy_timeout(database.get(), kBusyMs);
  return database;
}

Result<void, OpenError> migrate(sqlite3* database, const std::string& path, const RecordKey& key) {
  const auto version = version_of(database, path);
  if (!version) return version.error();
  if (*version != 0) {
    if (auto sound = check_content(database, path, key); !sound) return sound;
  }
  // Files elsewhere are out of reach once the program has started: temporary ones, too.
  for (const char* setting : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
                              "PRAGMA wal_autocheckpoint = 1000", "PRAGMA temp_store = MEMORY"}) {
    if (auto set = execute(database, setting); !set) return refused(database, path, set.error());
  }
  if (*version == kVersion) return {};
  if (auto made = make(database, *version, key); !made)
    return refused(database, path, made.error());
  return {};
}

}  // namespace jvpn::store
