#include "tests/matrix/rig.h"

#include <algorithm>
#include <utility>

#include "control/neighbor/arp.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr Millis kStart{10'000'000};
constexpr size_t kIp = 14;
constexpr size_t kUdp = kIp + 20;
constexpr size_t kPayload = kUdp + 8;

SecretKey secret_of(uint8_t seed) {
  SecretKey key;
  for (size_t i = 0; i < key.span().size(); ++i) key.span()[i] = static_cast<uint8_t>(seed + 7 * i);
  return key;
}

IpAddress v4_at(const Bytes& frame, size_t at) {
  return IpAddress::v4({frame[at], frame[at + 1], frame[at + 2], frame[at + 3]});
}

Snapshot snapshot_of(SessionEngine& engine, PeerId peer) {
  Snapshot found;
  for_each_session(engine, [&](const SessionView& view) {
    if (view.peer != peer || view.state == State::kBirth) return;
    found = {view.state, view.version,         view.binding_version,
             view.id,    to_string(view.path), view.switches};
  });
  return found;
}

}  // namespace

wire::TransportHeader Datagram::header() const {
  wire::TransportHeader read{};
  if (bytes.size() >= sizeof read) __builtin_memcpy(&read, bytes.data(), sizeof read);
  return read;
}

void PrintTo(const Snapshot& snapshot, std::ostream* out) {
  *out << to_string(snapshot.state) << " version " << snapshot.version.value << " binding "
       << snapshot.binding.value << " id " << to_string(snapshot.id) << " path " << snapshot.path
       << " switches " << snapshot.switches;
}

Rig::Rig(const RigOptions& options) : clock_(kStart) {
  const SecretKey gateway_secret = secret_of(1);
  gateway_key_ = public_key_of(gateway_secret);
  std::vector<EnginePeer> peers;
  for (size_t i = 0; i < options.clients; ++i) {
    const PublicKey key = public_key_of(secret_of(static_cast<uint8_t>(100 + i)));
    peers.push_back({"client" + std::to_string(i), key, {}, {Prefix{inner_address(i), 32}}});
  }
  for (size_t i = 0; i < options.gateways; ++i) {
    specs_.push_back({i, options.workers, gateway_secret, peers, options.policy,
                      options.adjust_gateway, options.sinks});
    specs_.back().adjust_profile = options.adjust_profile;
    gateways_.push_back(std::make_unique<GatewayNode>(clock_, specs_.back()));
  }
  for (size_t i = 0; i < options.clients; ++i) {
    ClientSpec spec;
    spec.number = i;
    spec.private_key = secret_of(static_cast<uint8_t>(100 + i));
    spec.gateway = gateway_key_;
    spec.policy = options.policy;
    spec.suite = options.suite;
    spec.seed = i + 1;
    spec.adjust = [&](EngineConfig& config) {
      config.rekey_after = options.rekey_after;
      if (options.adjust_client) options.adjust_client(config);
    };
    wires_.emplace_back(kPaths * options.gateways);
    clients_.push_back(std::make_unique<ClientNode>(
        spec, client_now(),
        [this, i](const Path& path, std::span<const uint8_t> bytes) { carry_up(i, path, bytes); }));
  }
}

Rig::~Rig() {
  std::vector<const EventBook*> books;
  for (const auto& each : gateways_) books.push_back(&each->events());
  for (const auto& each : clients_) books.push_back(&each->events());
  expect_sound(books, planted);
  if (testing::Test::HasFailure()) std::fputs(text().c_str(), stderr);
}

void Rig::restart_gateway(size_t number) {
  gateways_[number].reset();
  gateways_[number] = std::make_unique<GatewayNode>(clock_, specs_[number]);
}

std::string Rig::text() const {
  std::string all;
  for (const auto& each : gateways_) all += each->events().text();
  for (const auto& each : clients_) all += each->events().text();
  return all;
}

