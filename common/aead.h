// The three transport AEADs on IPsec-MB, by the fastest call for each suite: direct calls for
// AES-GCM, unchecked jobs for ChaCha20-Poly1305 (docs/PERFORMANCE.md has the figures).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include <emmintrin.h>
#include <intel-ipsec-mb.h>

#include "common/assert.h"
#include "common/burst.h"
#include "common/ipsec_mb.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/secret.h"
#include "common/types.h"

namespace jvpn {

inline constexpr size_t kAeadKeyBytes = 32;    ///< raw key storage; AES-128 uses the first 16
inline constexpr size_t kAeadNonceBytes = 12;  ///< RFC 5116: 96 bits for every suite
inline constexpr size_t kAeadTagBytes = 16;

inline constexpr size_t kRawKeyBytes = kAeadKeyBytes + kAeadNonceBytes;

/// A transport key as it is derived: the key, then the secret IV of its nonces.
using RawKey = std::array<uint8_t, kRawKeyBytes>;
using Nonce = std::array<uint8_t, kAeadNonceBytes>;
using AeadTag = std::array<uint8_t, kAeadTagBytes>;

/// Raw key bytes that the suite reads: 16 or 32.
constexpr size_t key_bytes(Suite suite) {
  return suite == Suite::kAes128Gcm ? 16 : 32;
}

/// An expanded key: everything that seal and open read besides the packet. Trivially copyable so
/// that records can hold it in line; whoever frees the memory wipes it first.
struct alignas(64) AeadKey {
  static constexpr size_t kBlock = 16;
  /// Where IPsec-MB's code for AVX-512 keeps the hash key's powers, of which a packet reads one for
  /// each block: a row up to each of these bytes, the lowest power last. 2.0 has a second row, of
  /// their products with the polynomial; its code for AVX2 has shorter rows, and gains less.
  static constexpr bool kTwoRows = sizeof(gcm_key_data) > 1'008;
  static constexpr size_t kHashPowers = kTwoRows ? 32 : 48;
  static constexpr std::array<size_t, kTwoRows ? 2 : 1> kPowersEnd = [] {
    if constexpr (kTwoRows)
      return std::array<size_t, 2>{752, 1'264};
    else
      return std::array<size_t, 1>{1'008};
  }();
  union {
    gcm_key_data gcm;
    /// Padded: IPsec-MB 1.3's AVX2 ChaCha20 reads 16 bytes past the key.
    uint8_t chacha[64];
  };
  Suite suite;  ///< in a line that every GCM packet reads anyhow
  uint8_t unused[3];
  uint8_t iv[kAeadNonceBytes];  ///< of transport messages, XORed into their nonces
};
static_assert(sizeof(gcm_key_data) == AeadKey::kPowersEnd.back());
static_assert(sizeof(AeadKey) == AeadKey::kPowersEnd.back() + 16);
static_assert(offsetof(AeadKey, iv) + kAeadNonceBytes == sizeof(AeadKey));

/// One transport message of a burst, worked on in place.
struct AeadOp {
  const AeadKey* key = nullptr;
  /// Right behind the message's header. Seal: plaintext of `length`, then room for the tag; open:
  /// ciphertext and tag.
  uint8_t* data = nullptr;
  uint32_t length = 0;  ///< bytes of plaintext (= of ciphertext, without the tag)
  bool ok = false;      ///< open: the tag was right. On false the data holds nothing usable.
};

/// Fetches what sealing or opening `op` will read: the payload's start, round keys (the longer
/// ones' last line comes with its neighbour), and of the hash key's powers as many as it has
/// blocks. Does nothing else.
inline void prefetch(const AeadOp& op) {
  constexpr size_t kLine = 64;
  constexpr size_t kShort = 95;          // bytes, whose powers stand in a row's last two lines
  constexpr size_t kPayloadAhead = 512;  // bytes; the CPU's own prefetching does the rest better
  // GCC 12 takes a loop of __builtin_prefetch for one without effect and drops it.
  const auto fetch = [](const uint8_t* at) { __asm__ volatile("prefetcht0 %0" : : "m"(*at)); };
  const auto* key = reinterpret_cast<const uint8_t*>(op.key);
  fetch(op.data);
  fetch(op.data + kLine);
  for (const size_t line : {size_t{0}, size_t{1}, size_t{2}}) fetch(key + line * kLine);
  for (const size_t end : AeadKey::kPowersEnd) {
    fetch(key + ((end - 1) / kLine - 1) * kLine);
    fetch(key + (end - 1) / kLine * kLine);
  }
  if (op.length <= kShort) return;
  const uint8_t* payload_end = op.data + std::min(op.length + kAeadTagBytes, kPayloadAhead);
  for (const uint8_t* at = op.data + 2 * kLine; at < payload_end; at += kLine) fetch(at);
  const size_t blocks = std::min<size_t>(op.length / AeadKey::kBlock + 2, AeadKey::kHashPowers);
  for (const size_t end : AeadKey::kPowersEnd) {
    const size_t last = (end - 1) / kLine - 1;  // it has come already
    for (size_t line = (end - blocks * AeadKey::kBlock) / kLine; line < last; ++line)
      fetch(key + line * kLine);
  }
}

/// Fetches a key's ends (round keys and lowest powers), which every packet reads, into the
/// second-level cache, a burst before its prefetch(): more lines can be on their way there than
/// into the first, and what stands between them is fetched faster when these have been.
inline void prefetch_early(const AeadKey& key) {
  constexpr size_t kLine = 64;
  const auto* from = reinterpret_cast<const uint8_t*>(&key);
  const auto fetch = [from](size_t line) {
    __asm__ volatile("prefetcht1 %0" : : "m"(from[line * kLine]));
  };
  for (const size_t line : {size_t{0}, size_t{1}, size_t{2}}) fetch(line);
  for (const size_t end : AeadKey::kPowersEnd) {
    fetch((end - 1) / kLine - 1);
    fetch((end - 1) / kLine);
  }
}

/// In constant time: all of both is read and compared at once.
inline bool tags_equal(const uint8_t* a, const uint8_t* b) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(first, second)) == 0xFFFF;
}

/// One thread's IPsec-MB manager. Not shared between threads. Never allocates after creation.
class Aead {
 public:
  /// Fails when the CPU has none of the instruction sets that IPsec-MB needs.
  static Result<Aead> create(const IpsecMb& library = {});

