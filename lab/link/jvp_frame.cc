#include "lab/link/jvp_frame.h"

#include <algorithm>
#include <array>

#include <netinet/in.h>

#include "common/checksum.h"

namespace jvpn::lab {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kIpv4Header = 20;
constexpr size_t kIpv6Header = 40;
constexpr size_t kUdpHeader = 8;

uint16_t get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(std::span<uint8_t> bytes, size_t at, size_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

// Offset of the UDP header.
std::optional<size_t> find_udp(std::span<const uint8_t> frame, Family& family) {
  if (frame.size() < kEthernet + kIpv4Header) return std::nullopt;
  const uint16_t type = get16(frame, 12);
  if (type == 0x0800) {
    family = Family::kIpv4;
    const bool plain = frame[kEthernet] == 0x45 && (get16(frame, kEthernet + 6) & 0x3FFF) == 0 &&
                       frame[kEthernet + 9] == IPPROTO_UDP;
    if (plain) return kEthernet + kIpv4Header;
  } else if (type == 0x86DD && frame.size() >= kEthernet + kIpv6Header) {
    family = Family::kIpv6;
    if (frame[kEthernet + 6] == IPPROTO_UDP) return kEthernet + kIpv6Header;
  }
  return std::nullopt;
}

std::vector<uint8_t> copy_of(std::span<const uint8_t> frame, size_t bytes) {
  return {frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes)};
}

// After any change: lengths, and the checksums over them.
void mend(std::span<uint8_t> frame, const JvpFrame& at) {
  const size_t udp_bytes = frame.size() - at.udp;
  uint8_t* const ip = frame.data() + kEthernet;
  if (at.family == Family::kIpv4) {
    put16(frame, kEthernet + 2, frame.size() - kEthernet);
    store_checksum(ip + 10, 0);
    const uint64_t sum = checksum_add({ip, kIpv4Header}, 0);
    store_checksum(ip + 10, static_cast<uint16_t>(~checksum_fold(sum)));
  } else {
    put16(frame, kEthernet + 4, udp_bytes);
  }
  put16(frame, at.udp + 4, udp_bytes);
  store_checksum(frame.data() + at.udp + 6, 0);
  const uint64_t pseudo = pseudo_header_sum(ip, IPPROTO_UDP, udp_bytes);
  const uint16_t sum = checksum_fold(checksum_add({frame.data() + at.udp, udp_bytes}, pseudo));
  store_checksum(frame.data() + at.udp + 6, sum == 0xFFFF ? sum : static_cast<uint16_t>(~sum));
}

struct KindName {
  const char* name;
  MessageKind kind;
};
constexpr std::array kKindNames = {
    KindName{"any", MessageKind::kAny},           KindName{"handshake", MessageKind::kHandshake},
    KindName{"data", MessageKind::kData},         KindName{"control", MessageKind::kControl},
    KindName{"probe", MessageKind::kProbe},       KindName{"request", MessageKind::kRequest},
    KindName{"response", MessageKind::kResponse}, KindName{"answer", MessageKind::kAnswer},
};

static_assert(sizeof(wire::ReattachAck) == sizeof(wire::ReattachReject));

template <typename Message>
bool sealed(const JvpFrame& frame) {
  return frame.type == wire::MessageType::kControl &&
         frame.payload_bytes == sizeof(Message) + wire::kTransportOverhead;
}

}  // namespace

std::optional<JvpFrame> parse_jvp(std::span<const uint8_t> frame, uint16_t port) {
  JvpFrame found;
  const std::optional<size_t> udp = find_udp(frame, found.family);
  if (!udp || frame.size() < *udp + kUdpHeader + sizeof(wire::Preamble)) return std::nullopt;
  if (get16(frame, *udp) != port && get16(frame, *udp + 2) != port) return std::nullopt;
  const size_t udp_bytes = get16(frame, *udp + 4);
  if (udp_bytes < kUdpHeader + sizeof(wire::Preamble) || *udp + udp_bytes > frame.size())
    return std::nullopt;
  found.udp = *udp;
  found.payload = *udp + kUdpHeader;
  found.payload_bytes = udp_bytes - kUdpHeader;
  found.type = wire::MessageType{frame[found.payload]};
  return found;
}

std::optional<MessageKind> parse_kind(std::string_view text) {
  const auto* const found = std::ranges::find(kKindNames, text, &KindName::name);
  if (found == kKindNames.end()) return std::nullopt;
  return found->kind;
}

bool is(MessageKind kind, const JvpFrame& frame) {
  switch (kind) {
    case MessageKind::kAny:
      return true;
    case MessageKind::kHandshake:
      return frame.type != wire::MessageType::kData && frame.type != wire::MessageType::kControl &&
             frame.type != wire::MessageType::kReset;
    case MessageKind::kData:
      return frame.type == wire::MessageType::kData;
    case MessageKind::kControl:
      return frame.type == wire::MessageType::kControl;
    case MessageKind::kProbe:
      return frame.type == wire::MessageType::kControl &&
             frame.payload_bytes > wire::kMaxControlPlaintext + wire::kTransportOverhead;
    case MessageKind::kRequest:
      return sealed<wire::ReattachRequest>(frame);
    case MessageKind::kResponse:
      return sealed<wire::ReattachResponse>(frame);
    case MessageKind::kAnswer:
      return sealed<wire::ReattachAck>(frame);
  }
  return false;
}

std::optional<std::vector<uint8_t>> with_source(std::span<const uint8_t> frame, const JvpFrame& at,
                                                const IpAddress& source) {
  if (source.family != at.family) return std::nullopt;
  std::vector<uint8_t> changed = copy_of(frame, at.payload + at.payload_bytes);
  const bool v4 = source.is_v4();
  std::copy_n(source.bytes.begin(), v4 ? 4 : 16, changed.begin() + kEthernet + (v4 ? 12 : 8));
  mend(changed, at);
  return changed;
}

std::vector<uint8_t> truncated(std::span<const uint8_t> frame, const JvpFrame& at, size_t bytes) {
  const size_t left = at.payload_bytes - std::min(bytes, at.payload_bytes - 1);
  std::vector<uint8_t> changed = copy_of(frame, at.payload + left);
  mend(changed, at);
  return changed;
}

}  // namespace jvpn::lab
