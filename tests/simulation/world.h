// Gateways and clients, each with clocks of its own, a network between them, and a store behind the
// gateways. One event at a time, in the order of true time, which one seed decides.
//
//   clients ── network ── gateways ── Store
//   engine                engine + ClusterNode
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/checks.h"
#include "tests/simulation/host.h"
#include "tests/simulation/ownership.h"
#include "tests/simulation/store.h"

namespace jvpn::sim {

/// How the network between clients and gateways treats a packet.
struct NetWeather {
  double loss = 0;
  double duplicate = 0;
  TrueTime delay = 10 * kMs;
  TrueTime jitter = 5 * kMs;  ///< at random on top, hence reordering
};

/// A gateway's program.
struct Run {
  uint64_t number = 0;  ///< among all programs
  std::unique_ptr<SimulatedOwnership> ownership;
  std::unique_ptr<Host> host;
  std::unique_ptr<engine::SessionEngine> engine;  ///< none: it is ending
  std::deque<Packet> inbox;                       ///< what came while it didn't run
  TrueTime control_due = 0;
  TrueTime store_due = 0;
};

/// A machine that runs a gateway.
struct Gateway {
  std::string name;
  size_t node = 0;
  Clocks clocks;
  cluster::Instance instance{};
  std::array<uint8_t, 16> boot{};
  Millis safe{3'000};
  StoreWeather weather;
  unsigned paused = 0;           ///< by so many faults: nothing of the program runs
  unsigned control_stalled = 0;  ///< workers and store go on
  unsigned store_stalled = 0;    ///< the store's thread doesn't run
  std::vector<Packet> in_hand;   ///< sealed when it was paused
  std::unique_ptr<Run> run;
};

struct Client {
  size_t node = 0;
  Clocks clocks;
  SecretKey key;
  PublicKey public_key{};
  uint64_t run = 0;
  std::unique_ptr<Host> host;
  std::unique_ptr<engine::SessionEngine> engine;
  TrueTime gap = 200 * kMs;  ///< between two packets of data
  TrueTime due = 0;
  std::set<std::pair<size_t, size_t>> lost;  ///< gateway and network: told to be down
  TrueTime round_trip = 0;                   ///< when the latest packet was sent that came back
  uint64_t round_trips = 0;
};

struct Told {
  TrueTime at = 0;
  size_t node = 0;
  uint64_t run = 0;
  session::Event event;
};

class World final : public Surroundings {
 public:
  explicit World(uint64_t seed, bool trace);

  // ---- Time.

  TrueTime now() const override { return now_; }
  void at(TrueTime when, std::function<void()> what) { queue_.emplace(when, std::move(what)); }
  /// Until then, or the first violation, or `over`.
  void run_until(TrueTime end, const std::function<bool()>& over = nullptr);

  // ---- What can happen.

  void start(size_t gateway);
  void kill(size_t gateway);
  /// The operator ends the program: sessions wait in the store.
  void stop(size_t gateway);
  void pause(size_t gateway);
  void resume(size_t gateway);
  void stall_control(size_t gateway, bool stalls);
  void stall_store(size_t gateway, bool stalls);
  void terminate(size_t gateway, size_t client);
  void restart_client(size_t client);
  void jump(size_t client, size_t network);
  /// The client is told that a path is gone, or there again.
  void set_path(size_t client, size_t gateway, size_t network, bool there);

  // ---- What is.

  Gateway& gateway(size_t i) { return *gateways_[i]; }
  Client& client(size_t i) { return *clients_[i]; }
  size_t gateways() const { return gateways_.size(); }
  size_t clients() const { return clients_.size(); }
  Store& store() { return store_; }
  Checks& checks() { return checks_; }
  test::Random& random() { return random_; }
  const std::vector<Told>& told() const { return told_; }
  std::string name_of(size_t node) const;
  /// The client's session carries data that was sent since then, and the store keeps it.
  bool serves(size_t client, TrueTime since);
  /// Which gateway the client's session is bound to; clients of none: gateways().
  size_t gateway_of(size_t client);
  void note(const std::string& line);
  const std::deque<std::string>& trace() const { return trace_; }

  NetWeather weather;
  std::map<std::pair<size_t, size_t>, unsigned> cuts;  ///< of client and gateway, silent
  bool calm = false;       ///< whatever happens must end no session that is kept
  uint64_t takeovers = 0;  ///< sessions that went on at another gateway

  void carry(Packet packet) override;
  void on_event(size_t node, const session::Event& event) override;
  void learn_key(size_t node, ReceiverIndex index, const RawKey& control_key) override;

 private:
  static constexpr size_t kNetworks = 2;

  session::EngineConfig gateway_config(Gateway& gateway);
  session::EngineConfig client_config(const Client& client);
  void offer(Client& client);
  void start_client(Client& client);
  std::unique_ptr<SimulatedOwnership> make_ownership(size_t gateway, uint64_t run);
  void finish_run(size_t gateway, uint64_t run);

  bool runs(const Gateway& gateway) const { return gateway.run && gateway.paused == 0; }
  bool acts(const Gateway& gateway) const;
  void step(TrueTime next);
  TrueTime next_due() const;
  void serve_gateway(size_t i);
  void refresh(Gateway& gateway);
  void refresh(Client& client);
  void tick(size_t client);
  void deliver(const Packet& packet);
  void deliver_to_gateway(Gateway& gateway, const Packet& packet);
  void deliver_to_client(Client& client, const Packet& packet);
  void drain_inbox(Gateway& gateway);
  void give(engine::SessionEngine& engine, Millis now, const Packet& packet, PeerId peer);
  void check_control(const Packet& packet);
  void check_owners();
  void check_over(const std::string& node, uint64_t epoch);
  std::optional<SessionId> session_at(const engine::SessionEngine& engine, PeerId peer) const;

  bool traces_;
  std::deque<std::string> trace_;
  TrueTime now_ = 0;
  test::Random random_;
  uint64_t runs_ = 0;
  uint64_t idle_steps_ = 0;
  std::multimap<TrueTime, std::function<void()>> queue_;
  cluster::Keys keys_{"c/"};
  cluster::RecordKey mac_;
  Checks checks_;
  Store store_;
  SecretKey key_;
  PublicKey public_key_{};
  Policy policy_;
  std::vector<std::unique_ptr<Gateway>> gateways_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Told> told_;
  std::map<std::pair<size_t, uint32_t>, RawKey> control_keys_;  ///< by receiver
};

}  // namespace jvpn::sim
