// What jvpnd runs on threads of its own, at once and under ThreadSanitizer: publisher, reclaimer,
// next hops, slow path and event log on the control thread, two workers on their lcores, the
// threads of the event log and its sink, and peers that send and look at what comes (wire_side.h).
//
// The seed decides what control and the wire do, not how the threads interleave: a run with the
// same seed is the same work, and reports the same race as soon as it is seen.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "common/handshake_mac.h"
#include "common/source_signal.h"
#include "control/events/event_log.h"
#include "control/gateway/arrivals.h"
#include "control/gateway/gateway_host.h"
#include "control/neighbor/inside_routes.h"
#include "control/neighbor/slow_path.h"
#include "control/publish/publisher.h"
#include "control/session/reporter.h"
#include "tests/stress/peers.h"
#include "tests/stress/run_anywhere.h"
#include "tests/stress/wire_side.h"
#include "tests/support/must.h"
#include "tests/support/part_rig.h"
#include "tests/support/seed.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kLeastChanges = 800;
constexpr uint64_t kMostChanges =
    20'000;  ///< by then each kind of thing has happened, or never will
constexpr uint64_t kPacketsPerChange = 24;  ///< that workers get to see before the next
constexpr unsigned kMostTurns = 100'000;    ///< to wait for them
constexpr size_t kDeferred = 4;             ///< few: control now and then waits for a grace period
constexpr size_t kEventRing = 64;           ///< small: some events are lost, and told as lost

/// No port answers for peers here.
struct NobodyCarried final : CarriedRoutes::Peers {
  bool carries(PeerId) const override { return false; }
  std::span<const Prefix> allowed(PeerId) const override { return {}; }
  std::string name(PeerId) const override { return {}; }
  bool silent() const override { return false; }
};

GatewayProfile stress_profile() {
  GatewayProfile profile = wan_and_lan(kWorkers);
  profile.cores.idle = IdleMode::kAdaptive;  // workers sleep, and are no readers meanwhile
  profile.limits.mbufs = 2'047;
  profile.limits.control_mbufs = 511;
  profile.limits.control_ring = 64;
  profile.limits.handoff_ring = 64;
  return profile;
}

MacKey mac1_key() {
  auto mac = must(MessageMac::create());
  return ResponderMacKeys::derive(mac, PublicKey{}).mac1;
}

class Threads : public PartRig {
 protected:
  /// A peer as control last left it.
  struct Sender {
    uint32_t generation = 0;
    uint32_t binding = 0;
    bool installed = false;
  };

  Threads() {
    attached(false);
    neighbors_.on_changed([this](const NeighborKey& key, const std::optional<EtherAddress>& hop) {
      inside_.neighbor_changed(key, hop);
      host_.neighbor_changed(key, hop);
    });
    EXPECT_TRUE(inside_.install(clock_.now()).ok());
    for (uint32_t peer = 0; peer < kPeers; ++peer) {
      route(peer, kSteadyHost, true);
      for (uint32_t place = 0; place < kIndices; ++place) install_rx(peer, place);
      install_tx(peer);
    }
    log_.start();
    EXPECT_TRUE(gateway_.dataplane().start().ok());
    wire_thread_ = std::thread([this] { wire_.run(stop_); });
    run_anywhere(wire_thread_);
  }
  ~Threads() override {
    end();
    std::filesystem::remove_all(folder_);
  }

  uint32_t any(uint32_t below) { return static_cast<uint32_t>(random_.below(below)); }
  Path path_to(uint32_t peer, uint32_t which, uint16_t port) const {
    return {kWan, {address("192.0.2.1"), kListenPort}, {outer_of(peer, which), port}};
  }

  void install_rx(uint32_t peer, uint32_t place) {
    const uint32_t generation = ++installed_;
    const auto lanes = static_cast<uint16_t>(1 + any(kLanes));
    if (random_.chance(0.5)) host_.reserve_rx(PeerId{peer}, index_of(peer, place), lanes);
    effects.install_rx({.index = index_of(peer, place),
                        .serial = generation,
                        .peer = PeerId{peer},
                        .suite = kSuite,
                        .traffic_key = key_of(KeyUse::kToGateway, peer, place, generation),
                        .control_key = key_of(KeyUse::kControl, peer, place, generation),
                        .data_mask = mask_of(KeyUse::kToGateway, peer, place, generation),
                        .control_mask = mask_of(KeyUse::kControl, peer, place, generation),
                        .first_lane = LaneId{0},
                        .lanes = lanes});
    apply();
    generations_[peer][place].store(generation, std::memory_order_relaxed);
  }

