// The other process's side of the gateway's memif ports: the peer outside with a session of its own
// (the shipping engine and data path of jvpn-client), and the LAN host inside. Answers ARP, keeps
// the session, makes the data packets of a trial and takes those that come out. The thread that
// called create() does everything.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <rte_mbuf.h>

#include "common/bytes.h"
#include "common/ip_header.h"
#include "control/neighbor/packet_writer.h"
#include "control/session/system_sources.h"
#include "dataplane/handles.h"
#include "dataplane/port.h"
#include "perf/harness/script.h"
#include "perf/ndr/latency_histogram.h"
#include "perf/ndr/ndr_options.h"
#include "tests/support/silent_host.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/dataplane/seal_batch.h"

namespace jvpn::perf {

class MemifPeer final : public test::SilentHost {
 public:
  static constexpr unsigned kBurst = 32;

  /// Once in a process: starts DPDK on CPU 0.
  static Result<std::unique_ptr<MemifPeer>> create(const NdrOptions& options,
                                                   const SecretKey& private_key, Script& gateway,
                                                   const Json& gateway_facts);

  /// Until a data packet has gone through; fails after 30 s.
  Result<void> connect();
  /// Sends `count` (at most kBurst) data packets that carry the time. How many the port took.
  unsigned send(unsigned count);
  /// Takes what has come; the number of data packets in it. Every packet inside, one of 16 outside
  /// (which has to be opened) leaves its latency in TSC cycles in `latency`.
  unsigned receive(LatencyHistogram& latency);
  /// The session's timers; cheap, for every millisecond.
  void keep_alive();
  /// The session ended, or the gateway did.
  Result<void> check();

  void send(const Path& path, std::span<const uint8_t> datagram) override;
  void install_rx(const session::RxInstall& install) override { data_path_->install_rx(install); }
  void retire_rx(ReceiverIndex index) override { data_path_->retire_rx(index); }
  void install_tx(const session::TxInstall& install) override { data_path_->install_tx(install); }
  void withdraw_tx(PeerId) override { data_path_->withdraw_tx(); }
  /// With the packets that were not opened: the engine rekeys by their number.
  session::Activity activity(PeerId) override {
    session::Activity activity = data_path_->activity();
    activity.rx_packets += unopened_;
    return activity;
  }
  uint16_t inner_mtu(const Path&) override { return 1'420; }
  void random(std::span<uint8_t> bytes) override { session::fill_random(bytes); }
  wire::Timestamp timestamp() override { return session::tai64n_now(); }

 private:
  enum Side : uint8_t { kWan, kLan };
  struct End {
    std::unique_ptr<Port> port;
    uint16_t id = 0;  ///< DPDK's
    EtherAddress mac{};
    EtherAddress gateway_mac{};
    bool gateway_known = false;
    IpAddress address;
    IpAddress gateway;
  };

  MemifPeer(const NdrOptions& options, Script& gateway) : options_(options), gateway_(gateway) {}
  Result<void> start_ports(const std::string& folder);
  Result<void> start_session(const SecretKey& private_key, const PublicKey& gateway_key);
  void build_templates();

  bool links_up() const;
  bool neighbours_known();
  void ask_neighbour(const End& end);
  bool data_passes();
  template <typename Condition>
  Result<void> until(Condition&& condition, const char* what);

  void send_frame(const End& end, std::span<const uint8_t> frame);
  void fill(rte_mbuf* packet, std::span<const uint8_t> content);
  unsigned fill_burst(std::span<rte_mbuf*> packets);
  void take_arp(End& end, std::span<const uint8_t> frame);
  bool take_wan(std::span<uint8_t> frame, LatencyHistogram& latency);
  bool take_lan(std::span<uint8_t> frame, LatencyHistogram& latency);
  void open_sample(std::span<uint8_t> message, LatencyHistogram& latency);

  const NdrOptions options_;
  Script& gateway_;  ///< perf/ndr/gateway.py
  Pool pool_;
  std::array<End, 2> ends_;
  Path path_;
  std::unique_ptr<client::dataplane::DataPath> data_path_;
  std::unique_ptr<engine::SessionEngine> engine_;
  client::dataplane::SealBatch batch_;
  std::vector<uint8_t> inner_;     ///< an inner packet of this trial's direction, time zero
  std::vector<uint8_t> envelope_;  ///< what stands before it: Ethernet, or all up to UDP
  std::vector<std::span<uint8_t>> opened_;
  uint64_t data_frames_ = 0;
  uint64_t unopened_ = 0;
};

}  // namespace jvpn::perf
