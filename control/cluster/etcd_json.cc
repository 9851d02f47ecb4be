#include "control/cluster/etcd_json.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>

namespace jvpn::cluster {
namespace {

using nlohmann::json;

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// An answer is five levels deep. A parsed value takes some 100 bytes, its text as few as two: both
// bounds keep a hostile answer from taking memory by the gigabyte.
constexpr size_t kDeepest = 16;
constexpr size_t kMostValues = 500'000;

// --- encoding -----------------------------------------------------------------------------------

/// `"name":"base64"`. Base64 and names need no escapes.
void append_bytes(std::string& to, std::string_view name, std::string_view bytes) {
  to += fmt::format("\"{}\":\"{}\"", name, to_base64(bytes));
}

void append_op(std::string& to, const Op& op) {
  switch (op.kind) {
    case Op::Kind::kPut:
      to += R"({"request_put":{)";
      append_bytes(to, "key", op.key);
      to += ',';
      append_bytes(to, "value", op.value);
      break;
    case Op::Kind::kGet:
      to += R"({"request_range":{)";
      append_bytes(to, "key", op.key);
      if (!op.end.empty()) {
        to += ',';
        append_bytes(to, "range_end", op.end);
      }
      if (op.limit != 0) to += fmt::format(R"(,"limit":"{}")", op.limit);
      break;
    case Op::Kind::kDelete:
      to += R"({"request_delete_range":{)";
      append_bytes(to, "key", op.key);
      break;
  }
  to += "}}";
}

void append_ops(std::string& to, std::string_view name, const std::vector<Op>& ops) {
  to += fmt::format("\"{}\":[", name);
  for (size_t i = 0; i < ops.size(); ++i) {
    if (i != 0) to += ',';
    append_op(to, ops[i]);
  }
  to += ']';
}

// --- decoding -----------------------------------------------------------------------------------

/// Whether parsing is affordable: counts what opens a level and what begins a value.
bool affordable(std::string_view text) {
  size_t depth = 0;
  size_t values = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0) --depth;
    if (c == '{' || c == '[' || c == ',') ++values;
    if (depth > kDeepest || values > kMostValues) return false;
  }
  return true;
}

/// The object that a text is; `discarded` when it is none.
json parse_object(std::string_view text) {
  if (!affordable(text)) return json(json::value_t::discarded);
  json root = json::parse(text, nullptr, false);
  return root.is_object() ? root : json(json::value_t::discarded);
}