  /// A revision of the present binding, the next one, or one of the next key.
  void install_tx(uint32_t peer) {
    Sender& sender = senders_[peer];
    const bool revised = sender.installed && random_.chance(0.3);
    if (!revised) ++sender.binding;
    if (!sender.installed || sender.binding == kBindings) ++sender.generation, sender.binding = 0;
    sender.installed = true;
    if (!revised) ++version_;
    if (random_.chance(0.5)) host_.reserve_tx(PeerId{peer}, kLanes);
    TxInstall install;
    install.peer = PeerId{peer};
    install.binding_version = BindingVersion{revised ? versions_[peer] : version_};
    versions_[peer] = install.binding_version.value;
    install.key_generation = sender.generation;
    install.peer_index = remote_index_of(peer, sender.generation);
    install.suite = kSuite;
    install.traffic_key = key_of(KeyUse::kFromGateway, peer, 0, sender.generation);
    install.data_mask = mask_of(KeyUse::kFromGateway, peer, 0, sender.generation);
    install.first_lane = LaneId{static_cast<uint16_t>(sender.binding * kLanes)};
    install.lanes = kLanes;
    install.blocks_per_lane = uint64_t{1} << 32;
    install.path = path_to(peer, any(2), remote_port_of(sender.generation, sender.binding));
    effects.install_tx(install);
    reporter_.emit_switch(clock_.now(), session(), path_over(1));
    apply();
  }
  void withdraw_tx(uint32_t peer) {
    senders_[peer].installed = false;
    effects.withdraw_tx(PeerId{peer});
    apply();
  }

  void route(uint32_t peer, uint8_t host, bool there) {
    RouteTable& routes = gateway_.dataplane().routes();
    const Prefix to{inner_of(peer, host), 32};
    if (there)
      EXPECT_TRUE(routes.add(to, Target::peer(PeerId{peer})).ok());
    else
      routes.remove(to);
  }

  /// One decision, as the engine would take it.
  void change() {
    const uint32_t peer = any(kPeers);
    const uint32_t place = any(kIndices);
    const ReceiverIndex index = index_of(peer, place);
    const auto number = static_cast<uint8_t>(any(256));
    switch (any(14)) {
      case 0:
      case 1:
        return install_rx(peer, place);
      case 2:
        effects.retire_rx(index);
        return apply();
      case 3:
        effects.bind_rx({index, path_to(peer, any(2), kPeerPort)});
        return apply();
      case 4:
      case 5:
      case 6:
      case 7:
        return install_tx(peer);
      case 8:
        return withdraw_tx(peer);
      case 9:
        return move_next_hop({kWan, outer_of(peer, any(2))}, number);
      case 10:
        return inside_.neighbor_changed({kLan, lan_host()}, neighbor_mac(number));
      case 11:
        effects.extend(PeerId{peer}, random_.chance(0.5) ? index : ReceiverIndex{},
                       random_.chance(0.2) ? Millis{0} : clock_.now() + kMinute);
        return apply();
      case 12:
        return route(peer, kChangingHost, random_.chance(0.5));
      default:
        return look(peer, place);
    }
  }
  void move_next_hop(const NeighborKey& key, uint8_t number) {
    host_.neighbor_changed(key, number < 32 ? std::nullopt : std::optional(neighbor_mac(number)));
  }
  /// What the engine and the operator read, and a datagram of control's own.
  void look(uint32_t peer, uint32_t place) {
    host_.activity(PeerId{peer});
    const RxProgress progress = host_.rx_progress(index_of(peer, place));
    EXPECT_LE(progress.received, progress.expected);
    host_.published(PeerId{peer});
    injector_.drained();
    std::vector<TakenLine> lines;
    log_.lines().read(cursor_, EventLog::kKeptLines, lines);
    EXPECT_TRUE(log_.status().healthy || log_.status().lost != 0);
    const Bytes datagram(64, 0xFF);
    effects.send(path_to(peer, 0, kPeerPort), datagram);
    apply();
  }
  void apply() {
    host_.apply(effects);
    effects.clear();
  }
  const Session& session() { return *table.peer(kPeer).session; }

