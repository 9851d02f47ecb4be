#include "common/aead.h"

#include <algorithm>

#include "common/ipsec_mb.h"
#include "common/secret.h"

namespace jvpn {
namespace {

// Jobs in flight at once; far under the manager's ring of IMB_MAX_JOBS.
constexpr size_t kChunk = 64;

struct GcmScratch {
  GcmScratch() = default;
  GcmScratch(const GcmScratch&) = delete;
  GcmScratch& operator=(const GcmScratch&) = delete;
  ~GcmScratch() { wipe(this, sizeof *this); }

  gcm_context_data context;
  alignas(16) uint8_t tag[kAeadTagBytes];
};

void gcm_seal(IMB_MGR* manager, const AeadKey& key, const Nonce& nonce,
              std::span<const uint8_t> aad, uint8_t* data, size_t length, uint8_t* tag,
              gcm_context_data& context) {
  if (key.suite == Suite::kAes128Gcm) {
    IMB_AES128_GCM_ENC(manager, &key.gcm, &context, data, data, length, nonce.data(), aad.data(),
                       aad.size(), tag, kAeadTagBytes);
  } else {
    IMB_AES256_GCM_ENC(manager, &key.gcm, &context, data, data, length, nonce.data(), aad.data(),
                       aad.size(), tag, kAeadTagBytes);
  }
}

bool gcm_open(IMB_MGR* manager, const AeadKey& key, const Nonce& nonce,
              std::span<const uint8_t> aad, uint8_t* data, size_t length, const uint8_t* tag,
              GcmScratch& scratch) {
  if (key.suite == Suite::kAes128Gcm) {
    IMB_AES128_GCM_DEC(manager, &key.gcm, &scratch.context, data, data, length, nonce.data(),
                       aad.data(), aad.size(), scratch.tag, kAeadTagBytes);
  } else {
    IMB_AES256_GCM_DEC(manager, &key.gcm, &scratch.context, data, data, length, nonce.data(),
                       aad.data(), aad.size(), scratch.tag, kAeadTagBytes);
  }
  if (tags_equal(scratch.tag, tag)) [[likely]]
    return true;
  wipe(data, length);
  return false;
}

struct ChachaJob {
  const AeadKey& key;
  const uint8_t* nonce;
  std::span<const uint8_t> aad;
  uint8_t* data;
  size_t length;
  uint8_t* tag;
};

void submit_chacha(IMB_MGR* manager, IMB_CIPHER_DIRECTION direction, const ChachaJob& job) {
  IMB_JOB* slot = IMB_GET_NEXT_JOB(manager);
  slot->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
  slot->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
  slot->cipher_direction = direction;
  slot->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  slot->enc_keys = job.key.chacha;
  slot->dec_keys = job.key.chacha;
  slot->key_len_in_bytes = kAeadKeyBytes;
  slot->src = job.data;
  slot->dst = job.data;
  slot->cipher_start_src_offset_in_bytes = 0;
  slot->msg_len_to_cipher_in_bytes = job.length;
  slot->hash_start_src_offset_in_bytes = 0;
  slot->msg_len_to_hash_in_bytes = job.length;
  slot->iv = job.nonce;
  slot->iv_len_in_bytes = kAeadNonceBytes;
  slot->u.CHACHA20_POLY1305.aad = job.aad.data();
  slot->u.CHACHA20_POLY1305.aad_len_in_bytes = job.aad.size();
  slot->auth_tag_output = job.tag;
  slot->auth_tag_output_len_in_bytes = kAeadTagBytes;
  IMB_SUBMIT_JOB_NOCHECK(manager);  // gives back a finished one; all are, after a flush
}

void flush(IMB_MGR* manager) {
  while (IMB_FLUSH_JOB(manager) != nullptr) {
  }
}

using GcmCall = decltype(IMB_MGR::gcm128_enc);

/// The bursts' GCM call, straight from the loop: what stands between two calls costs more than it
/// should, since IPsec-MB overlaps them.
void call_gcm(GcmCall call, const AeadOp& op, gcm_context_data& context, uint8_t* tag) {
  call(&op.key->gcm, &context, op.data, op.data, op.length, op.nonce, nullptr, 0, tag,
       kAeadTagBytes);
}

void seal_chunk(IMB_MGR* manager, std::span<AeadOp> chunk, size_t ahead,
                gcm_context_data& context) {
  const GcmCall gcm128 = manager->gcm128_enc;
  const GcmCall gcm256 = manager->gcm256_enc;
  bool jobs = false;
  for (size_t i = 0; i < chunk.size(); ++i) {
    if (i + ahead < chunk.size()) prefetch(chunk[i + ahead]);
    AeadOp& op = chunk[i];
    if (op.key->suite == Suite::kChaCha20Poly1305) {
      submit_chacha(manager, IMB_DIR_ENCRYPT,
                    {*op.key, op.nonce, {}, op.data, op.length, op.data + op.length});
      jobs = true;
    } else {
      const GcmCall call = op.key->suite == Suite::kAes128Gcm ? gcm128 : gcm256;
      call_gcm(call, op, context, op.data + op.length);
    }
  }
  if (jobs) flush(manager);
}

void open_chunk(IMB_MGR* manager, std::span<AeadOp> chunk, size_t ahead, AeadTag* tags,
                gcm_context_data& context) {
  const GcmCall gcm128 = manager->gcm128_dec;
  const GcmCall gcm256 = manager->gcm256_dec;
  bool jobs = false;
  for (size_t i = 0; i < chunk.size(); ++i) {
    if (i + ahead < chunk.size()) prefetch(chunk[i + ahead]);
    const AeadOp& op = chunk[i];
    if (op.key->suite == Suite::kChaCha20Poly1305) {
      submit_chacha(manager, IMB_DIR_DECRYPT,
                    {*op.key, op.nonce, {}, op.data, op.length, tags[i].data()});
      jobs = true;
    } else {
      const GcmCall call = op.key->suite == Suite::kAes128Gcm ? gcm128 : gcm256;
      call_gcm(call, op, context, tags[i].data());
    }
  }
  if (jobs) flush(manager);
}

}  // namespace

void Aead::FreeManager::operator()(IMB_MGR* manager) const {
  free_mb_mgr(manager);
}

Result<Aead> Aead::create() {
  auto manager = create_ipsec_mb_manager();
  if (!manager) return manager.error();
  return Aead(*manager);
}

void Aead::expand(Suite suite, std::span<const uint8_t, kAeadKeyBytes> key, AeadKey& out) {
  out.suite = suite;
  switch (suite) {
    case Suite::kAes128Gcm:
      IMB_AES128_GCM_PRE(manager_.get(), key.data(), &out.gcm);
      return;
    case Suite::kAes256Gcm:
      IMB_AES256_GCM_PRE(manager_.get(), key.data(), &out.gcm);
      return;
    case Suite::kChaCha20Poly1305:
      std::fill(std::begin(out.chacha), std::end(out.chacha), uint8_t{0});
      std::copy(key.begin(), key.end(), out.chacha);
      return;
  }
}

void Aead::seal(std::span<AeadOp> burst) {
  GcmScratch scratch;
  for (; !burst.empty(); burst = burst.subspan(std::min(burst.size(), kChunk)))
    seal_chunk(manager_.get(), burst.first(std::min(burst.size(), kChunk)), ahead_,
               scratch.context);
}

void Aead::open(std::span<AeadOp> burst, AeadTag* tags) {
  GcmScratch scratch;
  while (!burst.empty()) {
    const size_t count = std::min(burst.size(), kChunk);
    open_chunk(manager_.get(), burst.first(count), ahead_, tags, scratch.context);
    burst = burst.subspan(count);
    tags += count;
  }
}

void Aead::open(std::span<AeadOp> burst) {
  alignas(64) std::array<AeadTag, kChunk> tags;
  while (!burst.empty()) {
    const std::span<AeadOp> chunk = burst.first(std::min(burst.size(), kChunk));
    open(chunk, tags.data());
    for (size_t i = 0; i < chunk.size(); ++i) {
      AeadOp& op = chunk[i];
      op.ok = tags_equal(tags[i].data(), op.data + op.length);
      if (!op.ok) wipe(op.data, op.length);
    }
    burst = burst.subspan(chunk.size());
  }
  wipe(tags.data(), sizeof tags);
}

void Aead::seal_one(const AeadKey& key, const Nonce& nonce, std::span<const uint8_t> aad,
                    std::span<uint8_t> data, std::span<uint8_t, kAeadTagBytes> tag) {
  if (key.suite == Suite::kChaCha20Poly1305) {
    submit_chacha(manager_.get(), IMB_DIR_ENCRYPT,
                  {key, nonce.data(), aad, data.data(), data.size(), tag.data()});
    flush(manager_.get());
    return;
  }
  GcmScratch scratch;
  gcm_seal(manager_.get(), key, nonce, aad, data.data(), data.size(), tag.data(), scratch.context);
}

bool Aead::open_one(const AeadKey& key, const Nonce& nonce, std::span<const uint8_t> aad,
                    std::span<uint8_t> data, std::span<const uint8_t, kAeadTagBytes> tag) {
  GcmScratch scratch;
  if (key.suite != Suite::kChaCha20Poly1305)
    return gcm_open(manager_.get(), key, nonce, aad, data.data(), data.size(), tag.data(), scratch);
  submit_chacha(manager_.get(), IMB_DIR_DECRYPT,
                {key, nonce.data(), aad, data.data(), data.size(), scratch.tag});
  flush(manager_.get());
  if (tags_equal(scratch.tag, tag.data())) return true;
  wipe(data.data(), data.size());
  return false;
}

const char* Aead::architecture() const {
  const bool vaes = (manager_->features & IMB_FEATURE_VAES) != 0;
  switch (manager_->used_arch) {
    case IMB_ARCH_AVX512:
      return vaes ? "AVX512+VAES" : "AVX512";
    case IMB_ARCH_AVX2:
      return vaes ? "AVX2+VAES" : "AVX2";
    case IMB_ARCH_AVX:
      return "AVX";
    case IMB_ARCH_SSE:
      return "SSE";
    case IMB_ARCH_NOAESNI:
      return "no AES-NI (emulated)";
    default:
      return "unknown";
  }
}

}  // namespace jvpn
