// mac1 and mac2 of handshake messages: AES-CMAC (RFC 4493) on IPsec-MB, so that workers can check
// them per packet without an allocation. Keys come from BLAKE2s, see common/noise.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "common/ipsec_mb.h"
#include "common/noise.h"
#include "common/result.h"
#include "common/secret.h"

namespace jvpn {

inline constexpr size_t kMacBytes = 16;
inline constexpr size_t kMaxMacs = 64;  ///< computed beside each other
using Mac = std::array<uint8_t, kMacBytes>;

/// An expanded AES-CMAC key. Trivially copyable; whoever frees the memory wipes it first.
struct alignas(16) MacKey {
  uint32_t expanded[4 * 15];
  uint32_t subkey1[4];
  uint32_t subkey2[4];
};

/// One thread's MAC calculator. Never allocates after creation.
class MessageMac {
 public:
  /// Fails when the CPU has none of the instruction sets that IPsec-MB needs.
  static Result<MessageMac> create(const IpsecMb& library = {});
  /// Expands a 128-bit key into `out`.
  void expand(std::span<const uint8_t, 16> key, MacKey& out);
  /// AES-CMAC-128 of a message of any length, the empty one too. Compare in constant time.
  Mac compute(const MacKey& key, std::span<const uint8_t> message);
  /// The same of up to kMaxMacs messages at once, beside each other: out[i] is that of messages[i].
  void compute(const MacKey& key, std::span<const std::span<const uint8_t>> messages,
               std::span<Mac> out);

 private:
  void submit(const MacKey& key, std::span<const uint8_t> message, Mac& out);
  Mac compute_block(const MacKey& key, std::span<const uint8_t> message);
  explicit MessageMac(IpsecMbManager manager) : manager_(std::move(manager)) {}
  IpsecMbManager manager_;
};

}  // namespace jvpn
