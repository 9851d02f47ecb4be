// What the workers hand over, as the control loop takes it: packets by class, and signals.
#include <algorithm>
#include <array>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "common/source_signal.h"
#include "control/gateway/control_loop.h"
#include "control/gateway/outer_header.h"

namespace jvpn::gateway {
namespace {

/// Packets per worker and turn, in the order of service; of control messages, all workers together.
struct Budget {
  PuntClass from;
  unsigned packets;
  Work counted;
};

constexpr std::array<Budget, kPuntClasses> kBudgets{
    {{PuntClass::kVerifiedHandshake, 16, Work::kHandshakes},
     {PuntClass::kAnswer, 16, Work::kHandshakes},
     {PuntClass::kControl, 64, Work::kControl},
     {PuntClass::kSlowPath, 32, Work::kSlowPath},
     {PuntClass::kHandshake, 8, Work::kHandshakes}}};

// One message may hold a key exchange, some 200 us: how many there are says nothing of how long
// they take. Whoever began last within these may end later.
constexpr uint64_t kClassUs = 125;  ///< for a class
constexpr uint64_t kRingsUs = 200;  ///< for all of them, in one turn

constexpr unsigned kSignals = 32;  ///< of a worker, in one turn

}  // namespace

/// Every class within its budget. When the time is up, the others are the first of the next turn.
size_t ControlLoop::poll_rings(Millis now) {
  const uint64_t until = clock_.now_us() + kRingsUs;
  size_t packets = 0;
  for (size_t served = 0; served < kBudgets.size(); ++served) {
    const Budget& budget = kBudgets[next_class_];
    next_class_ = (next_class_ + 1) % kBudgets.size();
    packets += budget.from == PuntClass::kControl ? poll_control(now, budget.packets)
                                                  : poll_class(now, budget.from, budget.packets);
    turns_.lap(budget.counted);
    if (clock_.now_us() >= until) break;
  }
  return packets;
}

/// One worker's ring after the other, beginning where the time was up.
size_t ControlLoop::poll_class(Millis now, PuntClass from, unsigned budget) {
  const uint64_t until = clock_.now_us() + kClassUs;
  size_t total = 0;
  for (size_t served = 0; served < view_.rings.size(); ++served) {
    size_t& next = next_ring_[static_cast<size_t>(from)];
    rte_ring* const ring = view_.rings[next]->punt[static_cast<size_t>(from)];
    next = (next + 1) % view_.rings.size();
    void* packet = nullptr;
    for (unsigned taken = 0; taken < budget; ++taken) {
      if (rte_ring_sc_dequeue(ring, &packet) != 0) break;
      take(now, from, static_cast<rte_mbuf*>(packet));
      ++total;
      if (clock_.now_us() >= until) return total;
    }
  }
  return total;
}

size_t ControlLoop::poll_control(Millis now, unsigned budget) {
  const uint64_t until = clock_.now_us() + kClassUs;
  for (unsigned taken = 0; taken < budget; ++taken) {
    rte_mbuf* const packet = arrivals_.pop();
    if (packet == nullptr) return taken;
    take(std::min(now, arrivals_.of(packet)), PuntClass::kControl, packet);
    if (clock_.now_us() >= until) return taken + 1;
  }
  return budget;
}

void ControlLoop::take(Millis now, PuntClass from, rte_mbuf* packet) {
  if (from == PuntClass::kSlowPath) return slow_path_.handle(now, packet);
  take_message(now, from, packet);
  rte_pktmbuf_free(packet);
}

void ControlLoop::take_message(Millis now, PuntClass from, rte_mbuf* packet) {
  const PacketNote& note = note_of(packet);
  const std::span<const uint8_t> frame(rte_pktmbuf_mtod(packet, const uint8_t*),
                                       rte_pktmbuf_data_len(packet));
  const auto path = path_of_frame(frame, note.port);
  if (!path || size_t{note.payload_offset} + note.payload_bytes > frame.size()) {
    ++malformed_;
    return;
  }
  const auto payload = frame.subspan(note.payload_offset, note.payload_bytes);
  if (from == PuntClass::kControl) {
    engine_->on_control(now, *path, ReceiverIndex{note.receiver}, note.counter, payload,
                        note.serial);
  } else {
    engine_->on_handshake(
        now, *path, payload,
        from == PuntClass::kVerifiedHandshake ? MacVerdict::kVerified : MacVerdict::kMac1,
        note.peer);
  }
}

/// Foreign sources, and those of unknown indices, that the workers have seen: one worker's after
/// the other, beginning where the time was up.
void ControlLoop::take_signals(Millis now) {
  for (size_t served = 0; served < view_.rings.size(); ++served) {
    const WorkerRings& rings = *view_.rings[next_signals_];
    next_signals_ = (next_signals_ + 1) % view_.rings.size();
    if (!take_signals_of(now, rings.sources) || !take_signals_of(now, rings.unknown)) return;
  }
}

bool ControlLoop::take_signals_of(Millis now, rte_ring* ring) {
  SourceSignal each;
  for (unsigned taken = 0; ring != nullptr && taken < kSignals; ++taken) {
    if (rte_ring_sc_dequeue_elem(ring, &each, sizeof each) != 0) break;
    const Path from{each.port,
                    {{each.family, each.local}, each.local_port},
                    {{each.family, each.remote}, each.remote_port}};
    if (each.serial != 0)
      engine_->source_changed(now, from, ReceiverIndex{each.receiver}, each.serial);
    else
      engine_->on_unknown_index(now, from, ReceiverIndex{each.receiver});
    if (limit_.spent()) return false;
  }
  return true;
}

}  // namespace jvpn::gateway
