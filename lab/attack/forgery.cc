#include "lab/attack/forgery.h"

#include <algorithm>
#include <array>

#include "common/wire.h"

namespace jvpn::lab {
namespace {

constexpr uint64_t kCountersAhead = 1'000;
constexpr size_t kLongestNoise = 1'400;

struct ForgeryName {
  const char* name;
  Forgery how;
};
constexpr std::array kNames = {
    ForgeryName{"replay", Forgery::kReplay}, ForgeryName{"forge", Forgery::kForge},
    ForgeryName{"truncate", Forgery::kTruncate}, ForgeryName{"noise", Forgery::kNoise}};

void fill(std::span<uint8_t> bytes, std::mt19937_64& random) {
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
}

// Data and control keep the header's place in the protocol, the others their type alone.
std::vector<uint8_t> forge(std::span<const uint8_t> message, std::mt19937_64& random) {
  std::vector<uint8_t> made(message.begin(), message.end());
  wire::TransportHeader header;
  if (made.size() < sizeof header || made[0] < static_cast<uint8_t>(wire::MessageType::kData)) {
    if (made.size() > sizeof(wire::Preamble))
      fill(std::span(made).subspan(sizeof(wire::Preamble)), random);
    return made;
  }
  __builtin_memcpy(&header, made.data(), sizeof header);
  header.counter += 1 + random() % kCountersAhead;
  __builtin_memcpy(made.data(), &header, sizeof header);
  fill(std::span(made).subspan(sizeof header), random);
  return made;
}

}  // namespace

std::optional<Forgery> parse_forgery(std::string_view text) {
  const auto* const found = std::ranges::find(kNames, text, &ForgeryName::name);
  return found == kNames.end() ? std::nullopt : std::optional(found->how);
}

std::vector<uint8_t> forged(Forgery how, std::span<const uint8_t> message,
                            std::mt19937_64& random) {
  std::vector<uint8_t> made(message.begin(), message.end());
  switch (how) {
    case Forgery::kReplay:
      break;
    case Forgery::kForge:
      return forge(message, random);
    case Forgery::kTruncate:
      made.resize(1 + random() % made.size());
      break;
    case Forgery::kNoise:
      made.resize(1 + random() % kLongestNoise);
      fill(made, random);
      made[0] %= 8;
      break;
  }
  return made;
}

}  // namespace jvpn::lab
