// A gateway's engine takes over the sessions of a gateway that is dead: each client claims its
// session by a handshake, the engine loads it, answers, and commits it once the client has shown
// that it has the keys. No data path: what a worker opens is opened by the engine. The clients'
// first messages are written beforehand; what they do with the answers is done on a thread of its
// own.
//
//   this thread: engine ── ring ──▶ clients (a Crowd), their thread
//                  ▲ └─ store      ◀── ring ──┘
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "common/spsc_ring.h"
#include "control/session/ownership.h"
#include "perf/harness/engine_node.h"
#include "perf/isolation/crowd.h"

namespace jvpn::perf {

class Takeover final : public test::SilentHost {
 public:
  struct Options {
    uint32_t sessions = 100'000;
    uint32_t at_once = 2'048;  ///< claims that wait for something
  };
  struct Outcome {
    double seconds = 0;      ///< from the first claim to the last session that is attached again
    double engine_s = 0;     ///< CPU time of the engine's thread, what the store is asked included
    double clients_s = 0;    ///< of the clients'
    double store_s = 0;      ///< of the store's, which is what else this process did
    uint64_t refused = 0;    ///< claims, which came again
    size_t resident_mb = 0;  ///< that engine and clients take
  };

  /// `store` outlives it. Clients have their keys, and nothing else has happened.
  static Result<std::unique_ptr<Takeover>> create(const Options& options, session::Ownership& store,
                                                  const SecretKey& gateway);
  ~Takeover() override;

  const PublicKey& key_of(uint32_t client) const { return crowd_->key_of(client); }
  /// Writes each client's claim of `session(client)`, which is at version 1.
  void prepare(const std::function<SessionId(uint32_t client)>& session);
  /// The store has nothing else to answer. An Error when nothing goes on for long.
  Result<Outcome> run();

 private:
  struct Message {
    uint32_t client = 0;
    std::vector<uint8_t> bytes;
  };

  explicit Takeover(const Options& options);
  Result<void> start(session::Ownership& store, const SecretKey& gateway);
  void send(const Path& path, std::span<const uint8_t> datagram) override;
  void random(std::span<uint8_t> bytes) override;
  wire::Timestamp timestamp() override;
  void run_clients();
  bool feed(Millis now);
  bool take_messages(Millis now);

  const Options options_;
  const size_t resident_before_mb_;
  session::Ownership* store_ = nullptr;
  std::unique_ptr<engine::SessionEngine> engine_;
  std::unique_ptr<Crowd> crowd_;  ///< the clients' thread's, once it runs
  std::vector<Message> claims_;
  uint32_t claimed_ = 0;
  SpscRing<Message> to_clients_;
  SpscRing<Message> to_engine_;
  std::atomic<bool> prepared_{false};
  std::atomic<bool> stalled_{false};  ///< clients look at what they wait for
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> attached_{0};
  double clients_s_ = 0;  ///< of their thread, once it has ended
  std::thread clients_;
};

}  // namespace jvpn::perf