  /// Expands `key` (its first key_bytes(suite) bytes) into `out`, and keeps its IV there.
  void expand(Suite suite, const RawKey& key, AeadKey& out);
  /// The same for a key without an IV: zeros stand in its place.
  void expand(Suite suite, std::span<const uint8_t, kAeadKeyBytes> key, AeadKey& out);

  /// Seals each packet in place without associated data; writes the tag behind the ciphertext.
  /// Every op of the burst may have its own key and suite; any burst size.
  void seal(std::span<AeadOp> burst);
  /// Opens each packet in place and sets its `ok`. Tags are compared in constant time.
  void open(std::span<AeadOp> burst);

  /// Of the bursts: packets between the prefetch() of an op and its use. The first ones of a burst
  /// are the caller's to prefetch, as early as it can.
  /// `length`: of a packet that stands for the burst; the longer, the more time passes with each.
  size_t prefetch_ahead(size_t length) const {
    constexpr size_t kLong = 512;
    constexpr size_t kLongAhead = 2;
    return length > kLong ? std::min(ahead_, kLongAhead) : ahead_;
  }
  void set_prefetch_ahead(size_t packets) { ahead_ = packets; }

  /// Seals one message with associated data: `data` in place, tag to `tag`.
  void seal_one(const AeadKey& key, const Nonce& nonce, std::span<const uint8_t> aad,
                std::span<uint8_t> data, std::span<uint8_t, kAeadTagBytes> tag);
  /// Opens one message with associated data. False: tag wrong, `data` was wiped.
  bool open_one(const AeadKey& key, const Nonce& nonce, std::span<const uint8_t> aad,
                std::span<uint8_t> data, std::span<const uint8_t, kAeadTagBytes> tag);

  /// Name of the IPsec-MB architecture in use, for `jvpn doctor` and the harness.
  const char* architecture() const;

 private:
  template <bool kSeals>
  friend class AeadRun;
  /// Takes an op's parts, so that whoever made it keeps them in registers. True when the job is
  /// done at once, as those before it.
  bool submit_job(IMB_CIPHER_DIRECTION direction, const AeadKey& key, const uint8_t* nonce,
                  uint8_t* data, uint32_t length, uint8_t* tag);
  void finish_jobs();
  template <bool kSeals, typename TagOf>
  void work(std::span<const AeadOp> burst, TagOf tag_of);
  explicit Aead(IpsecMbManager manager) : manager_(std::move(manager)) {}
  IpsecMbManager manager_;
  size_t ahead_ = kDefaultAhead;
};

/// A key's IV as the 16 bytes of a transport header are XORed with it. Records keep it in the line
/// that every packet reads.
class HeaderIv {
 public:
  HeaderIv() = default;
  explicit HeaderIv(const AeadKey& key)
      : last_(_mm_load_si128(reinterpret_cast<const __m128i*>(&key + 1) - 1)) {}
  __m128i with(__m128i header) const { return _mm_xor_si128(last_, header); }
  /// The same; `data` stands right behind the header.
  __m128i with_header_of(const uint8_t* data) const {
    return with(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) - 1));
  }

 private:
  __m128i last_{};  ///< of the key's bytes: the IV, and before it four that no nonce needs
};

