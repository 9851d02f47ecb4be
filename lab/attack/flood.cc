#include "lab/attack/flood.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/aead.h"
#include "common/bytes.h"
#include "common/checksum.h"
#include "common/wire.h"

namespace jvpn::lab {
namespace {

struct FloodName {
  const char* name;
  FloodKind kind;
};
constexpr std::array kFloods = {
    FloodName{"harmless", FloodKind::kHarmless}, FloodName{"initiation", FloodKind::kInitiation},
    FloodName{"garbage", FloodKind::kGarbage},   FloodName{"replay", FloodKind::kReplay},
    FloodName{"reattach", FloodKind::kReattach}, FloodName{"cookie", FloodKind::kCookie}};

constexpr uint32_t kBenchmarks = 0xC612'0000;  // 198.18.0.0
constexpr uint32_t kBenchmarkHosts = 0x0001'FFFF;
constexpr uint16_t kLeastPort = 1'024;

}  // namespace

std::optional<FloodKind> parse_flood(std::string_view text) {
  const auto* const found = std::ranges::find(kFloods, text, &FloodName::name);
  return found == kFloods.end() ? std::nullopt : std::optional(found->kind);
}

std::vector<uint8_t> random_initiation(MessageMac& mac, const PublicKey& responder,
                                       const Mac* cookie, std::mt19937_64& random) {
  wire::Initiation message{};
  message.type = wire::MessageType::kInitiation;
  message.sender = static_cast<uint32_t>(random());
  message.suite = 1;
  for (uint8_t& byte : message.noise) byte = static_cast<uint8_t>(random());
  std::vector<uint8_t> bytes(sizeof message);
  std::memcpy(bytes.data(), &message, sizeof message);
  const ResponderMacKeys keys = ResponderMacKeys::derive(mac, responder);
  write_macs(mac, keys.mac1, cookie, bytes);
  return bytes;
}

std::optional<Mac> cookie_in(Aead& aead, MessageMac& mac, const PublicKey& responder,
                             std::span<const uint8_t> question, std::span<const uint8_t> reply) {
  wire::SealedReply message;
  wire::Initiation asked;
  if (reply.size() != sizeof message || question.size() != sizeof asked) return std::nullopt;
  std::memcpy(&message, reply.data(), sizeof message);
  std::memcpy(&asked, question.data(), sizeof asked);
  if (message.type != wire::MessageType::kCookieReply || message.receiver != asked.sender)
    return std::nullopt;
  const ResponderMacKeys keys = ResponderMacKeys::derive(mac, responder);
  return open_reply(aead, keys.cookie_label, std::to_array(asked.mac1), message);
}

std::vector<uint8_t> frame_of(const FloodWay& way, std::span<const uint8_t> message) {
  const size_t udp_bytes = kUdpHeaderBytes + message.size();
  std::vector<uint8_t> frame(kEthernetHeaderBytes + kIpv4HeaderBytes + udp_bytes);
  uint8_t* ip = frame.data() +
                write_ethernet(frame.data(), way.to_ethernet, way.from_ethernet, kEtherTypeIpv4);
  uint8_t* udp =
      ip + write_ip(ip, way.from.address, way.to.address, kProtocolUdp, kHops, udp_bytes);
  store_be16(udp, way.from.port);
  store_be16(udp + 2, way.to.port);
  store_be16(udp + 4, udp_bytes);
  std::ranges::copy(message, udp + kUdpHeaderBytes);
  return frame;
}

void spoof(std::span<uint8_t> frame, std::mt19937_64& random) {
  uint8_t* ip = frame.data() + kEthernetHeaderBytes;
  const uint64_t bits = random();
  const uint32_t host = kBenchmarks | (static_cast<uint32_t>(bits) & kBenchmarkHosts);
  store_be16(ip + 12, host >> 16);
  store_be16(ip + 14, host & 0xFFFF);
  store_checksum(ip + 10, 0);
  store_checksum(ip + 10, checksum_finish(checksum_add({ip, kIpv4HeaderBytes}, 0)));
  const auto port = static_cast<uint16_t>(bits >> 32);
  store_be16(ip + kIpv4HeaderBytes, std::max(port, kLeastPort));
}

}  // namespace jvpn::lab
