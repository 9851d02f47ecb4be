#include "tools/client/dataplane/outbound.h"

#include <algorithm>
#include <utility>

#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::client::dataplane {
namespace {

constexpr int kReadsPerPump = 64;
// Two full runs of UDP segmentation: more would only leave the cache.
constexpr size_t kFlushAt = 2 * underlays::kGsoMaxSegments;

}  // namespace

void Outbound::pump(Millis now) {
  release(now);
  for (int i = 0; i < kReadsPerPump && !blocked_ && !crowded(); ++i) {
    const tunnel::Tun::Read read = tun_.read();
    if (read.packet.empty()) break;
    read_one(now, read);
  }
  if (!blocked_) flush(now);
}

void Outbound::release(Millis now) {
  Hold& hold = data_path_.hold();
  release_due_ = kNever;
  if (hold.waiting() == 0 || !data_path_.path()) return pace_.stop();
  if (blocked_) return;
  hold.expire(now);
  bool more = true;
  while (more && hold.waiting() != 0 && !blocked_) more = release_batch(now);
  if (!more) release_due_ = now + Millis{1};
  data_path_.note_hold_drops();
}

/// False: the rest isn't due.
bool Outbound::release_batch(Millis now) {
  Hold& hold = data_path_.hold();
  bool due = true;
  hold.rewind();
  for (auto came = hold.next_came(); came; came = hold.next_came()) {
    due = pace_.due(now, *came);
    if (!due || !add_held(hold.next())) break;
    pace_.sent(*came);
  }
  flush(now, Source::kHold);
  return due;
}

bool Outbound::crowded() const {
  return data_path_.path() && data_path_.hold().nearly_full();
}

/// False: the batch goes first. A path may take less than the one before.
bool Outbound::add_held(std::span<const uint8_t> packet) {
  const uint16_t most = data_path_.inner_mtu();
  if (most != 0 && packet.size() > most) {
    if (!batch_.empty()) return false;
    data_path_.hold().drop_next();
    data_path_.counters().drop(Drop::kTooBig);
    return true;
  }
  if (batch_.packets().size() >= kFlushAt || !batch_.has_room(1, packet.size())) return false;
  std::ranges::copy(packet, batch_.next(packet.size()));
  return true;
}

void Outbound::wait_in_hold(Millis now, const tunnel::Tun::Read& read) {
  Hold& hold = data_path_.hold();
  if (!hold.on()) return data_path_.counters().drop(Drop::kNoBinding);
  const tunnel::SplitVerdict verdict = hold.keep_waiting(now, read.header, read.packet);
  if (verdict == tunnel::SplitVerdict::kMalformed) data_path_.counters().drop(Drop::kInnerHeader);
  if (verdict == tunnel::SplitVerdict::kNoRoom) data_path_.counters().drop(Drop::kHoldFull);
  data_path_.note_hold_drops();
}

void Outbound::read_one(Millis now, const tunnel::Tun::Read& read) {
  const tunnel::SplitPlan plan = tunnel::plan_split(read.header, read.packet);
  if (plan.packets == 0) return data_path_.counters().drop(Drop::kInnerHeader);
  if (data_path_.lacks_path(read.packet)) return wait_in_hold(now, read);
  if (!data_path_.admit(read.packet, plan.largest)) return;
  if (data_path_.hold().waiting() != 0) return wait_in_hold(now, read);
  if (plan.packets > SealBatch::kPackets) return data_path_.counters().drop(Drop::kNoRoom);
  if (!batch_.has_room(plan.packets, plan.bytes)) flush(now);
  if (blocked_) return data_path_.counters().drop(Drop::kTxFull, plan.packets);
  const tunnel::SplitVerdict verdict = tunnel::split(read.header, read.packet, batch_);
  if (verdict == tunnel::SplitVerdict::kMalformed) data_path_.counters().drop(Drop::kInnerHeader);
  if (verdict == tunnel::SplitVerdict::kNoRoom) data_path_.counters().drop(Drop::kNoRoom);
  if (batch_.packets().size() >= kFlushAt) flush(now);
}

void Outbound::flush(Millis now, Source source) {
  if (batch_.empty()) return;
  data_path_.seal(batch_, now, source);
  sealed_for_ = data_path_.path();
  sent_ = 0;
  send_rest();
}

void Outbound::send_rest() {
  const auto rest = batch_.packets().subspan(sent_);
  const std::optional<Path>& path = sealed_for_;
  blocked_.reset();
  if (!path || !underlays_[path->interface].is_open(*path)) {
    drop_rest(Drop::kNoBinding);
    return batch_.clear();
  }
  const auto sent = underlays_[path->interface].send(path->remote, rest);
  sent_ += sent.taken;
  if (sent.too_big != 0) {
    too_big_ = true;
    data_path_.counters().drop(Drop::kTooBig, sent.too_big);
  }
  if (sent.failed != 0) data_path_.counters().drop(Drop::kTxFull, sent.failed);
  if (sent.taken < rest.size())
    blocked_ = *path;
  else
    batch_.clear();
}

/// What was sealed for a path that is gone is held, and goes by the next one.
void Outbound::drop_rest(Drop reason) {
  if (reason == Drop::kNoBinding && data_path_.hold().on()) return;
  data_path_.counters().drop(reason, batch_.packets().size() - sent_);
}

void Outbound::resume() {
  if (blocked_) send_rest();
}

void Outbound::resume_drained() {
  if (blocked_ && underlays_[blocked_->interface].drained()) send_rest();
}

void Outbound::abandon(Drop reason) {
  if (!blocked_) return;
  drop_rest(reason);
  batch_.clear();
  blocked_.reset();
}

bool Outbound::take_too_big() {
  return std::exchange(too_big_, false);
}

}  // namespace jvpn::client::dataplane
