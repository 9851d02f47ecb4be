#include "tools/jvpnd/gateway.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <linux/capability.h>
#include <poll.h>
#include <rte_eal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "common/message_mac.h"
#include "control/cluster/etcd_ownership.h"
#include "control/gateway/control_loop.h"
#include "control/gateway/gateway_clock.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/peer_reload.h"
#include "control/gateway/stall_watch.h"
#include "control/store/sqlite_ownership.h"
#include "dataplane/dataplane.h"
#include "dataplane/eal.h"
#include "tools/jvpnd/service_manager.h"
#include "tools/shared/cluster_files.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

constexpr std::chrono::seconds kEndLimit{2};  ///< for workers to end, once sessions have

/// Every worker sends on lanes of its own, equally many; the profile was checked for it.
uint16_t lanes_of(const GatewayProfile& profile, size_t workers) {
  return profile.lanes != 0 ? profile.lanes : static_cast<uint16_t>(workers);
}

session::EngineConfig engine_config(admin::LoadedGateway& loaded, const Dataplane& dataplane,
                                    uint32_t slot_bits) {
  const GatewayProfile& profile = loaded.profile;
  session::EngineConfig config;
  config.node = profile.node;
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

void log_news(const std::string& line) {
  spdlog::warn("{}", line);
}

Result<std::unique_ptr<session::Ownership>> open_cluster(const admin::LoadedGateway& loaded) {
  const EtcdProfile& etcd = *loaded.profile.ownership.etcd;
  cluster::EtcdOwnershipOptions options;
  options.etcd = etcd_options(etcd);
  options.node = loaded.profile.node;
  options.prefix = etcd.prefix;
  options.directory = loaded.profile.state.directory;
  options.safe = loaded.profile.ownership.safe_time;
  options.patience = loaded.profile.policy.switching.recovery_attempt;
  options.news = log_news;
  auto opened = cluster::EtcdOwnership::open(std::move(options), loaded.private_key);
  if (!opened) return opened.error();
  return std::unique_ptr<session::Ownership>(std::move(*opened));
}

/// Where sessions are kept; null when the profile says nowhere. On the caller's CPUs, which EAL
/// hasn't taken yet.
Result<std::unique_ptr<session::Ownership>> open_store(const admin::LoadedGateway& loaded) {
  if (loaded.profile.ownership.etcd) return open_cluster(loaded);
  const std::string& directory = loaded.profile.state.directory;
  if (directory.empty()) {
    spdlog::info("state_dir: none: sessions end when jvpnd does");
    return std::unique_ptr<session::Ownership>();
  }
  auto opened =
      store::SqliteOwnership::open({.directory = directory, .news = log_news}, loaded.private_key);
  if (opened) return std::unique_ptr<session::Ownership>(std::move(*opened));
  return Error{opened.error().message +
               " (or set state_dir: none in the profile, and no session outlives jvpnd)"};
}

/// What a gateway that runs needs: locked memory, and of the kernel's interfaces under its ports
/// the link, and at the end the programs that AF_XDP attached to them.
Result<void> give_up_privileges(sandbox::Mode mode, const std::string& path,
                                const GatewayProfile& profile, std::span<const PortInfo> ports) {
  sandbox::Needs needs{.capabilities = {CAP_IPC_LOCK}};
  const bool from_kernel = std::any_of(ports.begin(), ports.end(),
                                       [](const PortInfo& port) { return port.from_kernel; });
  if (from_kernel) {
    needs.capabilities.add(CAP_NET_ADMIN);
    needs.capabilities.add(CAP_BPF);
    needs.calls.push_back("bpf");
  }
  if (rte_eal_iova_mode() == RTE_IOVA_PA)
    needs.capabilities.add(CAP_SYS_ADMIN);  // /proc/self/pagemap
  needs.folders = sandbox::folders_of(profile);
  if (!profile.state.directory.empty()) needs.folders.push_back(profile.state.directory);
  const auto entered = sandbox::enter(mode, needs);
  if (!entered) return Error{entered.error().message + sandbox::kRunWithout};
  if (!entered->empty()) spdlog::warn("{}", *entered);
  if (access(path.c_str(), R_OK) != 0)
    spdlog::warn(
        "{}: a reload couldn't read it any more ({}): give it, and the key files, to the user who "
        "runs jvpnd",
        path, std::strerror(errno));
  return {};
}

/// Control, which calls this, and the workers.
std::vector<gateway::WatchedThread> watched_threads(gateway::ControlLoop& loop,
                                                    const DataplaneView& view,
                                                    const CoresProfile& cores) {
  std::vector<gateway::WatchedThread> threads;
  threads.push_back({"the control core",
                     "no session begins, moves or is rekeyed meanwhile; workers carry those that "
                     "are attached, as long as their keys and their owner's proof last",
                     [&turns = loop.turns()] { return turns.turns(); },
                     [control = gettid()] { return control; }});
  for (size_t worker = 0; worker < view.counters.size(); ++worker) {
    const WorkerCounters& counters = *view.counters[worker];
    threads.push_back(
        {"worker " + std::to_string(worker) + " (CPU " + std::to_string(cores.workers[worker]) +
             ")",
         "its receive queues aren't served: clients whose packets come in there seek another path",
         [&counters] {
           return counters.busy_polls.load(std::memory_order_relaxed) +
                  counters.idle_polls.load(std::memory_order_relaxed);
         },
         [&counters] { return counters.thread.load(std::memory_order_relaxed); }});
  }
  return threads;
}

/// Without unwinding, and without the log's thread: what stands still would hold that up. What a
/// store keeps stays.
[[noreturn]] void end_at_once(const std::string& why) {
  const std::string line = "jvpnd: " + why + "; it ends at once\n";
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (poll(&out, 1, 0) == 1) {
    [[maybe_unused]] const ssize_t said = write(STDERR_FILENO, line.data(), line.size());
  }
  _exit(kRuntimeFailure);
}

}  // namespace

Result<void> run_gateway(admin::LoadedGateway loaded, events::EventLog& events,
                         const std::atomic<bool>& stop, std::atomic<bool>& reload,
                         sandbox::Mode sandbox) {
  ServiceManager service;
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
  (*loop)->on_reload([path = loaded.path] { return admin::load_gateway(path); },
                     std::filesystem::absolute(loaded.path));
  if (auto started = workers.start(); !started) return started;
  if (!workers.warning().empty())
    spdlog::warn("{}; workers slow each other down", workers.warning());
  for (const PortInfo& port : workers.ports())
    if (!port.warning.empty())
      spdlog::warn("port {} ({}): {}", port.name, port.interface, port.warning);
  if (auto given_up = give_up_privileges(sandbox, loaded.path, loaded.profile, workers.ports());
      !given_up)
    return given_up;
  spdlog::info("{}: {} ports, {} workers, {} peers", loaded.profile.node, workers.ports().size(),
               workers.workers(), loaded.profile.peers.size());
  const DataplaneView view = workers.view();
  gateway::StallWatch watch(watched_threads(**loop, view, loaded.profile.cores), log_news,
                            [&service] { service.alive(); });
  (*loop)->watched_by(watch, [] {
    end_at_once("a worker stands still, and no more memory may wait until it looks away from it");
  });
  watch.start();
  service.ready();
  (*loop)->run(stop, reload);
  service.stopping();
  watch.expect_end(kEndLimit, [] { end_at_once("a worker doesn't end"); });
  workers.stop();
  return {};
}

}  // namespace jvpn
