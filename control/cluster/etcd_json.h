// Transactions as etcd's JSON gateway takes and answers them (POST /v3/kv/txn). Any thread.
//
// 64-bit numbers are strings, bytes are base64, and what is false, 0 or empty is left out. Whatever
// an answer holds, these functions end with a value or an Error.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "control/cluster/kv_txn.h"

namespace jvpn::cluster {

/// RFC 4648, section 4, with padding.
std::string to_base64(std::string_view bytes);
/// nullopt for anything but whole groups of the alphabet.
std::optional<std::string> from_base64(std::string_view text);

/// The body of a request.
std::string encode_txn(const Txn& txn);

/// As much of a transaction as its answer is checked against: values are left out.
Txn without_values(const Txn& txn);

/// The body of an answer with status 200 to `asked`. An Error says what is wrong with it: it isn't
/// JSON, larger or deeper than an answer can be, lacks something, or tells of what wasn't asked.
Result<TxnReply> decode_reply(const Txn& asked, std::string_view text);

/// What etcd says of a failure, from the body of an answer with another status; empty: nothing.
std::string failure_message(std::string_view text);

}  // namespace jvpn::cluster
