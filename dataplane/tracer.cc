// Runs on worker lcores. No lock, system call, allocation or log line.
#include "dataplane/tracer.h"

#include "dataplane/lookup.h"

namespace jvpn {
namespace {

/// Where a packet is dropped by that name. `sealing`: it was on its way to a peer.
Stage stage_of(Drop reason, bool sealing) {
  switch (reason) {
    case Drop::kUnknownIndex:
      return Stage::kLookup;
    case Drop::kLaneUnknown:
    case Drop::kReplayDuplicate:
    case Drop::kReplayTooOld:
    case Drop::kHandoffFull:
      return Stage::kReplay;
    case Drop::kSessionExpired:
    case Drop::kNotOwned:
      return sealing ? Stage::kNumber : Stage::kReplay;
    case Drop::kBadTag:
      return Stage::kOpen;
    case Drop::kInnerHeader:
    case Drop::kInnerSource:
      return Stage::kSource;
    case Drop::kNoBinding:
    case Drop::kKeyExhausted:
    case Drop::kOversizeLimit:
      return Stage::kNumber;
    default:
      return sealing ? Stage::kNumber : Stage::kRoute;
  }
}

Stage last_stage(TraceEnd how, Drop reason, bool sealing) {
  switch (how) {
    case TraceEnd::kDropped:
      return stage_of(reason, sealing);
    case TraceEnd::kHandedOff:
      return Stage::kReplay;
    case TraceEnd::kHeld:
      return Stage::kLookup;
    default:
      return sealing ? Stage::kSeal : Stage::kRoute;
  }
}

const char* name_of(Stage stage) {
  return kStageNames[static_cast<size_t>(stage)];
}

}  // namespace

bool Tracer::take_order(uint64_t now_tsc) {
  const uint64_t order = trace_->order.load(std::memory_order_acquire);
  if (order != order_) {
    order_ = order;
    left_ = trace_->most.load(std::memory_order_relaxed);
  }
  now_tsc_ = now_tsc;
  return order != 0 && left_ != 0 && now_tsc < trace_->until_tsc.load(std::memory_order_relaxed);
}

Tracer::Open* Tracer::find(const rte_mbuf* packet) {
  for (size_t i = count_; i > 0; --i)
    if (open_[i - 1].packet == packet) return &open_[i - 1];
  return nullptr;
}

void Tracer::add(const rte_mbuf* packet, const TracedPacket& what) {
  if (left_ == 0 || count_ == open_.size()) return;
  --left_;
  Open& open = open_[count_++];
  open = {packet, false, what.way == TraceWay::kSealed, what};
  open.what.order = static_cast<uint32_t>(order_ >> 32);
  open.what.worker = worker_;
  open.what.tsc = now_tsc_;
}

void Tracer::opening(const DataBurst& burst, bool handed_on) {
  const PeerId peer{static_cast<uint32_t>(order_)};
  for (const DataPacket& data : burst) {
    const RxRecord* const record = data.record;
    if (record == nullptr || record->index.value != lookup::receiver_of(data.message)) continue;
    if (record->peer == peer)
      add(data.packet, {.port = data.port, .bytes = data.bytes, .handed_on = handed_on});
  }
}

void Tracer::sealing(const TunnelBurst& burst) {
  const PeerId peer{static_cast<uint32_t>(order_)};
  for (const TunnelPacket& out : burst) {
    if (Open* const open = find(out.inner.packet)) {
      open->sealing = true;
      open->what.way = TraceWay::kForwarded;
    } else if (out.to == peer) {
      add(out.inner.packet,
          {.port = out.inner.port, .bytes = out.inner.bytes, .way = TraceWay::kSealed});
    }
  }
}

void Tracer::end(const rte_mbuf* packet, TraceEnd how, Drop reason) {
  Open* const open = find(packet);
  if (open == nullptr || open->ended) return;
  open->ended = true;
  open->what.end = how;
  open->what.reason = reason;
  open->what.stage = name_of(last_stage(how, reason, open->sealing));
}

void Tracer::dropped(const rte_mbuf* packet, Drop reason) {
  end(packet, TraceEnd::kDropped, reason);
}

void Tracer::to_control(const rte_mbuf* packet) {
  end(packet, TraceEnd::kToControl, Drop::kCount);
}

void Tracer::handed_off(const rte_mbuf* packet) {
  end(packet, TraceEnd::kHandedOff, Drop::kCount);
}

void Tracer::held(const rte_mbuf* packet) {
  end(packet, TraceEnd::kHeld, Drop::kCount);
}

void Tracer::settle() {
  for (size_t i = 0; i < count_; ++i) {
    TracedPacket& what = open_[i].what;
    if (!open_[i].ended) what.stage = name_of(Stage::kTx);
    trace_->packets.push(what);  // there is room
  }
  count_ = 0;
}

}  // namespace jvpn
