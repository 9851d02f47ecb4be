// Time, the network, and what is checked after each event.
#include "tests/simulation/world.h"

#include <algorithm>
#include <utility>

namespace jvpn::sim {

using engine::SessionView;
using session::State;

namespace {

constexpr size_t kInbox = 64;           // packets that wait for a program that doesn't run
constexpr size_t kTraced = 2000;        // lines
constexpr uint64_t kMostIdle = 20'000;  // steps without a step of time

}  // namespace

// ---- Time.

TrueTime World::next_due() const {
  TrueTime next = queue_.empty() ? kNoTime : queue_.begin()->first;
  for (const auto& each : gateways_) {
    if (!runs(*each)) continue;
    if (each->control_stalled == 0 && each->run->engine)
      next = std::min(next, each->run->control_due);
    if (each->store_stalled == 0) next = std::min(next, each->run->store_due);
  }
  for (const auto& each : clients_) next = std::min(next, each->due);
  return next;
}

void World::run_until(TrueTime end, const std::function<bool()>& over) {
  for (;;) {
    const TrueTime next = std::max(now_, next_due());
    if (next > end) break;
    idle_steps_ = next == now_ ? idle_steps_ + 1 : 0;
    if (idle_steps_ > kMostIdle)
      checks_.fail("time stands still: something is due again and again");
    now_ = next;
    step(next);
    check_owners();
    if (checks_.violation() || (over && over())) return;
  }
  now_ = end;
}

void World::step(TrueTime next) {
  if (!queue_.empty() && queue_.begin()->first <= next) {
    const std::function<void()> what = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    return what();
  }
  for (size_t i = 0; i < gateways_.size(); ++i) serve_gateway(i);
  for (const auto& each : clients_) {
    if (each->due > next) continue;
    each->engine->advance(each->clocks.boot(next));
    refresh(*each);
  }
}

void World::serve_gateway(size_t i) {
  Gateway& gateway = *gateways_[i];
  if (!runs(gateway)) return;
  const Millis now = gateway.clocks.boot(now_);
  Run& run = *gateway.run;
  if (run.engine && gateway.control_stalled == 0) run.ownership->note_alive(now, true);
  if (gateway.store_stalled == 0 && run.store_due <= now_) {
    run.store_due = kNoTime;
    run.ownership->turn();
  }
  if (run.engine && gateway.control_stalled == 0 && run.control_due <= now_) {
    run.control_due = kNoTime;
    run.engine->advance(now);
  }
  refresh(gateway);
}

/// When each of its threads is due next.
void World::refresh(Gateway& gateway) {
  if (!gateway.run) return;
  Run& run = *gateway.run;
  run.store_due = std::min(run.store_due, gateway.clocks.when(run.ownership->due()));
  if (!run.engine) return;
  const Millis due = run.engine->next_deadline();
  run.control_due = std::min(run.control_due, gateway.clocks.when(due));
}

void World::refresh(Client& client) {
  client.due = client.clocks.when(client.engine->next_deadline());
}

// ---- The network.

void World::carry(Packet packet) {
  if (packet.type() == wire::MessageType::kControl) check_control(packet);
  const size_t client = std::min(packet.from, packet.to);
  const size_t gateway = std::max(packet.from, packet.to) - clients_.size();
  if (gateway >= gateways_.size()) return checks_.fail("a packet to nobody");
  if (const auto cut = cuts.find({client, gateway}); cut != cuts.end() && cut->second != 0) return;
  const bool down = clients_[client]->lost.contains({gateway, network_of(packet.path)});
  if (down || random_.chance(weather.loss)) return;
  const bool data = packet.type() == wire::MessageType::kData;
  const size_t copies = !data && random_.chance(weather.duplicate) ? 2 : 1;
  for (size_t i = 0; i < copies; ++i) {
    const TrueTime when = now_ + weather.delay + random_.below(weather.jitter + 1);
    at(when, [this, packet] { deliver(packet); });
  }
}

void World::deliver(const Packet& packet) {
  if (packet.to < clients_.size()) return deliver_to_client(*clients_[packet.to], packet);
  deliver_to_gateway(*gateways_[packet.to - clients_.size()], packet);
}

void World::deliver_to_gateway(Gateway& gateway, const Packet& packet) {
  if (!gateway.run || !gateway.run->engine) return;
  Run& run = *gateway.run;
  const bool data = packet.type() == wire::MessageType::kData;
  const bool waits = gateway.paused != 0 || (!data && gateway.control_stalled != 0);
  if (waits) {
    if (run.inbox.size() < kInbox) run.inbox.push_back(packet);
    return;
  }
  const Millis now = gateway.clocks.boot(now_);
  if (!data) {
    give(*run.engine, now, packet, PeerId{static_cast<uint32_t>(packet.from)});
    return refresh(gateway);
  }
  bool known = false;
  const auto opened = run.host->open(packet, known);
  if (!known && gateway.control_stalled == 0) {
    wire::TransportHeader header;
    __builtin_memcpy(&header, packet.bytes.data(), sizeof header);
    run.engine->on_unknown_index(now, packet.path, ReceiverIndex{header.receiver});
    refresh(gateway);
  }
  if (!opened || run.ownership->silent()) return;
  if (auto answer = run.host->seal(opened->peer, opened->tag)) carry(std::move(*answer));
}

void World::deliver_to_client(Client& client, const Packet& packet) {
  if (packet.type() == wire::MessageType::kData) {
    bool known = false;
    const auto opened = client.host->open(packet, known);
    if (!opened) return;
    ++client.round_trips;
    client.round_trip = std::max(client.round_trip, opened->tag);
    return;
  }
  give(*client.engine, client.clocks.boot(now_), packet, PeerId{0});
  refresh(client);
}

/// As a worker does with what isn't data, and control with what the worker hands it.
void World::give(engine::SessionEngine& engine, Millis now, const Packet& packet, PeerId peer) {
  if (packet.type() == wire::MessageType::kReset)
    return engine.on_handshake(now, packet.path, packet.bytes, std::nullopt, peer);
  if (packet.type() != wire::MessageType::kControl)
    return engine.on_handshake(now, packet.path, packet.bytes, std::nullopt);
  Bytes copy = packet.bytes;
  wire::TransportHeader header;
  __builtin_memcpy(&header, copy.data(), sizeof header);
  const ReceiverIndex index{header.receiver};
  const auto opened = engine.open_control(copy);
  if (opened) return engine.on_control(now, packet.path, index, opened->counter, opened->plaintext);
  if (!engine.receives_on(index)) engine.on_unknown_index(now, packet.path, index);
}

void World::drain_inbox(Gateway& gateway) {
  if (!gateway.run) return;
  for (const Packet& each : std::exchange(gateway.run->inbox, {}))
    at(now_, [this, each] { deliver(each); });
}

/// Each client sends a packet now and then; its gateway sends it back.
void World::tick(size_t i) {
  Client& client = *clients_[i];
  if (auto packet = client.host->seal(PeerId{0}, now_)) carry(std::move(*packet));
  at(now_ + client.gap, [this, i] { tick(i); });
}

// ---- What is checked.

void World::learn_key(size_t node, ReceiverIndex index, const RawKey& control_key) {
  control_keys_[{node, index.value}] = control_key;
}

void World::check_control(const Packet& packet) {
  wire::TransportHeader header;
  __builtin_memcpy(&header, packet.bytes.data(), sizeof header);
  const auto key = control_keys_.find({packet.to, header.receiver});
  if (key == control_keys_.end()) return checks_.fail("a control message to an unknown index");
  checks_.on_control(key->second, ReceiverIndex{header.receiver}, header.counter);
}

/// By its own clock it may send what a store owns.
bool World::acts(const Gateway& gateway) const {
  return runs(gateway) && gateway.run->engine && !gateway.run->ownership->silent();
}

void World::check_owners() {
  for (const auto& client : clients_) {
    const PeerId peer{static_cast<uint32_t>(client->node)};
    std::map<SessionId, std::string> owners;
    size_t sending = 0;
    for (const auto& each : gateways_) sending += acts(*each) && each->run->host->sends_to(peer);
    if (sending < 2) continue;
    for (const auto& each : gateways_) {
      if (!acts(*each) || !each->run->host->sends_to(peer)) continue;
      const auto id = session_at(*each->run->engine, peer);
      if (!id) continue;
      const auto [other, first] = owners.emplace(*id, each->name);
      if (!first)
        checks_.fail("session " + brief(*id) + " has two owners: " + other->second + " and " +
                     each->name);
    }
  }
}

/// Whoever's run was ended has to be silent by then.
void World::check_over(const std::string& node, uint64_t epoch) {
  for (const auto& each : gateways_) {
    const bool is_it = each->name == node && runs(*each) && each->run->ownership->epoch() == epoch;
    if (is_it && !each->run->ownership->silent())
      checks_.fail("epoch " + std::to_string(epoch) + " of " + node +
                   " was ended while it may act");
  }
}

std::optional<SessionId> World::session_at(const engine::SessionEngine& engine, PeerId peer) const {
  std::optional<SessionId> found;
  for_each_session(engine, [&](const SessionView& view) {
    if (view.peer == peer && view.state != State::kBirth) found = view.id;
  });
  return found;
}

void World::on_event(size_t node, const session::Event& event) {
  const bool client = node < clients_.size();
  const Gateway* const gateway = client ? nullptr : gateways_[node - clients_.size()].get();
  const uint64_t run = client ? clients_[node]->run : gateway->run->number;
  told_.push_back({now_, node, run, event});
  if (traces_) {
    note(name_of(node) + " " + to_string(event.kind) + " " + brief(event.session) + " " +
         to_string(event.from) + ">" + to_string(event.to) + " v" +
         std::to_string(event.state_version.value) + " " + to_string(event.reason) + " " +
         to_string(event.detail) + (event.check == nullptr ? "" : " " + std::string(event.check)));
  }
  const bool ends =
      event.kind == session::EventKind::kStateChange && event.to == State::kTerminated;
  if (calm && ends && event.end == session::SessionEnd::kInitiator &&
      checks_.kept(clients_[node]->public_key) == event.session)
    checks_.fail("session " + brief(event.session) + " has ended, though nothing was long enough");
  if (client) return;
  if (event.kind == session::EventKind::kOwnershipChange && event.reason == Reason::kSessionResumed)
    ++takeovers;
  checks_.on_event(run, acts(*gateway), event);
}

void World::note(const std::string& line) {
  if (!traces_) return;
  trace_.push_back(std::to_string(now_ / kMs) + " ms  " + line);
  if (trace_.size() > kTraced) trace_.pop_front();
}

// ---- What is.

std::string World::name_of(size_t node) const {
  const bool client = node < clients_.size();
  return (client ? "c" : "g") + std::to_string(client ? node : node - clients_.size());
}

bool World::serves(size_t i, TrueTime since) {
  Client& client = *clients_[i];
  if (client.round_trip <= since) return false;
  const auto kept = checks_.kept(client.public_key);
  bool attached = false;
  for_each_session(*client.engine, [&](const SessionView& view) {
    attached = attached || (view.state == State::kAttached && kept == view.id);
  });
  return attached;
}

size_t World::gateway_of(size_t i) {
  size_t found = gateways_.size();
  for_each_session(*clients_[i]->engine, [&](const SessionView& view) {
    if (view.state != State::kBirth) found = node_of(view.path.remote) - clients_.size();
  });
  return found;
}

}  // namespace jvpn::sim
