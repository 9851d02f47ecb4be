#include "tools/jvpnd/gateway.h"

#include <memory>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/message_mac.h"
#include "control/gateway/control_loop.h"
#include "control/gateway/gateway_clock.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/peer_reload.h"
#include "control/store/sqlite_ownership.h"
#include "dataplane/dataplane.h"
#include "dataplane/eal.h"

namespace jvpn {
namespace {

/// Every worker sends on lanes of its own, equally many; the profile was checked for it.
uint16_t lanes_of(const GatewayProfile& profile, size_t workers) {
  return profile.lanes != 0 ? profile.lanes : static_cast<uint16_t>(workers);
}

session::EngineConfig engine_config(admin::LoadedGateway& loaded, const Dataplane& dataplane,
                                    uint32_t slot_bits) {
  const GatewayProfile& profile = loaded.profile;
  session::EngineConfig config;
  config.private_key = std::move(loaded.private_key);
  for (size_t i = 0; i < profile.peers.size(); ++i)
    config.peers.push_back(gateway::engine_peer(profile.peers[i], loaded.preshared[i]));
  config.peer_room = profile.limits.sessions;
  config.suites = profile.crypto.suites;
  config.rekey_after = profile.crypto.rekey_after;
  config.rekey_after_packets = profile.crypto.rekey_after_packets;
  config.lanes = lanes_of(profile, dataplane.workers());
  config.slot_bits = slot_bits;
  config.handshakes_per_s = profile.limits.handshakes_per_s;
  config.policy = profile.policy;
  return config;
}

Result<Dataplane::Options> dataplane_options(const admin::LoadedGateway& loaded) {
  auto mac = MessageMac::create();
  if (!mac) return mac.error();
  const ResponderMacKeys keys = ResponderMacKeys::derive(*mac, public_key_of(loaded.private_key));
  return Dataplane::Options{keys.mac1, gateway::route_room(loaded.profile)};
}

/// Where sessions are kept; null when the profile says nowhere. On the caller's CPUs, which EAL
/// hasn't taken yet.
Result<std::unique_ptr<store::SqliteOwnership>> open_store(const admin::LoadedGateway& loaded) {
  const std::string& directory = loaded.profile.state.directory;
  if (directory.empty()) {
    spdlog::info("state_dir: none: sessions end when jvpnd does");
    return std::unique_ptr<store::SqliteOwnership>();
  }
  store::StoreOptions options;
  options.directory = directory;
  options.news = [](const std::string& line) { spdlog::warn("{}", line); };
  auto opened = store::SqliteOwnership::open(std::move(options), loaded.private_key);
  if (opened) return opened;
  return Error{opened.error().message +
               " (or set state_dir: none in the profile, and no session outlives jvpnd)"};
}

}  // namespace

Result<void> run_gateway(admin::LoadedGateway loaded, events::EventLog& events,
                         const std::atomic<bool>& stop, std::atomic<bool>& reload) {
  const auto options = dataplane_options(loaded);
  if (!options) return options.error();
  const auto store = open_store(loaded);
  if (!store) return store.error();
  const auto eal = Eal::start(loaded.profile);
  if (!eal) return eal.error();
  auto dataplane = Dataplane::create(loaded.profile, *options);
  if (!dataplane) return dataplane.error();
  Dataplane& workers = **dataplane;

  session::EngineConfig config = engine_config(loaded, workers, workers.sessions().slot_bits());
  config.ownership = store->get();
  const gateway::BootClock clock;
  auto loop = gateway::ControlLoop::create(loaded.profile, std::move(config), workers.view(),
                                           events, clock);
  if (!loop) return loop.error();
  (*loop)->on_reload([path = loaded.path] { return admin::load_gateway(path); });
  if (auto started = workers.start(); !started) return started;
  if (!workers.warning().empty())
    spdlog::warn("{}; workers slow each other down", workers.warning());
  for (const PortInfo& port : workers.ports())
    if (!port.warning.empty())
      spdlog::warn("port {} ({}): {}", port.name, port.interface, port.warning);
  spdlog::info("{}: {} ports, {} workers, {} peers", loaded.profile.node, workers.ports().size(),
               workers.workers(), loaded.profile.peers.size());
  (*loop)->run(stop, reload);
  workers.stop();
  return {};
}

}  // namespace jvpn
