// What is asked of the cluster's key-value store (etcd v3): transactions that compare revisions,
// and nothing else. Values only: no thread, no network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/types.h"

namespace jvpn::cluster {

/// The store's logical clock: rises with each transaction that writes. Never 0.
using Revision = int64_t;

/// Keys and values are bytes.
struct KeyValue {
  std::string key;
  std::string value;
  Revision modified = 0;  ///< revision of its latest write
};

/// The key was written last at this revision; 0: it isn't there.
struct Compare {
  std::string key;
  Revision modified = 0;
};

struct Op {
  enum class Kind : uint8_t { kPut, kGet, kDelete };
  Kind kind{};
  std::string key;
  std::string value{};  ///< kPut
  std::string end{};    ///< kGet: all keys from `key` up to this one, exclusive; empty: `key` alone
  int64_t limit = 0;    ///< kGet: at most so many keys; 0: all

  static Op put(std::string key, std::string value) {
    return {.kind = Kind::kPut, .key = std::move(key), .value = std::move(value)};
  }
  static Op get(std::string key) { return {.kind = Kind::kGet, .key = std::move(key)}; }
  static Op erase(std::string key) { return {.kind = Kind::kDelete, .key = std::move(key)}; }
};

/// All of `then` when every compare holds, else all of `otherwise`: at one revision.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Op> then;
  std::vector<Op> otherwise;
};

/// etcd takes no more compares, and no more operations in either branch (--max-txn-ops).
inline constexpr size_t kMostTxnOps = 128;

struct TxnReply {
  bool succeeded = false;  ///< `then` was carried out
  Revision revision = 0;   ///< of the store after it
  uint64_t cluster = 0;    ///< names the store; another one after it was made anew
  /// Of each operation of the branch, in order: what a kGet found, by key; empty for others.
  std::vector<std::vector<KeyValue>> found;
};

/// The answer to the transaction of that number.
struct TxnAnswer {
  uint64_t number = 0;
  /// Nothing: no answer was had. It may have been carried out, and may still be.
  std::optional<TxnReply> reply;
  std::string trouble{};  ///< then: what went wrong, for a person
};

}  // namespace jvpn::cluster
