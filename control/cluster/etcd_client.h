// A client of etcd v3 for transactions, by gRPC over libcurl. It starts no thread and blocks
// nowhere but in wait(). Every transaction that is sent gets one answer within its patience:
// whatever fails is an answer without a reply. docs/CLUSTER.md, the client.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <curl/curl.h>

#include "common/result.h"
#include "common/types.h"
#include "control/cluster/etcd_options.h"
#include "control/cluster/kv_txn.h"
#include "control/cluster/transfer.h"

namespace jvpn::cluster {

struct CleanMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

/// One thread, except wake(). The process ignores SIGPIPE.
class EtcdClient {
 public:
  /// So many transactions are under way at most, each on a connection of its own, and so many more
  /// wait for one of them to end; whatever is beyond is answered at once.
  static constexpr size_t kMostUnderWay = 16;
  static constexpr size_t kMostWaiting = 64;
  static constexpr size_t kMostEndpoints = 16;

  /// Reads files, connects to nothing. An Error names the file or endpoint, and how to mend it.
  static Result<std::unique_ptr<EtcdClient>> create(EtcdOptions options);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;  // curl knows its transfers' addresses
  EtcdClient& operator=(const EtcdClient&) = delete;

  /// Sends it to the endpoint in use. Never blocks; the bytes leave in wait(). Whatever `number`
  /// is, the answer has it.
  void send(uint64_t number, const Txn& txn, Millis patience);

  /// Works until there is an answer to take, until wake(), or for `most`; 0: a turn that doesn't
  /// block. Call it often: answers, and the end of patience, are seen here alone.
  void wait(Millis most);
  /// Ends the present wait(), or the next one at once. Any thread.
  void wake();
  /// The oldest answer that wasn't taken yet. Take all before sending more.
  std::optional<TxnAnswer> take();
  /// Transactions that were sent and have no answer yet.
  size_t in_flight() const;
  /// The endpoint in use.
  const std::string& endpoint() const { return endpoints_[endpoint_]; }

 private:
  struct Job {
    uint64_t number = 0;
    Txn asked;  ///< without values
    std::string message;
    Millis patience;
    Millis deadline;
  };
  struct Slot {
    std::unique_ptr<Transfer> transfer;
    std::optional<Job> job;
    size_t endpoint = 0;
    uint64_t choice = 0;  ///< choices_ when it was sent
  };

  explicit EtcdClient(EtcdOptions options) : endpoints_(std::move(options.endpoints)) {}
  Result<void> prepare();
  void turn(Millis now);
  void start_waiting();
  void start(Slot& slot, Job job);
  void collect();
  void expire(Millis now);
  void end(Slot& slot, CURLcode code);
  void fail(Slot& slot, const std::string& reason);
  void release(Slot& slot);
  void answer_trouble(uint64_t number, std::string trouble);
  int poll_ms(Millis now, Millis until) const;

  std::vector<std::string> endpoints_;
  Credentials credentials_;
  std::unique_ptr<CURLM, CleanMulti> multi_;
  std::vector<Slot> slots_;  ///< after multi_: they leave it before it goes
  std::deque<Job> waiting_;
  std::deque<TxnAnswer> answers_;
  size_t endpoint_ = 0;               ///< in use
  uint64_t choices_ = 0;              ///< how often another one was chosen
  std::atomic<bool> woken_{false};    ///< until wait() has seen it
  std::atomic<bool> polling_{false};  ///< it takes more than woken_ to wake the thread
};

}  // namespace jvpn::cluster
