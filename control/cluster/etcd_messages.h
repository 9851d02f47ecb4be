// Transactions as etcd's KV service takes and answers them (etcd.proto). Any thread.
// Whatever an answer holds, these functions end with a value or an Error.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "control/cluster/kv_txn.h"

namespace jvpn::cluster {

/// A request's message.
std::string encode_txn(const Txn& txn);

/// As much of a transaction as its answer is checked against: values are left out.
Txn without_values(const Txn& txn);

/// The message of an answer to `asked`. An Error says what is wrong with it: it isn't one, lacks
/// something, or tells of what wasn't asked.
Result<TxnReply> decode_reply(const Txn& asked, std::string_view message);

}  // namespace jvpn::cluster
