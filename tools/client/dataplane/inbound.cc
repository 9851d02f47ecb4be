#include "tools/client/dataplane/inbound.h"

#include "common/wire.h"

namespace jvpn::client::dataplane {
namespace {

constexpr int kCallsPerPump = 8;

bool is_data(std::span<const uint8_t> message) {
  return !message.empty() && message[0] == static_cast<uint8_t>(wire::MessageType::kData);
}

}  // namespace

void Inbound::pump(underlays::Underlay& underlay, Family family, Millis now) {
  for (int call = 0; call < kCallsPerPump || underlay.pending(); ++call) {
    if (!underlay.is_open(family)) return;
    if (const size_t truncated = underlay.receive(family, batch_); truncated != 0)
      data_path_.counters().drop(Drop::kTruncated, truncated);
    if (batch_.datagrams().empty()) return;
    for (const auto& datagram : batch_.datagrams()) {
      if (is_data(datagram.payload)) {
        data_.push_back(datagram.payload);
        continue;
      }
      deliver(now);  // before the engine can retire what these were sealed for
      control_(underlay.path_from(batch_.remote(datagram)), datagram.payload);
    }
    deliver(now);
  }
}

void Inbound::deliver(Millis now) {
  if (data_.empty()) return;
  inner_.clear();
  data_path_.open(data_, now, inner_);
  data_.clear();
  for (const auto packet : inner_) coalescer_.add(packet);
  coalescer_.flush(tun_);
}

}  // namespace jvpn::client::dataplane
