#include "common/session_table.h"

#include <algorithm>
#include <bit>
#include <string>

#include <rte_malloc.h>

namespace jvpn {
namespace {

constexpr uint32_t kSentPlaces = 4;  // for a peer: its active binding's index, some standby paths'

template <typename T>
std::atomic<T>* make_slots(const char* name, size_t count) {
  using Slot = std::atomic<T>;
  void* memory = rte_malloc(name, count * sizeof(Slot), kCacheLine);
  if (memory == nullptr) return nullptr;
  auto* slots = static_cast<Slot*>(memory);
  std::uninitialized_value_construct_n(slots, count);
  return slots;
}

uint32_t slot_bits_for(uint32_t peers) {
  const uint64_t indices = uint64_t{std::max(peers, 1U)} * kIndicesPerSession;
  return static_cast<uint32_t>(std::bit_width(indices - 1));
}

}  // namespace

void NextHop::set_addresses(const Address& destination, const Address& source) {
  constexpr uint8_t kTypes[2][2]{{0x08, 0x00}, {0x86, 0xDD}};
  for (size_t family = 0; family < 2; ++family) {
    uint8_t* at = link[family] + 2;
    at = std::copy(destination.begin(), destination.end(), at);
    at = std::copy(source.begin(), source.end(), at);
    std::copy(std::begin(kTypes[family]), std::end(kTypes[family]), at);
  }
}

void SharedHop::set(const Address& neighbor, const Address& own) {
  std::array<uint8_t, sizeof(uint64_t)> bytes{};
  std::copy(own.begin(), own.begin() + 2,
            std::copy(neighbor.begin(), neighbor.end(), bytes.begin()));
  link.store(std::bit_cast<uint64_t>(bytes), std::memory_order_relaxed);
}

SessionTable::SessionTable(uint32_t peers, const std::nothrow_t&)
    : peers_(peers),
      slot_bits_(slot_bits_for(peers)),
      mask_((uint32_t{1} << slot_bits_) - 1),
      rx_(make_slots<const RxRecord*>("jvpn_rx_slots", size_t{mask_} + 1)),
      tx_(make_slots<const TxRecord*>("jvpn_tx_slots", std::max(peers, 1U))),
      hops_(make_slots<const NextHop*>("jvpn_next_hops", kMaxNextHops)),
      awaited_(make_slots<uint32_t>("jvpn_awaited", size_t{mask_} + 1)),
      sent_places_(std::max(peers, 1U) * kSentPlaces),
      sent_to_(make_slots<uint64_t>("jvpn_sent_to", sent_places_)),
      waits_(make_slots<uint32_t>("jvpn_waits", std::max(peers, 1U))) {}

SessionTable::SessionTable(uint32_t peers) : SessionTable(peers, std::nothrow) {
  if (!complete()) throw std::bad_alloc();
}

Result<std::unique_ptr<SessionTable>> SessionTable::create(uint32_t peers) {
  if (peers > kMaxPeers) {
    return Error{"limits.sessions: expected at most " + std::to_string(kMaxPeers) + ", got " +
                 std::to_string(peers)};
  }
  std::unique_ptr<SessionTable> table(new SessionTable(peers, std::nothrow));
  if (table->complete()) return table;
  return Error{"no DPDK memory for a table of " + std::to_string(peers) +
               " sessions: raise memory.megabytes or lower limits.sessions"};
}

SessionTable::~SessionTable() {
  rte_free(rx_);
  rte_free(tx_);
  rte_free(hops_);
  rte_free(awaited_);
  rte_free(sent_to_);
  rte_free(waits_);
}

}  // namespace jvpn
