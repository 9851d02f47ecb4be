#include "control/neighbor/ipv4_fragmenter.h"

#include <algorithm>
#include <cstring>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/checksum.h"
#include "common/ip_header.h"

namespace jvpn::neighbor {
namespace {

constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kOffsetMask = 0x1FFF;
constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionCopied = 0x80;

/// Options that only the first fragment carries become no-operations.
void blank_uncopied_options(std::span<uint8_t> options) {
  while (!options.empty() && options[0] != kOptionEnd) {
    size_t bytes = 1;
    if (options[0] != kOptionNop) {
      if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return;
      bytes = options[1];
      if (!(options[0] & kOptionCopied)) std::fill_n(options.begin(), bytes, kOptionNop);
    }
    options = options.subspan(bytes);
  }
}

}  // namespace

Ipv4Fragmenter::Ipv4Fragmenter(std::span<const uint8_t> packet, const IpView& view, uint16_t mtu)
    : packet_(packet),
      view_(view),
      step_(mtu > view.header_bytes ? (mtu - view.header_bytes) / 8 * 8 : 0) {}

size_t Ipv4Fragmenter::next_bytes() const {
  const size_t payload = view_.total_bytes - view_.header_bytes;
  if (step_ == 0 || offset_ >= payload) return 0;
  return view_.header_bytes + std::min(step_, payload - offset_);
}

void Ipv4Fragmenter::write(std::span<uint8_t> out) {
  const size_t header = view_.header_bytes;
  const size_t bytes = next_bytes();
  JVPN_ASSERT(bytes != 0 && out.size() >= bytes, "there is a fragment, and room for it");
  JVPN_ASSERT(offset_ % 8 == 0, "fragments begin at multiples of 8 bytes");
  std::copy_n(packet_.begin(), header, out.begin());
  std::copy_n(packet_.begin() + static_cast<ptrdiff_t>(header + offset_), bytes - header,
              out.begin() + static_cast<ptrdiff_t>(header));
  const uint16_t field = load_be16(packet_.data() + 6);
  const size_t at = (field & kOffsetMask) + offset_ / 8;
  if (offset_ > 0) blank_uncopied_options(out.subspan(kIpv4HeaderBytes, header - kIpv4HeaderBytes));
  offset_ += bytes - header;
  const bool more = next_bytes() != 0 || (field & kMoreFragments);

  store_be16(out.data() + 2, bytes);
  store_be16(out.data() + 6, at | (more ? kMoreFragments : 0U));
  store_be16(out.data() + 10, 0);
  store_checksum(out.data() + 10, checksum_finish(checksum_add(out.first(header), 0)));
}

}  // namespace jvpn::neighbor
