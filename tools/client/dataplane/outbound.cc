#include "tools/client/dataplane/outbound.h"

#include <utility>

#include "tools/client/tunnel/tun_offload.h"
#include "tools/shared/socket_address.h"

namespace jvpn::client::dataplane {
namespace {

constexpr int kReadsPerPump = 64;
// Two full runs of UDP segmentation: more would only leave the cache.
constexpr size_t kFlushAt = 2 * underlays::kGsoMaxSegments;

}  // namespace

void Outbound::pump(Millis now) {
  for (int i = 0; i < kReadsPerPump && !blocked_; ++i) {
    const tunnel::Tun::Read read = tun_.read();
    if (read.packet.empty()) break;
    read_one(now, read);
  }
  if (!blocked_) flush();
}

void Outbound::release(Millis now) {
  if (hold_.empty() || !data_path_.path() || blocked_) return;
  data_path_.counters().drop(Drop::kNoBinding, hold_.drop_old(now));
  while (!blocked_) {
    const auto kept = hold_.take();
    if (!kept) break;
    read_one(now, {kept->header, kept->bytes});
  }
  if (!blocked_) flush();
}

void Outbound::read_one(Millis now, const tunnel::Tun::Read& read) {
  const tunnel::SplitPlan plan = tunnel::plan_split(read.header, read.packet);
  if (plan.packets == 0) return data_path_.counters().drop(Drop::kInnerHeader);
  if (data_path_.lacks_path(read.packet)) {
    const size_t dropped = hold_.keep(now, read.header, read.packet);
    return data_path_.counters().drop(Drop::kNoBinding, dropped);
  }
  if (!data_path_.admit(read.packet, plan.largest)) return;
  if (plan.packets > SealBatch::kPackets) return data_path_.counters().drop(Drop::kNoRoom);
  if (!batch_.has_room(plan.packets, plan.bytes)) flush();
  if (blocked_) return data_path_.counters().drop(Drop::kTxFull, plan.packets);
  const tunnel::SplitVerdict verdict = tunnel::split(read.header, read.packet, batch_);
  if (verdict == tunnel::SplitVerdict::kMalformed) data_path_.counters().drop(Drop::kInnerHeader);
  if (verdict == tunnel::SplitVerdict::kNoRoom) data_path_.counters().drop(Drop::kNoRoom);
  if (batch_.packets().size() >= kFlushAt) flush();
}

void Outbound::flush() {
  if (batch_.empty()) return;
  data_path_.seal(batch_);
  sealed_for_ = data_path_.path();
  sent_ = 0;
  send_rest();
}

void Outbound::send_rest() {
  const auto rest = batch_.packets().subspan(sent_);
  const std::optional<Path>& path = sealed_for_;
  underlays::UdpSocket* const socket =
      path ? underlays_[path->interface].socket(path->remote.address.family) : nullptr;
  blocked_.reset();
  if (socket == nullptr) {
    data_path_.counters().drop(Drop::kNoBinding, rest.size());
    return batch_.clear();
  }
  const auto sent = socket->send(SocketAddress::from(path->remote, 0), rest);
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

void Outbound::resume() {
  if (blocked_) send_rest();
}

void Outbound::abandon(Drop reason) {
  if (!blocked_) return;
  data_path_.counters().drop(reason, batch_.packets().size() - sent_);
  batch_.clear();
  blocked_.reset();
}

bool Outbound::take_too_big() {
  return std::exchange(too_big_, false);
}

}  // namespace jvpn::client::dataplane
