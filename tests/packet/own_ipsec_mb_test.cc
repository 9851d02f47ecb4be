// Each worker's copy of IPsec-MB: equal in what it does, and in no place the same.
#include "dataplane/own_ipsec_mb.h"

#include <array>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "common/aead.h"
#include "common/wire.h"
#include "tests/support/must.h"

namespace jvpn::test {
namespace {

constexpr Suite kEverySuite[] = {Suite::kAes128Gcm, Suite::kAes256Gcm, Suite::kChaCha20Poly1305};

std::vector<uint8_t> sealed_by(const IpsecMb& library, Suite suite) {
  Aead aead = must(Aead::create(library));
  RawKey raw{};
  std::iota(raw.begin(), raw.end(), uint8_t{1});
  AeadKey key;
  aead.expand(suite, raw, key);
  std::vector<uint8_t> packet(sizeof(wire::TransportHeader) + 100 + kAeadTagBytes);
  AeadOp op{&key, packet.data() + sizeof(wire::TransportHeader), 100};
  aead.seal({&op, 1});
  return packet;
}

TEST(OwnIpsecMb, SealsAsTheLinkedCopyDoes) {
  const IpsecMb own = must(own_ipsec_mb());
  for (const Suite suite : kEverySuite) EXPECT_EQ(sealed_by(own, suite), sealed_by({}, suite));
}

// Code refers to the library's variables by their distance, so other code means other variables.
TEST(OwnIpsecMb, NoTwoWorkersRunTheSameCode) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers refuse RTLD_DEEPBIND: copies share code there";
#endif
  const IpsecMb first = must(own_ipsec_mb());
  const IpsecMb second = must(own_ipsec_mb());
  std::set<const void*> code;
  for (const IpsecMb& library : {IpsecMb{}, first, second}) {
    const IpsecMbManager manager = must(create_ipsec_mb_manager(library));
    code.insert(reinterpret_cast<const void*>(manager->gcm128_enc));
    code.insert(reinterpret_cast<const void*>(manager->gcm256_dec));
    code.insert(reinterpret_cast<const void*>(manager->submit_job_nocheck));
  }
  EXPECT_EQ(code.size(), 9U);
}

TEST(OwnIpsecMb, LivesAsLongAsItsManager) {
  IpsecMbManager manager = must(create_ipsec_mb_manager(must(own_ipsec_mb())));
  EXPECT_EQ(imb_get_errno(manager.get()), 0);
  gcm_key_data key;
  const RawKey raw{};
  IMB_AES128_GCM_PRE(manager.get(), raw.data(), &key);
  manager.reset();
}

}  // namespace
}  // namespace jvpn::test
