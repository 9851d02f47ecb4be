// A key-value store in memory that carries out a cluster's transactions as etcd does.
#pragma once

#include <map>
#include <string>

#include "control/cluster/kv_txn.h"

namespace jvpn::test {

class KvStore {
 public:
  cluster::TxnReply apply(const cluster::Txn& txn) {
    cluster::TxnReply reply;
    reply.succeeded = true;
    for (const cluster::Compare& compare : txn.compares) {
      const auto at = keys_.find(compare.key);
      const cluster::Revision there = at == keys_.end() ? 0 : at->second.modified;
      if (there != compare.modified) reply.succeeded = false;
    }
    const auto& ops = reply.succeeded ? txn.then : txn.otherwise;
    bool writes = false;
    for (const cluster::Op& op : ops) writes = writes || op.kind != cluster::Op::Kind::kGet;
    if (writes) ++revision_;
    for (const cluster::Op& op : ops) reply.found.push_back(carry_out(op));
    reply.revision = revision_;
    reply.cluster = 7;
    ++(writes ? written : read);
    return reply;
  }

  const std::map<std::string, cluster::KeyValue>& all() const { return keys_; }
  cluster::Revision revision() const { return revision_; }

  uint64_t written = 0;  ///< transactions that wrote
  uint64_t read = 0;     ///< those that didn't

 private:
  std::vector<cluster::KeyValue> carry_out(const cluster::Op& op) {
    if (op.kind == cluster::Op::Kind::kPut) {
      keys_[op.key] = {op.key, op.value, revision_};
      return {};
    }
    if (op.kind == cluster::Op::Kind::kDelete) {
      keys_.erase(op.key);
      return {};
    }
    std::vector<cluster::KeyValue> found;
    auto at = keys_.lower_bound(op.key);
    for (; at != keys_.end(); ++at) {
      const bool in = op.end.empty() ? at->first == op.key : at->first < op.end;
      if (!in || (op.limit != 0 && found.size() == static_cast<size_t>(op.limit))) break;
      found.push_back(at->second);
    }
    return found;
  }

  std::map<std::string, cluster::KeyValue> keys_;
  cluster::Revision revision_ = 1;
};

}  // namespace jvpn::test
