#include "common/message_mac.h"

#include <algorithm>

#include <intel-ipsec-mb.h>

#include "common/assert.h"
#include "common/ipsec_mb.h"

namespace jvpn {

Result<MessageMac> MessageMac::create(const IpsecMb& library) {
  auto manager = create_ipsec_mb_manager(library);
  if (!manager) return manager.error();
  return MessageMac(*std::move(manager));
}

void MessageMac::expand(std::span<const uint8_t, 16> key, MacKey& out) {
  alignas(16) uint32_t decryption[4 * 15];
  IMB_AES_KEYEXP_128(manager_.get(), key.data(), out.expanded, decryption);
  IMB_AES_CMAC_SUBKEY_GEN_128(manager_.get(), out.expanded, out.subkey1, out.subkey2);
  wipe(decryption, sizeof decryption);
}

/// A message of one block is one call of the cipher, which takes a fifth of a job's time: CFB gives
/// the block cipher of its IV, XORed with zeros.
Mac MessageMac::compute_block(const MacKey& key, std::span<const uint8_t> message) {
  alignas(16) Mac block{};
  alignas(16) Mac mac{};
  std::ranges::copy(message, block.begin());
  const bool whole = message.size() == block.size();
  if (!whole) block[message.size()] = 0x80;
  const auto* subkey = reinterpret_cast<const uint8_t*>(whole ? key.subkey1 : key.subkey2);
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<uint8_t>(block[i] ^ subkey[i]);
  IMB_AES128_CFB_ONE(manager_.get(), mac.data(), mac.data(), block.data(), key.expanded,
                     mac.size());
  wipe(block.data(), block.size());  // tells the subkey
  return mac;
}

Mac MessageMac::compute(const MacKey& key, std::span<const uint8_t> message) {
  if (message.size() <= kMacBytes) return compute_block(key, message);
  alignas(16) Mac mac{};
  submit(key, message, mac);
  while (IMB_FLUSH_JOB(manager_.get()) != nullptr) {
  }
  return mac;
}

void MessageMac::compute(const MacKey& key, std::span<const std::span<const uint8_t>> messages,
                         std::span<Mac> out) {
  JVPN_DEBUG_ASSERT(messages.size() <= kMaxMacs && messages.size() <= out.size(),
                    "the library holds them all");
  for (size_t i = 0; i < messages.size(); ++i) submit(key, messages[i], out[i]);
  while (IMB_FLUSH_JOB(manager_.get()) != nullptr) {
  }
}

void MessageMac::submit(const MacKey& key, std::span<const uint8_t> message, Mac& out) {
  IMB_JOB* job = IMB_GET_NEXT_JOB(manager_.get());
  job->cipher_mode = IMB_CIPHER_NULL;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->hash_alg = IMB_AUTH_AES_CMAC;
  job->chain_order = IMB_ORDER_HASH_CIPHER;
  job->src = message.data();
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = message.size();
  job->u.CMAC._key_expanded = key.expanded;
  job->u.CMAC._skey1 = key.subkey1;
  job->u.CMAC._skey2 = key.subkey2;
  job->auth_tag_output = out.data();
  job->auth_tag_output_len_in_bytes = kMacBytes;
  static_cast<void>(IMB_SUBMIT_JOB_NOCHECK(manager_.get()));  // one of those before may be done
}

}  // namespace jvpn