/// A nonce where the cipher reads it: receiver and counter, XORed with the key's IV (as RFC 8446,
/// §5.3). Made a pass before the cipher's: its masked load of a nonce that was just stored would
/// wait for the store, which takes as long as the cipher.
struct alignas(16) NonceSlot {
  uint8_t bytes[4 + kAeadNonceBytes];

  const uint8_t* nonce() const { return bytes + 4; }
  void set(__m128i from) { _mm_store_si128(reinterpret_cast<__m128i*>(bytes), from); }
};

/// The nonces of one burst by the packets' places in it. Wiped: with their headers they tell the
/// keys' IVs.
class NonceBurst {
 public:
  NonceBurst() = default;
  NonceBurst(const NonceBurst&) = delete;
  NonceBurst& operator=(const NonceBurst&) = delete;
  ~NonceBurst() { wipe(slots_.data(), count_ * sizeof(NonceSlot)); }

  NonceSlot& operator[](size_t i) {
    JVPN_DEBUG_ASSERT(i < kMaxBurst, "a place in a burst");
    return slots_[i];
  }
  const NonceSlot& operator[](size_t i) const { return slots_[i]; }
  /// So many were made.
  void set_count(size_t count) { count_ = count; }

 private:
  size_t count_ = 0;
  std::array<NonceSlot, kMaxBurst> slots_;
};

/// A burst sealed or opened packet by packet, so that the caller's other work can stand in between:
/// it costs less there, for the cipher mostly waits for itself. Up to kMaxBurst packets. Whoever
/// calls work() has called prefetch() for the op, Aead::prefetch_ahead() packets before.
template <bool kSeals>
class AeadRun {
 public:
  explicit AeadRun(Aead& aead)
      : aead_(aead),
        gcm128_(kSeals ? aead.manager_->gcm128_enc : aead.manager_->gcm128_dec),
        gcm256_(kSeals ? aead.manager_->gcm256_enc : aead.manager_->gcm256_dec) {}
  AeadRun(const AeadRun&) = delete;
  AeadRun& operator=(const AeadRun&) = delete;
  ~AeadRun() { wipe(&context_, sizeof context_); }

  /// Seals or opens the packet, unless it has to wait for finish(): then waits() from now on.
  /// Opened: `tag` gets what the packet's tag must be; if it isn't (tags_equal()), the caller wipes
  /// the data. Key, nonce and `tag` stay in place until then.
  [[gnu::always_inline]] void work(const AeadOp& op, const NonceSlot& slot, uint8_t* tag) {
    if (op.key->suite == Suite::kChaCha20Poly1305) [[unlikely]] {
      waits_ |= !aead_.submit_job(kSeals ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT, *op.key, slot.nonce(),
                                  op.data, op.length, tag);
      return;
    }
    const GcmCall call = op.key->suite == Suite::kAes128Gcm ? gcm128_ : gcm256_;
    call(&op.key->gcm, &context_, op.data, op.data, op.length, slot.nonce(), nullptr, 0, tag,
         kAeadTagBytes);
  }
  /// Some packets are not done: of ChaCha20-Poly1305, where IPsec-MB works on several at once.
  bool waits() const { return waits_; }
  void finish() {
    if (waits_) aead_.finish_jobs();
  }

 private:
  using GcmCall = decltype(IMB_MGR::gcm128_enc);

  Aead& aead_;
  const GcmCall gcm128_;
  const GcmCall gcm256_;
  bool waits_ = false;
  gcm_context_data context_;
};

using KeyIv = std::span<const uint8_t, kAeadNonceBytes>;

inline KeyIv iv_of(const RawKey& key) {
  return std::span(key).last<kAeadNonceBytes>();
}

/// Nonce of a JVP/1 transport message, for seal_one() and open_one(): receiver index ‖ counter,
/// both little-endian, XORed with the key's IV.
inline Nonce transport_nonce(KeyIv iv, ReceiverIndex receiver, uint64_t counter) {
  Nonce nonce;
  __builtin_memcpy(nonce.data(), &receiver.value, 4);
  __builtin_memcpy(nonce.data() + 4, &counter, 8);
  for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<uint8_t>(nonce[i] ^ iv[i]);
  return nonce;
}

}  // namespace jvpn
