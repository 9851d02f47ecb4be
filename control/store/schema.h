// The file's schema, its versions, and whether a file is one of ours. The store's thread only.
#pragma once

#include "control/store/session_db.h"

namespace jvpn::store {

/// Opens the file, for one writer that waits for locks of others this long.
Result<Database, OpenError> open_file(const std::string& path);
/// Checks that the file is ours, whole and written under `key`, and brings it up to date.
Result<void, OpenError> migrate(sqlite3* database, const std::string& path, const RecordKey& key);

}  // namespace jvpn::store
