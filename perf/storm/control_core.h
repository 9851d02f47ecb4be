// The gateway of a storm: a session engine and the one core that serves it, in simulated time.
//
//   network ──▶ bounded rings ──▶ turn: handshakes, control messages, signals, a lost interface,
//               full: dropped             timers ──▶ network, when the turn is over
//
// A turn does what one of ControlLoop does with the same budgets, but for what isn't the engine's:
// publishing to workers, frames, neighbours, admin. It takes as long as it ran on the CPU. What
// workers do (opening control messages) is done off the clock.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "control/engine/engine.h"
#include "perf/harness/engine_node.h"
#include "perf/storm/endings.h"
#include "perf/storm/event_account.h"
#include "perf/storm/storm_path.h"
#include "tests/support/silent_host.h"

namespace jvpn::perf {

class ControlCore : public test::SilentHost {
 public:
  /// Since the last call of take().
  struct Figures {
    uint64_t turns = 0;
    uint64_t messages = 0;  ///< that turns have taken
    uint64_t cpu_ns = 0;
    uint64_t longest_ns = 0;
    uint64_t over_1ms = 0;   ///< turns
    uint64_t ring_full = 0;  ///< messages that were dropped for want of room
    size_t ring_most = 0;    ///< messages that waited at once
    uint64_t rekeys = 0;     ///< new keys that were confirmed
    uint64_t requests = 0;   ///< REATTACH_REQUEST, authentic
    uint64_t refused = 0;    ///< of those
    uint64_t commits = 0;
    uint64_t resumes = 0;      ///< sessions that went on after a claim by handshake
    uint64_t over_budget = 0;  ///< authentic messages that weren't handled
    uint64_t resets = 0;       ///< peers that were told that an index is unknown
    Endings endings;           ///< of sessions that had been attached
  };

  /// `ring`: limits.control_ring.
  ControlCore(size_t ring, size_t event_ring);
  Result<void> start(session::EngineConfig config, uint64_t now_us);

  // The workers' part, off the clock.

  /// A datagram from the network.
  void receive(uint64_t now_us, const Path& from, std::vector<uint8_t> datagram);
  /// A port's link is down.
  void lose_interface(uint16_t interface) { lost_interface_ = interface; }

  /// Turns take as long as they run, or, while sessions are set up, next to no time.
  void charge(bool charged) { charged_ = charged; }
  /// When the next turn begins: not before the present one is over, and not before there is work.
  uint64_t due_us() const;
  /// What it sends leaves at the time that is returned, its end.
  uint64_t turn(uint64_t now_us, std::vector<SentDatagram>& sent);

  /// Keys that were renewed so far.
  uint64_t rekeys() const { return rekeys_; }
  /// Sessions that are attached; those bound to an interface.
  uint64_t attached() const;
  uint64_t bound_to(uint16_t interface) const { return bound_.at(interface); }
  Figures take();
  EventAccount& events() { return events_; }

  // SessionHost
  void send(const Path& path, std::span<const uint8_t> datagram) override;
  void install_rx(const session::RxInstall& install) override;
  void install_tx(const session::TxInstall& install) override;
  void withdraw_tx(PeerId peer) override;
  void emit(const session::Event& event) override;
  void applied() override { events_.log().wake(); }
  void random(std::span<uint8_t> bytes) override;
  wire::Timestamp timestamp() override;
  uint64_t clock_us(Millis) override { return turn_begun_us_; }
  bool slice_over() const override;

 private:
  /// A message as a worker hands it over.
  struct Message {
    Path from;
    Millis arrived;
    std::vector<uint8_t> datagram;
    std::span<const uint8_t> plaintext;  ///< of a control message, in the datagram
    ReceiverIndex index;
    uint64_t counter = 0;
    uint64_t serial = 0;
  };
  struct Unknown {
    Path from;
    ReceiverIndex index;
  };
  template <typename T>
  void queue(std::deque<T>& ring, size_t room, T each);
  void take_handshakes(Millis now);
  void take_control(Millis now);
  void do_jobs(Millis now);
  void bind(PeerId peer, std::optional<uint16_t> interface);
  uint64_t ran_us() const;

  const size_t ring_;
  EventAccount events_;
  std::unique_ptr<engine::SessionEngine> engine_;
  std::vector<uint64_t> serials_;  ///< of installs, by slot
  std::deque<Message> handshakes_;
  std::deque<Message> control_;
  std::deque<Unknown> unknown_;
  std::optional<uint16_t> lost_interface_;
  std::vector<std::optional<uint16_t>> interface_of_;  ///< by peer; none: without a transport
  std::vector<uint64_t> bound_;                        ///< sessions by interface
  std::vector<SentDatagram>* sent_ = nullptr;
  uint64_t turn_begun_us_ = 0;  ///< simulated
  uint64_t clock_begun_us_ = 0;
  bool charged_ = true;
  uint64_t over_us_ = 0;  ///< the latest turn, simulated
  uint64_t rekeys_ = 0;
  uint64_t rekeys_taken_ = 0;
  Figures figures_;
  session::EngineCounters taken_;
};

}  // namespace jvpn::perf
