// Programs of the world: how they are made, begin and end.
#include <algorithm>
#include <utility>

#include "tests/simulation/world.h"

namespace jvpn::sim {
namespace {

constexpr TrueTime kHandOff = 500;  // from one thread to another, at most
constexpr TrueTime kLook = 50 * kMs;
constexpr size_t kMostGateways = 5;
constexpr size_t kMostClients = 6;
constexpr int64_t kMostPpm = 10'000;

}  // namespace

World::World(uint64_t seed, bool trace)
    : traces_(trace),
      random_(seed),
      checks_(keys_, mac_),
      store_({[this] { return now_; },
              [this](TrueTime when, std::function<void()> what) { at(when, std::move(what)); }},
             random_, checks_) {
  random_.fill(key_.span());
  public_key_ = public_key_of(key_);
  checks_.on_over = [this](const std::string& node, uint64_t epoch) { check_over(node, epoch); };
  if (trace) checks_.on_record = [this](const std::string& line) { note(line); };
  policy_.switching.recovery_attempt = Millis{1'000 + 1'000 * random_.below(2)};
  const size_t clients = 1 + random_.below(random_.below(kMostClients) + 1);
  const size_t gateways = 2 + random_.below(random_.below(kMostGateways - 1) + 1);
  const Millis safe{random_.below(3) == 0 ? 1'500U : 3'000U};
  const auto clocks = [this] {
    const int64_t ppm = static_cast<int64_t>(random_.below(2 * kMostPpm + 1)) - kMostPpm;
    return Clocks(ppm, 0, Millis{100'000 + random_.below(1'000'000)});
  };
  for (size_t i = 0; i < clients; ++i) {
    clients_.push_back(std::make_unique<Client>());
    Client& client = *clients_.back();
    client.node = i;
    client.clocks = clocks();
    client.gap = (50 + random_.below(400)) * kMs;
    random_.fill(client.key.span());
    client.public_key = public_key_of(client.key);
  }
  for (size_t i = 0; i < gateways; ++i) {
    gateways_.push_back(std::make_unique<Gateway>());
    Gateway& gateway = *gateways_.back();
    // Two that were given one name by mistake take no turns.
    const bool twin = i != 0 && i + 1 == gateways && random_.below(12) == 0;
    gateway.name = "g" + std::to_string(twin ? 0 : i);
    gateway.node = clients + i;
    gateway.clocks = clocks();
    gateway.safe = safe;
    random_.fill(gateway.instance);
    random_.fill(gateway.boot);
    start(i);
  }
  for (size_t i = 0; i < clients; ++i) {
    start_client(*clients_[i]);
    at(random_.below(kSecond), [this, i] { tick(i); });
  }
}

// ---- Gateways.

session::EngineConfig World::gateway_config(Gateway& gateway) {
  session::EngineConfig config;
  config.node = gateway.name;
  config.private_key = key_;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = 8;
  config.policy = policy_;
  for (const auto& client : clients_) {
    session::EnginePeer peer;
    peer.name = name_of(client->node);
    peer.public_key = client->public_key;
    peer.inner_addresses = {*Prefix::parse("10.9.0." + std::to_string(client->node + 1) + "/32")};
    config.peers.push_back(std::move(peer));
  }
  return config;
}

std::unique_ptr<SimulatedOwnership> World::make_ownership(size_t i, uint64_t number) {
  Gateway* const gateway = gateways_[i].get();
  const auto is_there = [gateway, number] {
    return gateway->run && gateway->run->number == number;
  };
  cluster::NodeOptions options;
  options.node = gateway->name;
  options.prefix = "c/";
  options.instance = gateway->instance;
  options.boot = gateway->boot;
  options.safe = gateway->safe;
  options.random = [this] { return random_.next(); };
  options.news = [this, gateway](const std::string& line) { note(gateway->name + ": " + line); };
  SimulatedOwnership::Surroundings around;
  around.now = [this, gateway] {
    return cluster::NodeTime{gateway->clocks.boot(now_), gateway->clocks.wall_ms(now_)};
  };
  around.wake_store = [this, gateway, is_there] {
    if (is_there())
      gateway->run->store_due = std::min(gateway->run->store_due, now_ + random_.below(kHandOff));
  };
  around.wake_control = [this, gateway, is_there] {
    if (is_there())
      gateway->run->control_due =
          std::min(gateway->run->control_due, now_ + random_.below(kHandOff));
  };
  around.ended = [this](const SessionId& session) { checks_.on_end_answered(session); };
  const auto answered = [gateway, is_there,
                         wake = around.wake_store](const cluster::TxnAnswer& answer) {
    if (!is_there()) return;
    gateway->run->ownership->answered(answer);
    wake();
  };
  const auto send = [this, gateway, answered](uint64_t sent, const cluster::Txn& txn,
                                              Millis patience) {
    const TrueTime gives_up = gateway->clocks.when(gateway->clocks.boot(now_) + patience);
    store_.send(gateway->weather, gives_up, sent, txn, answered);
  };
  return std::make_unique<SimulatedOwnership>(std::move(around), std::move(options), mac_, send);
}

void World::start(size_t i) {
  Gateway& gateway = *gateways_[i];
  if (gateway.run) {
    const bool ends = !gateway.run->engine;  // the new one waits for the lock of the directory
    if (ends) at(now_ + kLook, [this, i] { start(i); });
    return;
  }
  gateway.run = std::make_unique<Run>();
  Run& run = *gateway.run;
  run.number = ++runs_;
  run.control_due = run.store_due = now_;
  run.host = std::make_unique<Host>(*this, gateway.clocks, checks_, gateway.node, run.number,
                                    random_.next());
  run.ownership = make_ownership(i, run.number);
  session::EngineConfig config = gateway_config(gateway);
  config.ownership = run.ownership.get();
  auto engine =
      engine::SessionEngine::create(std::move(config), *run.host, gateway.clocks.boot(now_));
  if (!engine) return checks_.fail("no engine: " + engine.error().message);
  run.engine = std::move(*engine);
  note(gateway.name + " starts as program " + std::to_string(run.number));
}

void World::kill(size_t i) {
  Gateway& gateway = *gateways_[i];
  if (!gateway.run) return;
  note(gateway.name + " is killed");
  gateway.run->engine.reset();
  gateway.run.reset();
  gateway.in_hand.clear();
}

void World::stop(size_t i) {
  Gateway& gateway = *gateways_[i];
  const bool may = runs(gateway) && gateway.run->engine && gateway.control_stalled == 0;
  if (!may) return;
  note(gateway.name + " is stopped");
  Run& run = *gateway.run;
  run.engine->shutdown(gateway.clocks.boot(now_));
  run.engine.reset();
  run.inbox.clear();
  run.ownership->finish();
  finish_run(i, run.number);
}

void World::finish_run(size_t i, uint64_t number) {
  Gateway& gateway = *gateways_[i];
  if (!gateway.run || gateway.run->number != number) return;
  if (gateway.run->ownership->finished()) {
    gateway.run.reset();
    return;
  }
  gateway.run->store_due = std::min(gateway.run->store_due, now_);
  at(now_ + kLook, [this, i, number] { finish_run(i, number); });
}

/// What its workers have in hand leaves when they go on.
void World::pause(size_t i) {
  Gateway& gateway = *gateways_[i];
  if (gateway.paused == 0 && acts(gateway)) {
    for (const PeerId peer : gateway.run->host->peers_with_tx())
      if (auto packet = gateway.run->host->seal(peer, 0)) gateway.in_hand.push_back(*packet);
  }
  ++gateway.paused;
}

void World::resume(size_t i) {
  Gateway& gateway = *gateways_[i];
  if (gateway.paused == 0 || --gateway.paused != 0) return;
  for (Packet& each : std::exchange(gateway.in_hand, {})) carry(std::move(each));
  drain_inbox(gateway);
}

void World::stall_control(size_t i, bool stalls) {
  Gateway& gateway = *gateways_[i];
  if (stalls) {
    ++gateway.control_stalled;
  } else if (gateway.control_stalled != 0 && --gateway.control_stalled == 0) {
    drain_inbox(gateway);
  }
}

void World::stall_store(size_t i, bool stalls) {
  unsigned& count = gateways_[i]->store_stalled;
  if (stalls)
    ++count;
  else if (count != 0)
    --count;
}

void World::terminate(size_t i, size_t client) {
  Gateway& gateway = *gateways_[i];
  if (!runs(gateway) || !gateway.run->engine || gateway.control_stalled != 0) return;
  gateway.run->engine->terminate(gateway.clocks.boot(now_), PeerId{static_cast<uint32_t>(client)},
                                 Detail::kPolicyHardStop);
  refresh(gateway);
}

// ---- Clients.

session::EngineConfig World::client_config(const Client& client) {
  session::EngineConfig config;
  config.private_key = client.key;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = 8;
  config.policy = policy_;
  session::EnginePeer peer;
  peer.name = "cluster";
  peer.public_key = public_key_;
  for (const auto& gateway : gateways_) {
    const auto number = static_cast<uint8_t>(gateway->node - clients_.size());
    for (size_t network = 0; network < kNetworks; ++network)
      peer.gateways.push_back({endpoint_of(gateway->node, network), GatewayNumber{number}});
  }
  config.peers.push_back(std::move(peer));
  return config;
}

void World::offer(Client& client) {
  std::vector<Path> paths;
  for (size_t i = 0; i < gateways_.size(); ++i)
    for (size_t network = 0; network < kNetworks; ++network)
      if (!client.lost.contains({i, network}))
        paths.push_back(path_between(client.node, gateways_[i]->node, network));
  client.engine->set_candidates(client.clocks.boot(now_), PeerId{0}, paths);
}

void World::start_client(Client& client) {
  client.engine.reset();
  client.run = ++runs_;
  client.host = std::make_unique<Host>(*this, client.clocks, checks_, client.node, client.run,
                                       random_.next());
  const Millis now = client.clocks.boot(now_);
  auto engine = engine::SessionEngine::create(client_config(client), *client.host, now);
  if (!engine) return checks_.fail("no engine: " + engine.error().message);
  client.engine = std::move(*engine);
  offer(client);
  const size_t first = random_.below(gateways_.size());
  client.engine->dial(now, PeerId{0}, path_between(client.node, gateways_[first]->node, 0));
  refresh(client);
}

void World::restart_client(size_t i) {
  note(name_of(i) + " starts again");
  start_client(*clients_[i]);
}

void World::jump(size_t i, size_t network) {
  const size_t gateway = gateway_of(i);
  if (gateway == gateways_.size()) return;
  Client& client = *clients_[i];
  client.engine->jump(client.clocks.boot(now_), PeerId{0},
                      path_between(client.node, gateways_[gateway]->node, network));
  refresh(client);
}

void World::set_path(size_t i, size_t gateway, size_t network, bool there) {
  Client& client = *clients_[i];
  const bool changes = there ? client.lost.erase({gateway, network}) != 0
                             : client.lost.insert({gateway, network}).second;
  if (!changes) return;
  if (there) {
    offer(client);
  } else {
    client.engine->path_lost(client.clocks.boot(now_), PeerId{0},
                             path_between(client.node, gateways_[gateway]->node, network));
  }
  refresh(client);
}

}  // namespace jvpn::sim
