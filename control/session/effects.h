// What the engine decided, as data, in the order in which it must take effect. The parts of the
// engine append; a host (gateway, client, test) carries the list out after each input.
//
// Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "common/aead.h"
#include "common/lane_report.h"
#include "common/path.h"
#include "common/secret.h"
#include "common/types.h"
#include "common/wire.h"
#include "control/session/environment.h"
#include "control/session/event.h"

namespace jvpn::session {

/// Receive side of one receiver index. Takes effect before anything sent later can be answered.
struct RxInstall {
  ReceiverIndex index;
  uint64_t serial = 0;  ///< of this install: an index may come again
  PeerId peer;
  Suite suite{};
  RawKey traffic_key{};
  RawKey control_key{};
  uint64_t data_mask = 0;  ///< counter_mask() of data messages
  uint64_t control_mask = 0;
  LaneId first_lane;
  uint16_t lanes = 1;
  Millis until = kNever;  ///< nothing is opened after it
};

/// Send side of a session: the whole of it, replacing what was there.
struct TxInstall {
  PeerId peer;
  BindingVersion binding_version;
  /// Lane counters go on within a generation and start afresh with a new one.
  uint64_t key_generation = 0;
  ReceiverIndex peer_index;
  Suite suite{};
  RawKey traffic_key{};
  uint64_t data_mask = 0;  ///< counter_mask() of data messages
  LaneId first_lane;
  uint16_t lanes = 1;
  uint64_t blocks_per_lane = 0;  ///< hard quota of each lane under this key (gcm_blocks())
  uint16_t inner_mtu = 0;        ///< as peer and probes told; 0: the path decides
  bool owned = false;            ///< a store owns it for us: silent when that can't be proven
  Path path;
  Millis until = kNever;  ///< nothing is sent after it
};

/// The policy moved the time until which something installed holds.
struct Extend {
  PeerId peer;
  ReceiverIndex index;  ///< 0: the send side
  Millis until;
};

/// An initiation that names `index` goes out next; a host that can tell drops answers of others.
struct AwaitAnswer {
  ReceiverIndex index;
};

/// What goes to the peer from now on names `index` of its; a host that can tell drops resets that
/// name others.
struct AwaitReset {
  PeerId peer;
  ReceiverIndex index;
};

/// Data on an installed index is expected from `from`; a host that can tell reports when it comes
/// from elsewhere (SessionEngine::source_changed()). Before the keys are `confirmed`, control
/// messages from elsewhere are refused, and a host that can tell drops them.
struct RxBind {
  ReceiverIndex index;
  Path from;
  bool confirmed = true;
};

struct RxRetire {
  ReceiverIndex index;
};

/// Nothing is taken under the index from now on. The host then says what was, by
/// engine::lanes_closed(): once nothing can be added to that.
struct RxClose {
  PeerId peer;
  ReceiverIndex index;
};

/// The peer told what it has received of what this end holds: the rest is sealed again, in order,
/// before anything new. What was sent under an index that isn't reported is not held any more.
struct HoldSettle {
  PeerId peer;
  std::vector<LaneReport> reports;
  bool carried = false;  ///< the old path, as far as we know, lives: it carries what was sent
};

/// What becomes of packets to a peer without an active binding.
enum class Waiting : uint8_t {
  kLetGo,  ///< dropped by name: its session is over, or elsewhere
  kKept,   ///< a host that holds packets keeps them for the session's next path
};

/// The peer has no active binding any more. Again, with kLetGo: nor shall what is kept wait longer.
struct TxWithdraw {
  PeerId peer;
  Waiting waiting = Waiting::kLetGo;
};

/// The session with the peer goes on at another gateway; its TxWithdraw follows.
struct HandOver {
  PeerId peer;
};

/// One UDP payload along a path. A host may drop it; it never blocks.
struct Send {
  Path path;
  size_t offset = 0;  ///< in the list's bytes
  size_t bytes = 0;
};

/// Initiator: the responder's answer to a handshake (inner addresses, MTU, policy).
struct Configure {
  PeerId peer;
  wire::ResponsePayload answer;
};

using Effect = std::variant<Send, AwaitAnswer, AwaitReset, RxInstall, RxBind, RxRetire, RxClose,
                            TxInstall, TxWithdraw, HoldSettle, HandOver, Extend, Configure, Event>;

/// Frees memory only after wiping it: effects hold keys, and a list that grows moves them.
template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  explicit WipingAllocator(const WipingAllocator<U>&) {}
  T* allocate(size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, size_t count) {
    wipe(static_cast<void*>(memory), count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  bool operator==(const WipingAllocator&) const { return true; }
};

/// The list of one input's effects. Its memory is kept for the next input.
class Effects {
 public:
  void send(const Path& path, std::span<const uint8_t> datagram) {
    list_.emplace_back(Send{path, bytes_.size(), datagram.size()});
    bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
  }
  void await_answer(ReceiverIndex index) { list_.emplace_back(AwaitAnswer{index}); }
  void await_reset(PeerId peer, ReceiverIndex index) {
    list_.emplace_back(AwaitReset{peer, index});
  }
  void install_rx(const RxInstall& install) { list_.emplace_back(install); }
  void bind_rx(const RxBind& bind) { list_.emplace_back(bind); }
  void retire_rx(ReceiverIndex index) { list_.emplace_back(RxRetire{index}); }
  void close_rx(PeerId peer, ReceiverIndex index) { list_.emplace_back(RxClose{peer, index}); }
  void install_tx(const TxInstall& install) { list_.emplace_back(install); }
  void withdraw_tx(PeerId peer, Waiting waiting = Waiting::kLetGo) {
    list_.emplace_back(TxWithdraw{peer, waiting});
  }
  /// Before the install that the rest goes by.
  void settle_hold(PeerId peer, std::vector<LaneReport> reports, bool carried) {
    list_.emplace_back(HoldSettle{peer, std::move(reports), carried});
  }
  void hand_over(PeerId peer) { list_.emplace_back(HandOver{peer}); }
  void extend(PeerId peer, ReceiverIndex index, Millis until) {
    list_.emplace_back(Extend{peer, index, until});
  }
  void configure(PeerId peer, const wire::ResponsePayload& answer) {
    list_.emplace_back(Configure{peer, answer});
  }
  void emit(const Event& event) { list_.emplace_back(event); }

  bool empty() const { return list_.empty(); }
  std::span<const Effect> list() const { return list_; }
  std::span<const uint8_t> datagram(const Send& send) const {
    return std::span(bytes_).subspan(send.offset, send.bytes);
  }

  /// Calls `host`'s method of the same name for each effect, in order. A host without a bind_rx()
  /// can't tell where data comes from; one without an extend() moves data on its control thread;
  /// one without a close_rx() tells nothing of what it received, without a settle_hold() it holds
  /// nothing.
  template <typename Host>
  void carry_out(Host& host) const {
    for (const Effect& effect : list_) {
      std::visit([&](const auto& each) { carry_out(host, each); }, effect);
    }
  }
  /// Forgets the list and wipes its keys.
  void clear() {
    for (Effect& effect : list_) {
      if (auto* rx = std::get_if<RxInstall>(&effect)) wipe(rx, sizeof *rx);
      if (auto* tx = std::get_if<TxInstall>(&effect)) {
        wipe(tx->traffic_key.data(), tx->traffic_key.size());
      }
    }
    list_.clear();
    bytes_.clear();
  }

 private:
  template <typename Host>
  void carry_out(Host& host, const Send& send) const {
    host.send(send.path, datagram(send));
  }
  template <typename Host>
  void carry_out(Host& host, const AwaitAnswer& awaited) const {
    if constexpr (requires { host.await_answer(awaited.index); }) host.await_answer(awaited.index);
  }
  template <typename Host>
  void carry_out(Host& host, const AwaitReset& awaited) const {
    if constexpr (requires { host.await_reset(awaited.peer, awaited.index); })
      host.await_reset(awaited.peer, awaited.index);
  }
  template <typename Host>
  void carry_out(Host& host, const RxInstall& install) const {
    host.install_rx(install);
  }
  template <typename Host>
  void carry_out(Host& host, const RxBind& bind) const {
    if constexpr (requires { host.bind_rx(bind); }) host.bind_rx(bind);
  }
  template <typename Host>
  void carry_out(Host& host, const RxRetire& retire) const {
    host.retire_rx(retire.index);
  }
  template <typename Host>
  void carry_out(Host& host, const RxClose& close) const {
    if constexpr (requires { host.close_rx(close.peer, close.index); })
      host.close_rx(close.peer, close.index);
    else
      host.retire_rx(close.index);
  }
  template <typename Host>
  void carry_out(Host& host, const HoldSettle& settle) const {
    if constexpr (requires { host.settle_hold(settle.peer, settle.reports, settle.carried); })
      host.settle_hold(settle.peer, settle.reports, settle.carried);
    else if constexpr (requires { host.settle_hold(settle.reports); })
      host.settle_hold(settle.reports);
  }
  template <typename Host>
  void carry_out(Host& host, const TxInstall& install) const {
    host.install_tx(install);
  }
  template <typename Host>
  void carry_out(Host& host, const TxWithdraw& withdraw) const {
    if constexpr (requires { host.withdraw_tx(withdraw.peer, withdraw.waiting); })
      host.withdraw_tx(withdraw.peer, withdraw.waiting);
    else
      host.withdraw_tx(withdraw.peer);
  }
  template <typename Host>
  void carry_out(Host& host, const HandOver& over) const {
    if constexpr (requires { host.handed_over(over.peer); }) host.handed_over(over.peer);
  }
  template <typename Host>
  void carry_out(Host& host, const Extend& extend) const {
    if constexpr (requires { host.extend(extend); }) host.extend(extend);
  }
  template <typename Host>
  void carry_out(Host& host, const Configure& configure) const {
    host.configured(configure.peer, configure.answer);
  }
  template <typename Host>
  void carry_out(Host& host, const Event& event) const {
    host.emit(event);
  }

  std::vector<Effect, WipingAllocator<Effect>> list_;
  std::vector<uint8_t> bytes_;  ///< of the datagrams; sealed, nothing secret
};

/// The program around an engine: what the engine asks, and what it wants done.
class SessionHost : public Environment {
 public:
  /// Carries the effects out, in order; must not call the engine.
  virtual void apply(const Effects& effects) = 0;
};

}  // namespace jvpn::session
