// A row of the sessions' table as a value, and the MAC that shows that this node wrote it.
// Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/blake2s.h"
#include "common/noise.h"
#include "common/secret.h"
#include "control/session/ownership.h"

namespace jvpn::store {

/// Keys the MACs of all records of a node.
using RecordKey = Secret<kHashBytes>;
using RecordMac = std::array<uint8_t, kHashBytes>;

/// From the node's static private key: whoever has that one could take any session over anyway.
RecordKey record_key(const SecretKey& node);

/// A session, and when `session.lived` was true: in the boot of the row's epoch.
struct Record {
  session::StoredSession session;
  uint64_t written_wall_ms = 0;
  Millis written_boot;
  uint64_t ended_wall_ms = 0;
};

/// A run of the gateway, and when it was last known to run.
struct Epoch {
  uint64_t number = 0;
  std::string boot_id;
  uint64_t seen_wall_ms = 0;
  Millis seen_boot;
};

RecordMac mac_of(const RecordKey& key, const Record& record);
RecordMac mac_of(const RecordKey& key, const Epoch& epoch);
/// Of nothing: tells whether a file was written under that key.
RecordMac key_check(const RecordKey& key);

/// The inner addresses as one column, {family, length, 16 bytes} each; the inverse gives false for
/// anything else.
std::vector<uint8_t> pack_addresses(const session::StoredSession& session);
bool unpack_addresses(std::span<const uint8_t> bytes, session::StoredSession& session);

}  // namespace jvpn::store
