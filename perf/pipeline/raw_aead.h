// The floor under every packet: nothing but IPsec-MB's best call for the suite, key schedule and
// payload prefetched a few packets ahead. No ring, no header, no lookup, no tag compared. One
// thread.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/aead.h"
#include "common/ipsec_mb.h"
#include "common/result.h"

namespace jvpn::perf {

class RawAead {
 public:
  static Result<RawAead> create(const IpsecMb& library) {
    auto manager = create_ipsec_mb_manager(library);
    if (!manager) return manager.error();
    return RawAead(*std::move(manager));
  }

  /// All of one suite; the tag goes behind the ciphertext.
  void seal(std::span<const AeadOp> ops) {
    if (ops.front().key->suite == Suite::kChaCha20Poly1305) return run_chacha(ops, IMB_DIR_ENCRYPT);
    const bool aes128 = ops.front().key->suite == Suite::kAes128Gcm;
    run_gcm(aes128 ? manager_->gcm128_enc : manager_->gcm256_enc, ops,
            [](const AeadOp& op) { return op.data + op.length; });
  }
  /// The computed tags are thrown away.
  void open(std::span<const AeadOp> ops) {
    if (ops.front().key->suite == Suite::kChaCha20Poly1305) return run_chacha(ops, IMB_DIR_DECRYPT);
    alignas(16) uint8_t tag[kAeadTagBytes];
    const bool aes128 = ops.front().key->suite == Suite::kAes128Gcm;
    run_gcm(aes128 ? manager_->gcm128_dec : manager_->gcm256_dec, ops,
            [&tag](const AeadOp&) { return tag; });
  }

 private:
  explicit RawAead(IpsecMbManager manager) : manager_(std::move(manager)) {}

  static constexpr size_t kAhead = 3;
  using GcmCall = decltype(IMB_MGR::gcm128_enc);

  /// The lines that prefetch() fetches, line by line: a loop with nothing else in it is faster so.
  static void fetch(const AeadOp& op) {
    constexpr size_t kLine = 64;
    constexpr size_t kRoundKeyLines = 3;
    constexpr size_t kPayloadAhead = 512;
    const auto lines = [](const uint8_t* from, const uint8_t* to) {
      for (; from < to; from += kLine) __asm__ volatile("prefetcht0 %0" : : "m"(*from));
    };
    lines(op.data, op.data + std::min(op.length + kAeadTagBytes, kPayloadAhead));
    const auto* key = reinterpret_cast<const uint8_t*>(op.key);
    const size_t blocks = std::min<size_t>(op.length / AeadKey::kBlock + 2, AeadKey::kHashPowers);
    lines(key, key + kRoundKeyLines * kLine);
    for (const size_t end : AeadKey::kPowersEnd)
      lines(key + (end - blocks * AeadKey::kBlock) / kLine * kLine, key + end);
  }

  /// Whatever stands before the payload: making a nonce is the product's work, not the floor's.
  static const uint8_t* nonce_of(const AeadOp& op) { return op.data - kAeadNonceBytes; }

  /// `tag_of(op)`: where its tag goes.
  template <typename TagOf>
  static void run_gcm(GcmCall call, std::span<const AeadOp> ops, TagOf tag_of) {
    gcm_context_data context;
    for (size_t i = 0; i < std::min(kAhead, ops.size()); ++i) fetch(ops[i]);
    for (size_t i = 0; i < ops.size(); ++i) {
      if (i + kAhead < ops.size()) fetch(ops[i + kAhead]);
      const AeadOp& op = ops[i];
      call(&op.key->gcm, &context, op.data, op.data, op.length, nonce_of(op), nullptr, 0,
           tag_of(op), kAeadTagBytes);
    }
  }

  void run_chacha(std::span<const AeadOp> ops, IMB_CIPHER_DIRECTION direction) {
    IMB_MGR* manager = manager_.get();
    const bool seals = direction == IMB_DIR_ENCRYPT;
    tags_.resize(std::max(tags_.size(), ops.size() * kAeadTagBytes));
    for (size_t i = 0; i < std::min(kAhead, ops.size()); ++i) fetch(ops[i]);
    for (size_t i = 0; i < ops.size(); ++i) {
      if (i + kAhead < ops.size()) fetch(ops[i + kAhead]);
      const AeadOp& op = ops[i];
      IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
      job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
      job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
      job->cipher_direction = direction;
      job->chain_order = seals ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
      job->enc_keys = job->dec_keys = op.key->chacha;
      job->key_len_in_bytes = kAeadKeyBytes;
      job->src = job->dst = op.data;
      job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
      job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = op.length;
      job->iv = nonce_of(op);
      job->iv_len_in_bytes = kAeadNonceBytes;
      job->u.CHACHA20_POLY1305.aad = nullptr;
      job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
      job->auth_tag_output = seals ? op.data + op.length : &tags_[i * kAeadTagBytes];
      job->auth_tag_output_len_in_bytes = kAeadTagBytes;
      IMB_SUBMIT_JOB_NOCHECK(manager);
    }
    while (IMB_FLUSH_JOB(manager) != nullptr) {
    }
  }

  IpsecMbManager manager_;
  std::vector<uint8_t> tags_;
};

}  // namespace jvpn::perf