  /// What the workers have handed over, as the control loop takes it.
  void turn() {
    const Millis present = clock_.now();
    for (unsigned i = 0; i < 64; ++i) {
      rte_mbuf* packet = arrivals_.pop();
      if (packet == nullptr) break;
      take_control(packet);
    }
    for (size_t worker = 0; worker < kWorkers; ++worker) {
      const WorkerRings& rings = gateway_.dataplane().rings(worker);
      void* entry = nullptr;
      while (rte_ring_sc_dequeue(rings.punt[static_cast<size_t>(PuntClass::kSlowPath)], &entry) ==
             0)
        slow_path_.handle(present, static_cast<rte_mbuf*>(entry));
      handshakes_ += take_all(rings.punt[static_cast<size_t>(PuntClass::kHandshake)]).size();
      take_signals(rings.sources);
    }
    neighbors_.advance(present);
    reclaimer_.reclaim();
    apply();
  }
  void take_control(rte_mbuf* packet) {
    const PacketNote& note = note_of(packet);
    std::array<uint64_t, 2> plain{};
    EXPECT_EQ(note.payload_bytes, sizeof plain);
    std::memcpy(plain.data(), rte_pktmbuf_mtod_offset(packet, uint8_t*, note.payload_offset),
                sizeof plain);
    EXPECT_EQ(plain[0], note.peer.value);
    EXPECT_EQ(plain[1], note.receiver);
    rte_pktmbuf_free(packet);
    ++messages_;
    reporter_.emit_accepted(clock_.now(), session(), path_over(2));
  }
  void take_signals(rte_ring* ring) {
    std::array<SourceSignal, 32> signals;
    const unsigned taken = rte_ring_sc_dequeue_burst_elem(
        ring, signals.data(), sizeof(SourceSignal), signals.size(), nullptr);
    for (unsigned i = 0; i < taken; ++i) {
      const SourceSignal& each = signals[i];
      EXPECT_EQ(each.family, Family::kIpv4);
      EXPECT_EQ(each.remote_port, kPeerPort);
      EXPECT_LE(each.serial, installed_);
      reporter_.emit_security(clock_.now(), Reason::kSecAbuseControlPlane, Detail::kNone, kPeer,
                              session().id, path_over(2));
    }
    signals_ += taken;
  }

  uint64_t seen_by_workers() const { return gateway_.received(); }
  bool has_seen_all() const {
    return wire_.delivered > 2'000 && wire_.sealed > 1'000 && wire_.crossed > 100 &&
           gateway_.total(&WorkerCounters::handed_off) > 500 && signals_ > 30 && messages_ > 200 &&
           handshakes_ > 100;
  }
  /// Changes one thing after the other, and lets packets come in between.
  void run() {
    for (changes_ = 0; changes_ < kMostChanges; ++changes_) {
      if (changes_ >= kLeastChanges && has_seen_all()) return;
      change();
      const uint64_t next = seen_by_workers() + kPacketsPerChange;
      for (unsigned turns = 0; seen_by_workers() < next && turns < kMostTurns; ++turns) turn();
    }
  }

  /// Everything is taken away under traffic, then the threads end.
  void end() {
    if (!wire_thread_.joinable()) return;
    for (uint32_t peer = 0; peer < kPeers; ++peer) {
      withdraw_tx(peer);
      for (uint32_t place = 0; place < kIndices; ++place) effects.retire_rx(index_of(peer, place));
    }
    apply();
    for (unsigned turns = 0; reclaimer_.pending() != 0 && turns < kMostTurns; ++turns) turn();
    EXPECT_EQ(reclaimer_.pending(), 0U) << "a grace period doesn't end";
    EXPECT_EQ(publisher_->bytes_in_use(), 0U);
    stop_ = true;
    wire_thread_.join();
    gateway_.dataplane().stop();
    log_.close();
  }

