// The cluster's store as gateways meet it: one store, in memory, behind a network that loses,
// delays and reorders, with an outcome that may never be heard of.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "control/cluster/kv_txn.h"
#include "tests/simulation/checks.h"
#include "tests/simulation/clock.h"
#include "tests/support/kv_store.h"
#include "tests/support/random.h"

namespace jvpn::sim {

/// How a gateway reaches the store.
struct StoreWeather {
  bool cut = false;           ///< nothing passes
  double lost_before = 0;     ///< a transaction never gets there
  double lost_after = 0;      ///< it is carried out, and nobody hears of it
  double late = 0;            ///< it is carried out after its sender gave up
  TrueTime delay = 2 * kMs;   ///< each way, at most
  TrueTime answer_delay = 0;  ///< on the way back, on top
};

/// What the world around the store does for it.
struct StoreSurroundings {
  std::function<TrueTime()> now;
  std::function<void(TrueTime, std::function<void()>)> at;
};

class Store {
 public:
  using Answered = std::function<void(const cluster::TxnAnswer&)>;

  /// All outlive it.
  Store(StoreSurroundings around, test::Random& random, Checks& checks)
      : around_(std::move(around)), random_(random), checks_(checks) {}

  /// One answer, at `gives_up` at the latest.
  void send(const StoreWeather& weather, TrueTime gives_up, uint64_t number,
            const cluster::Txn& txn, const Answered& answered);
  /// Without a quorum nothing is carried out.
  void set_quorum(bool quorum) { quorum_ = quorum; }

 private:
  struct Request {
    cluster::Txn txn;
    uint64_t number = 0;
    const StoreWeather& weather;
    TrueTime gives_up;
    Answered answered;
    bool done = false;  ///< it was answered
  };

  void arrive(const std::shared_ptr<Request>& request);
  void answer(const std::shared_ptr<Request>& request, const cluster::TxnAnswer& answer);
  cluster::TxnReply carry_out(const cluster::Txn& txn);
  TrueTime some(TrueTime most) { return random_.below(most + 1); }

  StoreSurroundings around_;
  test::Random& random_;
  Checks& checks_;
  test::KvStore store_;
  bool quorum_ = true;
};

}  // namespace jvpn::sim
