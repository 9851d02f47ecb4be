#include "perf/storm/storm_peers.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "control/session/system_sources.h"
#include "perf/harness/engine_node.h"
#include "perf/storm/storm_path.h"

namespace jvpn::perf {
namespace {

/// One manager of IPsec-MB for each engine that has asked so far would be 400 kB a peer: all get
/// the same one, which works for one call at a time, as their thread does.
IMB_MGR* shared_manager(uint64_t flags) {
  static const IpsecMb library;
  static IMB_MGR* const manager = [&] {
    IMB_MGR* const made = library.allocate(flags);
    if (made != nullptr) library.init(made, nullptr);
    return made;
  }();
  return manager;
}

IpsecMb shared_library() {
  IpsecMb library;
  library.allocate = shared_manager;
  library.free = [](IMB_MGR*) {};
  library.init = [](IMB_MGR*, IMB_ARCH*) {};
  return library;
}

std::vector<Path> paths_of(uint32_t peer, std::span<const uint16_t> networks) {
  std::vector<Path> paths;
  for (const uint16_t network : networks) paths.push_back(storm_path(peer, network));
  return paths;
}

}  // namespace

wire::Timestamp StormPeers::Peer::timestamp() {
  return session::tai64n_now();
}

StormPeers::StormPeers(uint64_t seed, Carry carry) : carry_(std::move(carry)), seed_(seed) {}

Result<PublicKey> StormPeers::add(uint64_t now_us, session::EngineConfig config,
                                  const PublicKey& gateway) {
  config.private_key = generate_secret_key();
  const PublicKey key = public_key_of(config.private_key);
  config.peers = {{"gateway", gateway, std::nullopt, {}}};
  auto peer = std::make_unique<Peer>(*this, size(), seed_ + size());
  auto engine =
      engine::SessionEngine::create(std::move(config), *peer, begin(now_us), shared_library());
  if (!engine) return engine.error();
  peer->engine = *std::move(engine);
  peers_.push_back(std::move(peer));
  timers_.grow(size());
  return key;
}

Millis StormPeers::begin(uint64_t now_us) {
  now_us_ = now_us;
  return Millis{now_us / 1'000};
}

void StormPeers::leave(uint32_t peer) {
  const Millis at = peers_[peer]->engine->next_deadline();
  if (at == kNever)
    timers_.cancel(peer);
  else
    timers_.arm(peer, at);
}

void StormPeers::dial(uint64_t now_us, uint32_t peer, std::span<const uint16_t> networks) {
  engine::SessionEngine& engine = *peers_[peer]->engine;
  const Millis now = begin(now_us);
  engine.set_candidates(now, kGatewayPeer, paths_of(peer, networks));
  engine.dial(now, kGatewayPeer, storm_path(peer, networks.front()));
  leave(peer);
}

void StormPeers::set_networks(uint64_t now_us, uint32_t peer, std::span<const uint16_t> networks) {
  peers_[peer]->engine->set_candidates(begin(now_us), kGatewayPeer, paths_of(peer, networks));
  leave(peer);
}

void StormPeers::lose(uint64_t now_us, uint32_t peer, uint16_t network) {
  peers_[peer]->engine->path_lost(begin(now_us), kGatewayPeer, storm_path(peer, network));
  leave(peer);
}

void StormPeers::jump(uint64_t now_us, uint16_t network) {
  const Millis now = begin(now_us);
  for (const auto& peer : peers_) {
    if (peer->network == network || peer->engine->jumps(kGatewayPeer)) continue;
    peer->engine->jump(now, kGatewayPeer, storm_path(peer->number, network));
    leave(peer->number);
  }
}

void StormPeers::receive(uint64_t now_us, uint32_t peer, const Path& path,
                         std::span<uint8_t> datagram) {
  test::give(*peers_[peer]->engine, begin(now_us), path, datagram);
  leave(peer);
}

uint64_t StormPeers::due_us() const {
  const Millis next = timers_.next();
  return next == kNever ? UINT64_MAX : next.value * 1'000;
}

void StormPeers::advance(uint64_t now_us) {
  const Millis now = begin(now_us);
  timers_.expire(now);
  while (const auto peer = timers_.pop()) {
    peers_[*peer]->engine->advance(now);
    leave(*peer);
  }
}

uint64_t StormPeers::attached() const {
  return static_cast<uint64_t>(std::ranges::count_if(peers_, [](const auto& peer) {
    const auto& sessions = peer->engine->counters().totals.sessions;
    return sessions[static_cast<size_t>(session::State::kAttached)] == 1;
  }));
}

void StormPeers::note(const session::Event& event) {
  note_ending(event, endings_);
  const bool rejected = event.kind == session::EventKind::kReattach && event.result != nullptr &&
                        std::string_view(event.result) == "reject";
  if (rejected) ++denied_[reason_of(event)];
}

Endings StormPeers::take_endings() {
  return std::exchange(endings_, {});
}

std::map<std::string, uint64_t> StormPeers::take_denied() {
  return std::exchange(denied_, {});
}

}  // namespace jvpn::perf
