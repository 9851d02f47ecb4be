#include "perf/ndr/gateway_process.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/profile.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/keep.h"

namespace jvpn::perf {
namespace {

constexpr unsigned kMegabytes = 320;
constexpr unsigned kMoreMegabytes = 16;  // of pages: heaps are cut from whole ones
constexpr std::chrono::milliseconds kStartLimit{30'000};
constexpr int kPriority = -20;  // of both processes: what others do on these CPUs isn't measured
constexpr std::streamoff kMessageBytes = 3'000;

constexpr std::string_view kProfile = R"(role: gateway
node: gw1
cores: {{control: 0, workers: [1], idle: poll}}
memory: {{hugepages: {hugepages}, megabytes: {megabytes}}}
listen_port: 51900
ports:
  - {{name: wan0, vdev: "net_memif_wan0,role=server,socket={folder}/wan0.sock,socket-abstract=no",
     role: outside, addresses: [192.0.2.1/24], mtu: 1500, queues: 1, rx_descriptors: {ring},
     tx_descriptors: {ring}}}
  - {{name: lan, vdev: "net_memif_lan,role=server,socket={folder}/lan.sock,socket-abstract=no",
     role: inside, addresses: [10.99.0.1/24], mtu: 1500, queues: 1, rx_descriptors: {ring},
     tx_descriptors: {ring}}}
crypto: {{private_key_file: {folder}/gateway.key, suites: [{suite}]}}
lanes: 1
limits: {{sessions: 16, mbufs: {mbufs}}}
peers:
  - {{name: generator, public_key: "{peer}", allowed_ips: [10.77.0.2/32]}}
policy:
  version: 1
  session: {{transport_loss_ttl_ms: 300000}}
  volatility: {{heartbeat_volatile_ms: 60000, transport_dead_ms: 120000, loss_volatile_threshold: 1}}
admin: {{socket: {folder}/jvpnd.sock}}
)";

Result<void> write_private(const std::string& path, const std::string& text) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return errno_error(path);
  return {};
}

}  // namespace

Policy lasting_policy() {
  Policy policy;
  policy.session.transport_loss_ttl = Millis{300'000};
  policy.volatility.heartbeat_volatile = Millis{60'000};
  policy.volatility.transport_dead = Millis{120'000};
  policy.volatility.loss_volatile_threshold = 1;
  return policy;
}

Result<std::unique_ptr<GatewayProcess>> GatewayProcess::start(const GatewayOptions& options) {
  std::unique_ptr<GatewayProcess> gateway(new GatewayProcess);
  auto done = gateway->write_files(options);
  if (done) done = gateway->launch();
  if (done) done = gateway->wait_ready();
  if (!done) return done.error();
  return gateway;
}

Result<void> GatewayProcess::write_files(const GatewayOptions& options) {
  std::string name = "/tmp/jvpn-perf.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return errno_error("a folder in /tmp");
  folder_ = name;
  if (auto pages = HugepageReservation::make(kMegabytes + kMoreMegabytes))
    hugepages_ = *std::move(pages);
  const SecretKey secret = generate_secret_key();
  public_key_ = public_key_of(secret);
  if (auto key = write_private(folder_ + "/gateway.key", key_to_base64(secret.bytes()) + "\n");
      !key)
    return key;
  return write_private(
      folder_ + "/gateway.yaml",
      fmt::format(fmt::runtime(kProfile), fmt::arg("hugepages", hugepages()),
                  fmt::arg("megabytes", kMegabytes), fmt::arg("folder", folder_),
                  fmt::arg("ring", options.ring), fmt::arg("mbufs", 4 * options.ring),
                  fmt::arg("suite", to_string(options.suite)),
                  fmt::arg("peer", key_to_base64(options.peer))));
}

Result<void> GatewayProcess::launch() {
  const std::string program = build_folder() + "/tools/jvpnd";
  if (::access(program.c_str(), X_OK) != 0)
    return errno_error(program + " (jvpn-perf runs from the build folder)");
  const std::string log_name = folder_ + "/jvpnd.log";
  const FileDescriptor log(::open(log_name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!log) return errno_error(log_name);
  ::setpriority(PRIO_PROCESS, 0, kPriority);
  return keep(process_,
              ChildProcess::start({program, folder_ + "/gateway.yaml"}, log.get(), log.get()));
}

/// Its admin socket is made when the ports run.
Result<void> GatewayProcess::wait_ready() {
  const std::string socket = folder_ + "/jvpnd.sock";
  switch (
      wait_until([&] { return !alive() || ::access(socket.c_str(), F_OK) == 0; }, kStartLimit)) {
    case Waited::kInterrupted:
      return Error{"interrupted"};
    case Waited::kTimedOut:
      return Error{
          fmt::format("jvpnd was not up within {} ms: {}", kStartLimit.count(), last_messages())};
    case Waited::kHolds:
      break;
  }
  if (!alive()) return Error{"jvpnd ended at once: " + last_messages()};
  return {};
}

GatewayProcess::~GatewayProcess() {
  process_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string GatewayProcess::memif_socket(const std::string& port) const {
  return folder_ + "/" + port + ".sock";
}

std::string GatewayProcess::last_messages() const {
  std::ifstream in(folder_ + "/jvpnd.log", std::ios::binary | std::ios::ate);
  const std::streamoff bytes = in ? std::streamoff{in.tellg()} : 0;
  std::string text(static_cast<size_t>(std::min(bytes, kMessageBytes)), '\0');
  in.seekg(bytes - static_cast<std::streamoff>(text.size()));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

}  // namespace jvpn::perf
