#include "perf/isolation/gateway.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <rte_launch.h>
#include <spdlog/spdlog.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/handshake_mac.h"
#include "common/profile.h"
#include "control/admin/profile_file.h"
#include "control/gateway/peer_book.h"
#include "control/gateway/peer_reload.h"
#include "control/neighbor/arp.h"
#include "control/neighbor/packet_writer.h"
#include "dataplane/eal.h"
#include "perf/pipeline/bench_sessions.h"
#include "tests/support/eal.h"

namespace jvpn::perf {
namespace {

constexpr uint32_t kPortRing = 16'384;
constexpr uint32_t kPackets = 32'767;
constexpr uint32_t kCrowdControlPackets = 8'191;
constexpr uint32_t kCrowdControlRing = 4'096;
constexpr size_t kCrowdBytesOfPacket = 2'560;
constexpr size_t kBytesOfPeer =
    20'480;  // records of an index and its spares, twice while it rekeys
constexpr size_t kCrowdFixedBytes = size_t{256} << 20;
constexpr size_t kUdpPayload = kEthernetHeaderBytes + kIpv4HeaderBytes + kUdpHeaderBytes;

size_t megabytes(size_t peers) {
  return (kCrowdFixedBytes + peers * kBytesOfPeer +
          (kPackets + kCrowdControlPackets) * kCrowdBytesOfPacket) >>
         20;
}

PeerProfile peer_profile(uint32_t number, const PublicKey& key) {
  PeerProfile peer;
  peer.name = fmt::format("peer{}", number);
  peer.public_key = key;
  peer.allowed_ips = {{inner_host_of(number), 32}};
  return peer;
}

GatewayProfile profile_of(const IsolationOptions& options, const PrivateFolder& folder,
                          const std::vector<PublicKey>& peers) {
  GatewayProfile profile = test::wan_and_lan(1);
  profile.node = "isolation";
  profile.ports[test::kWan].gateways = {router_address()};
  profile.limits = {.sessions = static_cast<uint32_t>(peers.size()),
                    .mbufs = kPackets,
                    .control_mbufs = kCrowdControlPackets,
                    .control_ring = kCrowdControlRing,
                    .handoff_ring = kCrowdControlRing,
                    .handshakes_per_s = 1'000'000};
  profile.policy.session.idle_max = Millis{options.heartbeat_ms};
  profile.policy.switching.hold_bytes = kHoldBytes;  // as the file that is reloaded has it unsaid
  profile.events.sinks = {{.kind = EventSinkKind::kFile, .path = folder.file("events.jsonl")}};
  profile.admin.socket = folder.file("admin.sock");
  for (const PublicKey& key : peers)
    profile.peers.push_back(peer_profile(static_cast<uint32_t>(profile.peers.size()), key));
  return profile;
}

session::EngineConfig engine_config(const GatewayProfile& profile, const SecretKey& key,
                                    uint32_t slot_bits) {
  session::EngineConfig config;
  config.private_key = key;
  for (const PeerProfile& peer : profile.peers)
    config.peers.push_back(gateway::engine_peer(peer, std::nullopt));
  config.peer_room = profile.limits.sessions;
  config.suites = {Suite::kAes128Gcm};
  config.slot_bits = slot_bits;
  config.handshakes_per_s = profile.limits.handshakes_per_s;
  config.policy = profile.policy;
  return config;
}

Result<void> start_dpdk(size_t megabytes, bool hugepages) {
  const uint32_t cpus = std::max(std::thread::hardware_concurrency(), 1U);
  static auto started = test::start_eal({.workers = {1 % cpus},
                                         .megabytes = static_cast<uint32_t>(megabytes),
                                         .hugepages = hugepages});
  if (!started) return started.error();
  return {};
}

}  // namespace

Path path_of_peer(uint32_t peer) {
  return {test::kWan, outer_of(peer, test::kPeerPort), gateway_outer()};
}
IpAddress router_address() {
  return IpAddress::v4({192, 0, 2, 254});
}
IpAddress gateway_address() {
  return gateway_outer().address;
}

Result<std::unique_ptr<PrivateFolder>> PrivateFolder::create() {
  std::string path = (std::filesystem::temp_directory_path() / "jvpn-perf.XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr)
    return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  return std::unique_ptr<PrivateFolder>(new PrivateFolder(path));
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<IsolatedGateway>> IsolatedGateway::create(
    const IsolationOptions& options, const SecretKey& key, const std::vector<PublicKey>& peers) {
  std::unique_ptr<IsolatedGateway> made(new IsolatedGateway);
  if (auto started = made->start(options, key, peers); !started) return started.error();
  return made;
}

IsolatedGateway::~IsolatedGateway() {
  loop_.reset();
  if (log_) log_->close();
}

Result<void> IsolatedGateway::start(const IsolationOptions& options, const SecretKey& key,
                                    const std::vector<PublicKey>& peers) {
  auto folder = PrivateFolder::create();
  if (!folder) return folder.error();
  folder_ = *std::move(folder);
  pages_ = choose_pages(megabytes(peers.size()), options.small_pages);
  if (auto started = start_dpdk(megabytes(peers.size()), pages_.huge); !started) return started;
  spdlog::set_level(spdlog::level::off);  // what it says of floods is counted, too
  auto mac = MessageMac::create();
  if (!mac) return mac.error();
  const GatewayProfile profile = profile_of(options, *folder_, peers);
  if (auto written = write_profiles(key, profile); !written) return written;
  auto tables =
      Tables::create(1, static_cast<uint32_t>(peers.size()), gateway::route_room(profile));
  if (!tables) return tables.error();
  auto rings =
      test::RingGateway::create(profile, ResponderMacKeys::derive(*mac, public_key_of(key)).mac1,
                                *std::move(tables), kPortRing);
  if (!rings) return rings.error();
  rings_ = std::make_unique<test::RingGateway>(*std::move(rings));
  log_ =
      std::make_unique<events::EventLog>(events::event_options(rings_->profile(), "jvpn-perf", {}));
  log_->start();
  Dataplane& dataplane = rings_->dataplane();
  auto loop = gateway::ControlLoop::create(
      rings_->profile(), engine_config(rings_->profile(), key, dataplane.sessions().slot_bits()),
      dataplane.view(), *log_, clock_);
  if (!loop) return loop.error();
  loop_ = *std::move(loop);
  loop_->on_reload([this] {
    const bool same = reloads_.fetch_add(1, std::memory_order_relaxed) % 2 == 0;
    return admin::load_gateway(folder_->file(same ? "same.yaml" : "renamed.yaml"));
  });
  return {};
}

/// As an operator would write them for this gateway on a NIC.
Result<void> IsolatedGateway::write_profiles(const SecretKey& key, const GatewayProfile& profile) {
  const std::string key_file = folder_->file("gateway.key");
  std::ofstream(key_file) << key_to_base64(key.bytes()) << '\n';
  std::filesystem::permissions(
      key_file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  for (const std::string name : {"same", "renamed"}) {
    std::ofstream out(folder_->file(name + ".yaml"));
    out << fmt::format(
        "role: gateway\nnode: isolation\ncores: {{control: 0, workers: [1]}}\n"
        "listen_port: {}\nports:\n"
        "  - {{name: wan, pci: \"0000:3b:00.0\", role: outside, addresses: [192.0.2.1/24]}}\n"
        "  - {{name: lan, pci: \"0000:3b:00.1\", role: inside, addresses: [10.0.0.1/24]}}\n"
        "crypto: {{private_key_file: gateway.key, suites: [aes-128-gcm]}}\n"
        "limits: {{sessions: {}}}\nadmin: {{socket: {}}}\n"
        "policy: {{version: 1, session: {{idle_max_ms: {}}}}}\npeers:\n",
        profile.listen_port, profile.limits.sessions, profile.admin.socket,
        profile.policy.session.idle_max.value);
    for (const PeerProfile& peer : profile.peers)
      out << fmt::format("  - {{name: {}{}, public_key: \"{}\", allowed_ips: [{}]}}\n", peer.name,
                         name == "same" ? "" : "b", key_to_base64(peer.public_key),
                         to_string(peer.allowed_ips.front()));
    if (!out.flush()) return Error{fmt::format("{}: can't be written", folder_->file(name))};
  }
  return {};
}

void IsolatedGateway::run(const std::function<void()>& drive) {
  struct Drive {
    IsolatedGateway& gateway;
    const std::function<void()>& drive;
    std::atomic<bool> stop{false};
  } job{*this, drive};
  const auto work = [](void* argument) {
    Drive& all = *static_cast<Drive*>(argument);
    Worker& worker = all.gateway.rings_->worker(0);
    worker.enter();
    all.drive();
    all.stop.store(true, std::memory_order_relaxed);
    // The loop ends its sessions, and waits for a worker that sends what it says.
    while (!all.gateway.ended_.load(std::memory_order_relaxed))
      all.gateway.poll([](std::span<uint8_t>) {});
    worker.leave();
    return 0;
  };
  JVPN_ASSERT(rte_eal_remote_launch(work, &job, lcore_of_worker(0)) == 0, "the lcore waits");
  std::atomic<bool> no_signal{false};
  loop_->run(job.stop, no_signal);
  ended_.store(true, std::memory_order_relaxed);
  rte_eal_mp_wait_lcore();
}

bool IsolatedGateway::send(uint32_t peer, std::span<const uint8_t> datagram) {
  std::array<uint8_t, kUdpPayload + wire::kMaxPaddedPlaintext + wire::kTransportOverhead> frame;
  const size_t bytes =
      neighbor::write_udp_frame(frame.data(), path_of_peer(peer), kRouterMac, datagram);
  return send_frame(std::span(frame).first(bytes));
}

bool IsolatedGateway::send_frame(std::span<const uint8_t> frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(rings_->pool());
  char* data =
      packet == nullptr ? nullptr : rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
  if (data != nullptr) {
    std::memcpy(data, frame.data(), frame.size());
    if (rte_ring_sp_enqueue(rings_->rx_ring(test::kWan, 0), packet) == 0) return true;
  }
  rte_pktmbuf_free(packet);
  ++refused_;
  return false;
}

void IsolatedGateway::poll(const std::function<void(std::span<uint8_t>)>& take) {
  rings_->worker(0).poll_once();
  std::array<void*, kMaxBurst> packets;
  const unsigned taken = rte_ring_sc_dequeue_burst(rings_->tx_ring(test::kWan, 0), packets.data(),
                                                   static_cast<unsigned>(packets.size()), nullptr);
  for (unsigned i = 0; i < taken; ++i) {
    auto* packet = static_cast<rte_mbuf*>(packets[i]);
    const std::span<uint8_t> frame(rte_pktmbuf_mtod(packet, uint8_t*), packet->data_len);
    if (frame.size() > kUdpPayload && load_be16(frame.data() + 12) == kEtherTypeIpv4)
      take(frame.subspan(kUdpPayload));
    else
      answer_arp(frame);
    rte_pktmbuf_free(packet);
  }
}

/// The router's part.
void IsolatedGateway::answer_arp(std::span<const uint8_t> frame) {
  if (frame.size() < neighbor::kArpFrameBytes) return;
  const auto asked = neighbor::parse_arp(frame.subspan(kEthernetHeaderBytes));
  const bool ours = asked && asked->operation == neighbor::ArpMessage::Operation::kRequest &&
                    asked->target == router_address();
  if (!ours) return;
  std::array<uint8_t, neighbor::kArpFrameBytes> answer;
  neighbor::write_arp_frame(answer, asked->sender_mac,
                            {neighbor::ArpMessage::Operation::kReply, kRouterMac, router_address(),
                             asked->sender_mac, asked->sender});
  send_frame(answer);
}

}  // namespace jvpn::perf
