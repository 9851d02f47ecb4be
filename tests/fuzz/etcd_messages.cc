// What claims to be etcd's answer: a reply to what was asked, or an Error.
#include "control/cluster/etcd_messages.h"

#include "tests/fuzz/fuzz.h"

namespace jvpn::fuzz {
namespace {

using namespace cluster;

Txn question() {
  return {.compares = {},
          .then = {Op::put("k", "v"), {.kind = Op::Kind::kGet, .key = "a", .end = "c", .limit = 2}},
          .otherwise = {Op::erase("k")}};
}

/// What a caller relies on.
void expect_sound(const Txn& asked, const TxnReply& reply) {
  EXPECT_GE(reply.revision, 1);
  EXPECT_NE(reply.cluster, 0U);
  const std::vector<Op>& ops = reply.succeeded ? asked.then : asked.otherwise;
  ASSERT_EQ(reply.found.size(), ops.size());
  for (size_t i = 0; i < ops.size(); ++i) {
    EXPECT_LE(reply.found[i].size(), static_cast<size_t>(ops[i].limit));
    std::string before;
    for (const KeyValue& each : reply.found[i]) {
      EXPECT_GE(each.key, ops[i].key);
      EXPECT_LT(each.key, ops[i].end);
      EXPECT_GT(each.key, before);
      EXPECT_GE(each.modified, 1);
      EXPECT_LE(each.modified, reply.revision);
      before = each.key;
    }
  }
}

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jvpn;
  const std::string_view text = fuzz::text_of(data, size);
  const cluster::Txn asked = fuzz::question();
  if (const auto reply = cluster::decode_reply(asked, text)) fuzz::expect_sound(asked, *reply);
  return 0;
}
