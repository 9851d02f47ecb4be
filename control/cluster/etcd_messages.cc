#include "control/cluster/etcd_messages.h"

#include <cstdint>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/arena.h>

#include "common/assert.h"
#include "control/cluster/etcd.pb.h"

namespace jvpn::cluster {
namespace {

using google::protobuf::Arena;

void add_op(const Op& op, etcd::RequestOp& to) {
  switch (op.kind) {
    case Op::Kind::kPut: {
      etcd::PutRequest& put = *to.mutable_request_put();
      put.set_key(op.key);
      put.set_value(op.value);
      break;
    }
    case Op::Kind::kGet: {
      etcd::RangeRequest& range = *to.mutable_request_range();
      range.set_key(op.key);
      range.set_range_end(op.end);
      range.set_limit(op.limit);
      break;
    }
    case Op::Kind::kDelete:
      to.mutable_request_delete_range()->set_key(op.key);
      break;
  }
}

bool asked_for(const Op& op, const std::string& key) {
  return op.end.empty() ? key == op.key : key >= op.key && key < op.end;
}

/// What the operation found, which the answer gives up; no key older than the store.
Result<std::vector<KeyValue>> take_found(const Op& op, etcd::RangeResponse& range,
                                         Revision latest) {
  if (op.limit > 0 && range.kvs_size() > op.limit) return Error{"more keys than were asked for"};
  std::vector<KeyValue> found;
  found.reserve(static_cast<size_t>(range.kvs_size()));
  for (etcd::KeyValue& each : *range.mutable_kvs()) {
    const auto refuse = [&](const char* why) {
      return Error{fmt::format("kvs[{}]: {}", found.size(), why)};
    };
    if (!asked_for(op, each.key())) return refuse("a key that wasn't asked for");
    if (each.mod_revision() < 1 || each.mod_revision() > latest)
      return refuse("expected mod_revision from 1 to the store's revision");
    if (!found.empty() && found.back().key >= each.key()) return refuse("keys out of order");
    found.push_back(
        {std::move(*each.mutable_key()), std::move(*each.mutable_value()), each.mod_revision()});
  }
  return found;
}

etcd::ResponseOp::ResponseCase answer_to(Op::Kind kind) {
  switch (kind) {
    case Op::Kind::kPut:
      return etcd::ResponseOp::kResponsePut;
    case Op::Kind::kGet:
      return etcd::ResponseOp::kResponseRange;
    case Op::Kind::kDelete:
      return etcd::ResponseOp::kResponseDeleteRange;
  }
  return etcd::ResponseOp::RESPONSE_NOT_SET;
}

/// What the operations of the branch that was carried out found.
Result<void> take_responses(const std::vector<Op>& ops, etcd::TxnResponse& answer,
                            TxnReply& reply) {
  const auto count = static_cast<size_t>(answer.responses_size());
  if (count != ops.size())
    return Error{fmt::format("expected {} responses, got {}", ops.size(), count)};
  reply.found.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    etcd::ResponseOp& response = *answer.mutable_responses(static_cast<int>(i));
    if (response.response_case() != answer_to(ops[i].kind))
      return Error{fmt::format("responses[{}]: the answer to another operation", i)};
    std::vector<KeyValue> none;
    auto found = ops[i].kind == Op::Kind::kGet
                     ? take_found(ops[i], *response.mutable_response_range(), reply.revision)
                     : Result<std::vector<KeyValue>>(std::move(none));
    if (!found) return Error{fmt::format("responses[{}]: {}", i, found.error().message)};
    reply.found.push_back(*std::move(found));
  }
  return {};
}

}  // namespace

std::string encode_txn(const Txn& txn) {
  Arena arena;
  auto& request = *Arena::CreateMessage<etcd::TxnRequest>(&arena);
  for (const Compare& each : txn.compares) {
    etcd::Compare& compare = *request.add_compare();
    compare.set_target(etcd::Compare::MOD);
    compare.set_key(each.key);
    compare.set_mod_revision(each.modified);
  }
  for (const Op& op : txn.then) add_op(op, *request.add_success());
  for (const Op& op : txn.otherwise) add_op(op, *request.add_failure());
  std::string message;
  const bool encoded = request.SerializeToString(&message);
  JVPN_ASSERT(encoded, "a transaction is far smaller than the largest message");
  return message;
}

Txn without_values(const Txn& txn) {
  const auto copy = [](const std::vector<Op>& from, std::vector<Op>& to) {
    to.reserve(from.size());
    for (const Op& op : from) to.push_back({op.kind, op.key, {}, op.end, op.limit});
  };
  Txn bare;
  copy(txn.then, bare.then);
  copy(txn.otherwise, bare.otherwise);
  return bare;
}

Result<TxnReply> decode_reply(const Txn& asked, std::string_view message) {
  Arena arena;
  auto& answer = *Arena::CreateMessage<etcd::TxnResponse>(&arena);
  const bool parsed = message.size() <= INT32_MAX &&
                      answer.ParseFromArray(message.data(), static_cast<int>(message.size()));
  if (!parsed) return Error{"the answer isn't a message of etcd's"};
  if (!answer.has_header()) return Error{"the answer has no header"};
  if (answer.header().cluster_id() == 0) return Error{"header: expected cluster_id, not 0"};
  if (answer.header().revision() < 1) return Error{"header: expected revision, at least 1"};

  TxnReply reply;
  reply.succeeded = answer.succeeded();
  reply.revision = answer.header().revision();
  reply.cluster = answer.header().cluster_id();
  const auto taken = take_responses(reply.succeeded ? asked.then : asked.otherwise, answer, reply);
  if (!taken) return taken.error();
  return reply;
}

}  // namespace jvpn::cluster