Path Rig::path(size_t number, size_t client) const {
  const size_t gateway = number / kPaths;
  const size_t wan = number % kWans;
  const auto last = static_cast<uint8_t>(20 + 16 * client + number);
  Path made;
  made.interface = static_cast<uint16_t>(number);
  made.local.address =
      wan == 0 ? IpAddress::v4({192, 0, 2, last}) : IpAddress::v4({198, 51, 100, last});
  made.local.port = static_cast<uint16_t>(40'000 + number);
  made.remote = {wan_address(gateway, wan), kListenPort};
  return made;
}

void Rig::cut(std::initializer_list<size_t> paths, size_t client) {
  for (const size_t number : paths) wires_[client][number].cut();
}

void Rig::cut_all(size_t client) {
  for (Wire& each : wires_[client]) each.cut();
}

void Rig::mend_all(size_t client) {
  for (Wire& each : wires_[client]) each.mend();
}

void Rig::set_candidates(size_t client, std::vector<size_t> paths) {
  std::vector<Path> candidates;
  for (const size_t number : paths) candidates.push_back(path(number, client));
  clients_[client]->engine().set_candidates(client_now(), kGateway, candidates);
}

void Rig::connect(size_t client) {
  clients_[client]->dial(client_now(), path(0, client));
  EXPECT_TRUE(run_until([&] { return attached(client); }, Millis{2'000}));
  set_candidates(client, {0, 1, 2});
  run_for(Millis{30});
}

void Rig::lose(size_t number, size_t client) {
  wires_[client][number].cut();
  clients_[client]->engine().path_lost(client_now(), kGateway, path(number, client));
}

void Rig::wish_jump(size_t number, size_t client) {
  clients_[client]->engine().jump(client_now(), kGateway, path(number, client));
}

bool Rig::jump(size_t number, size_t client) {
  wish_jump(number, client);
  const std::string to = to_string(path(number, client));
  const Millis cooldown = gateway().engine().policy().switching.switch_cooldown;
  return run_until([&] { return at_client(client).path == to; }, cooldown + Millis{1'000});
}

Snapshot Rig::at_gateway(size_t client, size_t gateway) {
  return snapshot_of(gateways_[gateway]->engine(), PeerId{static_cast<uint32_t>(client)});
}

Snapshot Rig::at_client(size_t client) {
  return snapshot_of(clients_[client]->engine(), kGateway);
}

bool Rig::in_state(State state, size_t client) {
  return at_gateway(client).state == state;
}

bool Rig::attached(size_t client) {
  return at_gateway(client).state == State::kAttached &&
         at_client(client).state == State::kAttached;
}

void Rig::expect_on(size_t number, size_t client) {
  const Path own = path(number, client);
  const size_t gateway = number / kPaths;
  const Endpoint seen = wires_[client][number].outside.value_or(own.local);
  const Path theirs{static_cast<uint16_t>(number % kWans), own.remote, seen};
  const Snapshot here = at_gateway(client, gateway);
  const Snapshot there = at_client(client);
  EXPECT_EQ(here.state, State::kAttached);
  EXPECT_EQ(there.state, State::kAttached);
  EXPECT_EQ(here.id, there.id);
  EXPECT_EQ(here.binding, there.binding);
  EXPECT_EQ(here.path, to_string(theirs));
  EXPECT_EQ(there.path, to_string(own));
}

bool Rig::serves(size_t client) {
  const uint64_t before = clients_[client]->echoes();
  if (!clients_[client]->send_echo()) return false;
  return run_until([&] { return clients_[client]->echoes() == before + 1; }, Millis{200});
}

void Rig::run_for(Millis span, Millis tick) {
  for (const Millis end = now() + span; now() < end;) step(std::min(tick, end - now()));
}

bool Rig::run_until(const std::function<bool()>& until, Millis limit, Millis tick) {
  for (const Millis end = now() + limit; now() < end && !until();) step(tick);
  return until();
}

void Rig::run_with_data(Millis span, Millis gap, Millis tick) {
  for (const Millis end = now() + span; now() < end;) {
    for (auto& each : clients_) each->send_echo();
    run_for(std::min(gap, end - now()), tick);
  }
}

void Rig::step(Millis tick) {
  clock_.advance(tick);
  bool busy = true;
  while (busy) {
    busy = false;
    for (size_t i = 0; i < gateways_.size(); ++i) busy = turn_gateway(i) || busy;
    for (auto& each : clients_) each->advance(client_now());
    busy = deliver_due() || busy;
  }
  if (after_step) after_step();
}

/// False: nothing left it.
bool Rig::turn_gateway(size_t number) {
  bool any = false;
  GatewayNode& gateway = *gateways_[number];
  gateway.turn();
  for (uint16_t port = 0; port < kWans; ++port) {
    for (const Bytes& frame : gateway.sent(port)) {
      take_frame(number, port, frame);
      any = true;
    }
  }
  for (const Bytes& frame : gateway.sent(kWans))
    if (inside) inside(number, frame);
  return any;
}

/// False: nothing was due.
bool Rig::deliver_due() {
  bool any = false;
  while (!queue_.empty() && queue_.begin()->first <= now()) {
    const Datagram datagram = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    deliver(datagram);
    any = true;
  }
  return any;
}

void Rig::deliver(const Datagram& datagram) {
  if (!datagram.up) {
    const Path own = path(datagram.path, datagram.client);
    return clients_[datagram.client]->receive(client_now(), own, datagram.bytes);
  }
  const Bytes udp = udp_datagram(datagram.source.port, datagram.destination.port, datagram.bytes);
  const Bytes ip = ipv4_packet(datagram.source.address, datagram.destination.address, udp);
  const Bytes frame = ip_frame(kPortMac, kPeerMac, ip);
  for (size_t i = 0; i < gateways_.size(); ++i) {
    for (uint16_t wan = 0; wan < kWans; ++wan) {
      if (wan_address(i, wan) != datagram.destination.address) continue;
      gateways_[i]->receive(wan, frame, datagram.source.port);
    }
  }
}

void Rig::classify(Datagram& datagram) {
  if (datagram.type() != wire::MessageType::kControl) return;
  std::optional<Bytes> plain;
  if (datagram.up) {
    const wire::TransportHeader header = datagram.header();
    const Bytes sealed(datagram.bytes.begin() + sizeof header, datagram.bytes.end());
    for (auto& each : gateways_) {
      const RxRecord* record = each->sessions().rx(header.receiver);
      if (record == nullptr || record->index.value != header.receiver || plain) continue;
      const RawKey& key = record->control().key;
      const Nonce nonce = transport_nonce(iv_of(key), record->index, header.counter);
      plain = openssl_open(record->traffic_key.suite, key, nonce, sealed);
    }
  } else {
    plain = clients_[datagram.client]->open(datagram.bytes);
  }
  if (plain && plain->size() > 1) datagram.control = wire::ControlType{(*plain)[1]};
}

Datagram Rig::datagram_up(size_t number, Bytes bytes, size_t client) const {
  const Path own = path(number, client);
  Datagram made;
  made.client = client;
  made.path = number;
  made.source = wires_[client][number].outside.value_or(own.local);
  made.destination = own.remote;
  made.bytes = std::move(bytes);
  return made;
}

void Rig::carry_up(size_t client, const Path& along, std::span<const uint8_t> bytes) {
  launch(datagram_up(along.interface, {bytes.begin(), bytes.end()}, client));
}

void Rig::carry_down(const Endpoint& source, const Endpoint& destination, Bytes bytes) {
  for (size_t client = 0; client < wires_.size(); ++client) {
    for (size_t number = 0; number < wires_[client].size(); ++number) {
      const Path own = path(number, client);
      const bool here = wires_[client][number].outside.value_or(own.local) == destination;
      if (!here || own.remote != source) continue;
      return launch({false, client, number, source, destination, std::move(bytes)});
    }
  }
  ++unreachable;
}

void Rig::launch(Datagram datagram) {
  classify(datagram);
  sent.push_back(datagram);
  if (filter && !filter(datagram)) return;
  const Wire& along = wires_[datagram.client][datagram.path];
  if (datagram.up ? along.cut_up : along.cut_down) return;
  for (unsigned copy = 0; copy < along.copies; ++copy) {
    queue_.emplace(now() + along.delay, datagram);
  }
}

void Rig::inject(const Datagram& datagram) {
  queue_.emplace(now(), datagram);
}

void Rig::take_frame(size_t gateway, uint16_t port, const Bytes& frame) {
  const unsigned type = get16(frame, 12);
  if (type == kArpType) return answer_arp(gateway, port, frame);
  const bool udp = type == kIpv4Type && frame[kIp + 9] == kUdpProtocol;
  if (!udp) return;
  EXPECT_TRUE(std::equal(kPeerMac.begin(), kPeerMac.end(), frame.begin()));
  const Endpoint source{v4_at(frame, kIp + 12), static_cast<uint16_t>(get16(frame, kUdp))};
  const Endpoint destination{v4_at(frame, kIp + 16), static_cast<uint16_t>(get16(frame, kUdp + 2))};
  const size_t bytes = get16(frame, kUdp + 4) - size_t{8};
  const auto payload = frame.begin() + kPayload;
  carry_down(source, destination, Bytes(payload, payload + static_cast<long>(bytes)));
}

/// Everybody on the link is behind one router.
void Rig::answer_arp(size_t gateway, uint16_t port, const Bytes& frame) {
  const auto question = parse_arp(std::span(frame).subspan(kIp));
  if (!question || question->operation != ArpMessage::Operation::kRequest) return;
  if (question->sender == question->target) return;
  Bytes answer(kArpFrameBytes);
  write_arp_frame(
      std::span<uint8_t, kArpFrameBytes>(answer.data(), kArpFrameBytes), kPortMac,
      {ArpMessage::Operation::kReply, kPeerMac, question->target, kPortMac, question->sender});
  gateways_[gateway]->receive(port, answer);
}

Datagram Rig::last(wire::ControlType type, size_t client) const {
  for (auto each = sent.rbegin(); each != sent.rend(); ++each) {
    if (each->client == client && each->control == type) return *each;
  }
  ADD_FAILURE() << "no control message of type " << static_cast<int>(type) << " was sent";
  return {};
}

size_t Rig::count(wire::ControlType type, size_t client) const {
  return static_cast<size_t>(std::ranges::count_if(
      sent, [&](const Datagram& each) { return each.client == client && each.control == type; }));
}

}  // namespace jvpn::test
