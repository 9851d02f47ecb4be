#include "common/message_mac.h"

#include <intel-ipsec-mb.h>

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

Mac MessageMac::compute(const MacKey& key, std::span<const uint8_t> message) {
  alignas(16) Mac mac{};
  IMB_JOB* job = IMB_GET_NEXT_JOB(manager_.get());
  job->cipher_mode = IMB_CIPHER_NULL;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->hash_alg = IMB_AUTH_AES_CMAC;
  job->chain_order = IMB_ORDER_HASH_CIPHER;
  job->src = message.empty() ? mac.data() : message.data();
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = message.size();
  job->u.CMAC._key_expanded = key.expanded;
  job->u.CMAC._skey1 = key.subkey1;
  job->u.CMAC._skey2 = key.subkey2;
  job->auth_tag_output = mac.data();
  job->auth_tag_output_len_in_bytes = kMacBytes;
  if (IMB_SUBMIT_JOB_NOCHECK(manager_.get()) == nullptr) IMB_FLUSH_JOB(manager_.get());
  return mac;
}

}  // namespace jvpn