  static std::string make_folder() {
    char folder[] = "/tmp/jvpn-stress-XXXXXX";
    return mkdtemp(folder);
  }
  std::vector<rte_ring*> inject_rings() const {
    std::vector<rte_ring*> rings;
    for (size_t i = 0; i < kWorkers; ++i) rings.push_back(gateway_.dataplane().rings(i).inject);
    return rings;
  }
  std::vector<const WorkerRings*> worker_rings() const {
    std::vector<const WorkerRings*> rings;
    for (size_t i = 0; i < kWorkers; ++i) rings.push_back(&gateway_.dataplane().rings(i));
    return rings;
  }

  Random random_{run_seed()};
  const MacKey mac1_ = mac1_key();
  RingGateway gateway_ = must(RingGateway::create(
      stress_profile(), mac1_, must(Tables::create(kWorkers, 16, {64, 8, 64, 0})), 256));
  const std::span<const PortInfo> ports_ = gateway_.dataplane().ports();
  BootClock clock_;
  const std::string folder_ = make_folder();
  const std::string file_ = folder_ + "/events";
  EventLog log_{options_with({{EventSinkKind::kFile, file_}}, kEventRing)};
  EventCursor cursor_;
  Reporter reporter_{context};
  Reclaimer reclaimer_{gateway_.dataplane().rcu(), kDeferred};
  std::unique_ptr<Publisher> publisher_ =
      must(Publisher::create(gateway_.dataplane().sessions(), reclaimer_, ports_, kWorkers));
  Injector injector_{gateway_.dataplane().control_pool(), inject_rings()};
  Neighbors neighbors_{ports_, injector_};
  InsideRoutes inside_{ports_, neighbors_, gateway_.dataplane().routes(),
                       gateway_.dataplane().sessions(), reclaimer_};
  SlowPath slow_path_{ports_, injector_, neighbors_, inside_, clock_.now()};
  TurnLimit limit_{clock_};
  const NobodyCarried nobody_;
  CarriedRoutes routes_{clock_, limit_, nobody_, 16};
  PeerProxy lan_{ports_, injector_, gateway_.dataplane().routes(), nobody_, 16};
  HandedOver handed_over_{ports_, injector_, lan_, gateway_.dataplane().sessions()};
  GatewayHost host_{clock_,  limit_,       ports_,      injector_,  neighbors_, lan_,
                    routes_, handed_over_, *publisher_, reclaimer_, log_};
  Arrivals arrivals_{worker_rings(), clock_};

  std::array<Sender, kPeers> senders_{};
  std::array<uint64_t, kPeers> versions_{};
  uint64_t version_ = 0;
  uint32_t installed_ = 0;
  uint64_t changes_ = 0;
  uint64_t signals_ = 0;
  uint64_t messages_ = 0;
  uint64_t handshakes_ = 0;

  Generations generations_{};
  WireSide wire_{gateway_, generations_, mac1_, run_seed() + 1};
  std::atomic<bool> stop_{false};
  std::thread wire_thread_;
};

TEST_F(Threads, control_changes_everything_under_traffic) {
  run();
  end();
  EXPECT_TRUE(has_seen_all()) << gateway_.drop_text();
  EXPECT_EQ(wire_.faults(), std::vector<std::string>{});
  EXPECT_EQ(publisher_->failures(), 0U);
  uint64_t lost = 0;
  expect_complete(parse_lines(text_of_file(file_)), log_.added(), lost);
  std::printf(
      "%llu changes; packets delivered %llu, sealed %llu, peer to peer %llu, handed off %llu; "
      "signals %llu, control messages %llu, handshakes %llu; events %llu, lost %llu\n%s\n",
      static_cast<unsigned long long>(changes_),
      static_cast<unsigned long long>(wire_.delivered.load()),
      static_cast<unsigned long long>(wire_.sealed.load()),
      static_cast<unsigned long long>(wire_.crossed.load()),
      static_cast<unsigned long long>(gateway_.total(&WorkerCounters::handed_off)),
      static_cast<unsigned long long>(signals_), static_cast<unsigned long long>(messages_),
      static_cast<unsigned long long>(handshakes_), static_cast<unsigned long long>(log_.added()),
      static_cast<unsigned long long>(lost), gateway_.drop_text().c_str());
}

}  // namespace
}  // namespace jvpn::test