/// A member of an object; nullptr when it was left out.
const json* member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// A number that is a string; nullopt: not there, or anything else.
template <typename T>
std::optional<T> number_member(const json& object, const char* name) {
  const json* const value = member(object, name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  const std::string& text = value->get_ref<const std::string&>();
  T number = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (trouble != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Bytes; none when they were left out. nullopt: anything else.
std::optional<std::string> bytes_member(const json& object, const char* name) {
  const json* const value = member(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return std::nullopt;
  return from_base64(value->get_ref<const std::string&>());
}

bool asked_for(const Op& op, const std::string& key) {
  return op.end.empty() ? key == op.key : key >= op.key && key < op.end;
}

/// One of the keys that were found, none older than the store.
Result<KeyValue> decode_key_value(const Op& op, const json& each, Revision latest) {
  if (!each.is_object()) return Error{"expected an object"};
  auto key = bytes_member(each, "key");
  auto value = bytes_member(each, "value");
  const auto modified = number_member<Revision>(each, "mod_revision");
  if (!key || !value) return Error{"key or value isn't base64"};
  if (!asked_for(op, *key)) return Error{"a key that wasn't asked for"};
  if (!modified || *modified < 1 || *modified > latest) {
    return Error{"expected mod_revision as a string, from 1 to the store's revision"};
  }
  return KeyValue{std::move(*key), std::move(*value), *modified};
}

Result<std::vector<KeyValue>> decode_found(const Op& op, const json& range, Revision latest) {
  std::vector<KeyValue> found;
  const json* const list = member(range, "kvs");
  if (list == nullptr) return found;
  if (!list->is_array()) return Error{"expected kvs as an array"};
  if (op.limit > 0 && list->size() > static_cast<uint64_t>(op.limit)) {
    return Error{"more keys than were asked for"};
  }
  found.reserve(list->size());
  for (const json& each : *list) {
    auto one = decode_key_value(op, each, latest);
    if (!one) return Error{fmt::format("kvs[{}]: {}", found.size(), one.error().message)};
    if (!found.empty() && found.back().key >= one->key) return Error{"keys out of order"};
    found.push_back(*std::move(one));
  }
  return found;
}

const char* answer_name(Op::Kind kind) {
  switch (kind) {
    case Op::Kind::kPut:
      return "response_put";
    case Op::Kind::kGet:
      return "response_range";
    case Op::Kind::kDelete:
      return "response_delete_range";
  }
  return "";
}

Result<std::vector<KeyValue>> decode_response(const Op& op, const json& response, Revision latest) {
  const char* const name = answer_name(op.kind);
  const json* const answer = response.is_object() ? member(response, name) : nullptr;
  if (answer == nullptr || !answer->is_object()) return Error{fmt::format("expected {}", name)};
  if (op.kind != Op::Kind::kGet) return std::vector<KeyValue>();
  return decode_found(op, *answer, latest);
}

/// What the operations of the branch that was carried out found.
Result<void> decode_responses(const std::vector<Op>& ops, const json& root, TxnReply& reply) {
  const json* const responses = member(root, "responses");
  if (responses != nullptr && !responses->is_array()) {
    return Error{"expected responses as an array"};
  }
  const size_t count = responses == nullptr ? 0 : responses->size();
  if (count != ops.size()) {
    return Error{fmt::format("expected {} responses, got {}", ops.size(), count)};
  }
  reply.found.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    auto found = decode_response(ops[i], (*responses)[i], reply.revision);
    if (!found) return Error{fmt::format("responses[{}]: {}", i, found.error().message)};
    reply.found.push_back(*std::move(found));
  }
  return {};
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text(bytes.size() / 3 * 4 + 5, '\0');  // a whole group more, and OpenSSL's final zero
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string();
  // OpenSSL's decoder is lenient about what isn't of the alphabet, and counts padding as bytes.
  const size_t digits = std::min(text.find_first_not_of(kBase64), text.size());
  const size_t padding = text.size() - digits;
  if (padding > 2 || text.find_first_not_of('=', digits) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(length) - padding);
  return bytes;
}

std::string encode_txn(const Txn& txn) {
  std::string body = R"({"compare":[)";
  for (size_t i = 0; i < txn.compares.size(); ++i) {
    if (i != 0) body += ',';
    body += R"({"target":"MOD","result":"EQUAL",)";
    append_bytes(body, "key", txn.compares[i].key);
    body += fmt::format(R"(,"mod_revision":"{}"}})", txn.compares[i].modified);
  }
  body += "],";
  append_ops(body, "success", txn.then);
  body += ',';
  append_ops(body, "failure", txn.otherwise);
  body += '}';
  return body;
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

Result<TxnReply> decode_reply(const Txn& asked, std::string_view text) {
  const json root = parse_object(text);
  if (root.is_discarded()) return Error{"the answer isn't a JSON object of a possible size"};
  const json* const header = member(root, "header");
  if (header == nullptr || !header->is_object()) return Error{"the answer has no header"};
  const auto cluster = number_member<uint64_t>(*header, "cluster_id");
  const auto revision = number_member<Revision>(*header, "revision");
  if (!cluster || *cluster == 0) return Error{"header: expected cluster_id as a string, not 0"};
  if (!revision || *revision < 1) return Error{"header: expected revision as a string, at least 1"};
  const json* const succeeded = member(root, "succeeded");
  if (succeeded != nullptr && !succeeded->is_boolean()) {
    return Error{"expected succeeded as a boolean"};
  }

  TxnReply reply;
  reply.succeeded = succeeded != nullptr && succeeded->get<bool>();
  reply.revision = *revision;
  reply.cluster = *cluster;
  const auto decoded =
      decode_responses(reply.succeeded ? asked.then : asked.otherwise, root, reply);
  if (!decoded) return decoded.error();
  return reply;
}

std::string failure_message(std::string_view text) {
  const json root = parse_object(text);
  if (root.is_discarded()) return {};
  for (const char* name : {"message", "error"}) {
    const json* const value = member(root, name);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
  }
  return {};
}

}  // namespace jvpn::cluster
