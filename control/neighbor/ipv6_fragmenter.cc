#include "control/neighbor/ipv6_fragmenter.h"

#include <algorithm>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr size_t kFragmentHeaderBytes = 8;
constexpr size_t kFragmentHeaders = kIpv6HeaderBytes + kFragmentHeaderBytes;
constexpr uint8_t kFragmentHeader = 44;
constexpr uint16_t kMoreFollow = 1;

}  // namespace

Ipv6Fragmenter::Ipv6Fragmenter(std::span<const uint8_t> packet, uint32_t id, uint16_t mtu)
    : packet_(packet),
      id_(id),
      step_(mtu > kFragmentHeaders ? (mtu - kFragmentHeaders) / 8 * 8 : 0) {
  JVPN_ASSERT(packet.size() >= kIpv6HeaderBytes, "a packet has its header");
}

size_t Ipv6Fragmenter::next_bytes() const {
  const size_t payload = packet_.size() - kIpv6HeaderBytes;
  if (step_ == 0 || offset_ >= payload) return 0;
  return kFragmentHeaders + std::min(step_, payload - offset_);
}

void Ipv6Fragmenter::write(std::span<uint8_t> out) {
  const size_t bytes = next_bytes();
  JVPN_ASSERT(bytes != 0 && out.size() >= bytes, "there is a fragment, and room for it");
  const auto payload = packet_.subspan(kIpv6HeaderBytes + offset_, bytes - kFragmentHeaders);
  std::ranges::copy(packet_.first(kIpv6HeaderBytes), out.begin());
  std::ranges::copy(payload, out.begin() + kFragmentHeaders);
  const auto at = static_cast<uint16_t>(offset_);
  offset_ += payload.size();
  store_be16(out.data() + 4, static_cast<uint16_t>(bytes - kIpv6HeaderBytes));
  out[6] = kFragmentHeader;
  uint8_t* const header = out.data() + kIpv6HeaderBytes;
  header[0] = packet_[6];
  header[1] = 0;
  store_be16(header + 2, static_cast<uint16_t>(at | (next_bytes() != 0 ? kMoreFollow : 0)));
  store_be32(header + 4, id_);
}

}  // namespace jvpn::neighbor
