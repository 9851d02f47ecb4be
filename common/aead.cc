#include "common/aead.h"

#include <algorithm>

#include "common/ipsec_mb.h"
#include "common/secret.h"

namespace jvpn {
namespace {

static_assert(kMaxBurst < IMB_MAX_JOBS, "the manager's ring holds the jobs of a burst");

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

// True when nothing is left in the manager: jobs come back in their order, so this one is done.
bool submit_chacha(IMB_MGR* manager, IMB_CIPHER_DIRECTION direction, const ChachaJob& job) {
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
  return IMB_SUBMIT_JOB_NOCHECK(manager) == slot;
}

void flush(IMB_MGR* manager) {
  while (IMB_FLUSH_JOB(manager) != nullptr) {
  }
}

}  // namespace

Result<Aead> Aead::create(const IpsecMb& library) {
  auto manager = create_ipsec_mb_manager(library);
  if (!manager) return manager.error();
  return Aead(*std::move(manager));
}

void Aead::expand(Suite suite, const RawKey& key, AeadKey& out) {
  expand(suite, std::span(key).first<kAeadKeyBytes>(), out);
  std::ranges::copy(iv_of(key), out.iv);
}

void Aead::expand(Suite suite, std::span<const uint8_t, kAeadKeyBytes> key, AeadKey& out) {
  out.suite = suite;
  std::fill(std::begin(out.unused), std::end(out.unused), uint8_t{0});
  std::fill(std::begin(out.iv), std::end(out.iv), uint8_t{0});
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

bool Aead::submit_job(IMB_CIPHER_DIRECTION direction, const AeadKey& key, const uint8_t* nonce,
                      uint8_t* data, uint32_t length, uint8_t* tag) {
  return submit_chacha(manager_.get(), direction, {key, nonce, {}, data, length, tag});
}

void Aead::finish_jobs() {
  flush(manager_.get());
}

/// `tag_of(i)`: where packet i's tag goes.
template <bool kSeals, typename TagOf>
void Aead::work(std::span<const AeadOp> burst, TagOf tag_of) {
  NonceBurst nonces;
  for (size_t i = 0; i < burst.size(); ++i)
    nonces[i].set(HeaderIv(*burst[i].key).with_header_of(burst[i].data));
  nonces.set_count(burst.size());
  AeadRun<kSeals> run(*this);
  const size_t ahead = prefetch_ahead(burst.front().length);
  for (size_t i = 0; i < burst.size(); ++i) {
    if (i + ahead < burst.size()) prefetch(burst[i + ahead]);
    run.work(burst[i], nonces[i], tag_of(i));
  }
  run.finish();
}

void Aead::seal(std::span<AeadOp> burst) {
  while (!burst.empty()) {
    const std::span<AeadOp> part = burst.first(std::min(burst.size(), kMaxBurst));
    work<true>(part, [&](size_t i) { return part[i].data + part[i].length; });
    burst = burst.subspan(part.size());
  }
}

void Aead::open(std::span<AeadOp> burst) {
  while (!burst.empty()) {
    const std::span<AeadOp> part = burst.first(std::min(burst.size(), kMaxBurst));
    Burst<AeadTag> tags;
    work<false>(part, [&](size_t i) { return tags[i].data(); });
    for (size_t i = 0; i < part.size(); ++i) {
      AeadOp& op = part[i];
      op.ok = tags_equal(tags[i].data(), op.data + op.length);
      if (!op.ok) wipe(op.data, op.length);
    }
    wipe(tags.begin(), part.size() * sizeof(AeadTag));
    burst = burst.subspan(part.size());
  }
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
    case IMB_ARCH_SSE:
      return "SSE";
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)
    case IMB_ARCH_AVX:
      return "AVX";
    case IMB_ARCH_NOAESNI:
      return "no AES-NI (emulated)";
#endif
    default:
      return "unknown";
  }
}

}  // namespace jvpn
