#include "tests/simulation/store.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace jvpn::sim {
namespace {

constexpr TrueTime kLatest = 8 * kSecond;  // that a lost transaction turns up again
constexpr TrueTime kRefused = 5 * kMs;     // a connection that can't be made
constexpr TrueTime kElection = 200 * kMs;  // what waits for a quorum looks again
constexpr size_t kMostTries = 50;          // then the member that waits gives up

}  // namespace

void Store::send(const StoreWeather& weather, TrueTime gives_up, uint64_t number,
                 const cluster::Txn& txn, const Answered& answered) {
  auto request =
      std::make_shared<Request>(Request{txn, number, weather, gives_up, answered, false});
  around_.at(gives_up, [this, request] {
    answer(request, {request->number, std::nullopt, "no answer in time"});
  });
  const TrueTime now = around_.now();
  if (weather.cut) {
    if (random_.below(2) != 0) return;  // it hangs
    return around_.at(now + some(kRefused), [this, request] {
      answer(request, {request->number, std::nullopt, "no route"});
    });
  }
  if (random_.chance(weather.lost_before)) return;
  const bool late = random_.chance(weather.late);
  const TrueTime there = late ? gives_up + some(kLatest) : now + 1 + some(weather.delay);
  around_.at(there, [this, request] { arrive(request); });
}

/// What was sent before a cut may be lost by it, or get through after all.
void Store::arrive(const std::shared_ptr<Request>& request) {
  const TrueTime now = around_.now();
  if (!quorum_) {
    if (random_.below(kMostTries) == 0) return;
    return around_.at(now + kElection, [this, request] { arrive(request); });
  }
  if (request->weather.cut && random_.below(2) != 0) return;
  const cluster::TxnReply reply = carry_out(request->txn);
  if (request->weather.cut || random_.chance(request->weather.lost_after)) return;
  const TrueTime back = some(request->weather.delay) + some(request->weather.answer_delay);
  around_.at(now + 1 + back, [this, request, reply] {
    if (!request->weather.cut) answer(request, {request->number, reply, {}});
  });
}

void Store::answer(const std::shared_ptr<Request>& request, const cluster::TxnAnswer& answer) {
  if (!std::exchange(request->done, true)) request->answered(answer);
}

cluster::TxnReply Store::carry_out(const cluster::Txn& txn) {
  std::vector<std::optional<cluster::KeyValue>> before;
  const auto find = [this](const std::string& key) -> std::optional<cluster::KeyValue> {
    const auto at = store_.all().find(key);
    return at == store_.all().end() ? std::nullopt : std::optional(at->second);
  };
  // A copy of what is there, of the branch that may be taken.
  for (const cluster::Op& op : txn.then)
    before.push_back(op.kind == cluster::Op::Kind::kPut ? find(op.key) : std::nullopt);
  cluster::TxnReply reply = store_.apply(txn);
  if (!reply.succeeded) return reply;
  for (size_t i = 0; i < txn.then.size(); ++i) {
    if (txn.then[i].kind != cluster::Op::Kind::kPut) continue;
    checks_.on_write(before[i] ? &*before[i] : nullptr, store_.all().at(txn.then[i].key));
  }
  return reply;
}

}  // namespace jvpn::sim
