// One AEAD test case, run through every call of common/aead.h that can take it.
#pragma once

#include <algorithm>

#include "common/aead.h"
#include "common/wire.h"
#include "tests/support/rooms.h"
#include "tests/vectors/vector_file.h"

namespace jvpn::test {

struct AeadCase {
  Suite suite{};
  Bytes key, nonce, aad, plaintext, ciphertext, tag;

  /// False: sizes that common/aead.h has no parameter for.
  bool supported() const {
    return key.size() == key_bytes(suite) && nonce.size() == kAeadNonceBytes &&
           tag.size() == kAeadTagBytes;
  }
};

class AeadCaseRunner {
 public:
  explicit AeadCaseRunner(Aead& aead) : aead_(aead) {}

  /// The plaintext seals to exactly ciphertext and tag.
  bool seals(const AeadCase& c) {
    const AeadKey key = expanded(c);
    Bytes data = c.plaintext;
    std::array<uint8_t, kAeadTagBytes> tag;
    aead_.seal_one(key, array_of<kAeadNonceBytes>(c.nonce), c.aad, data, tag);
    if (data != c.ciphertext || !std::ranges::equal(tag, c.tag)) return false;
    if (!c.aad.empty()) return true;
    Bytes message = message_of(c, c.plaintext, Bytes(kAeadTagBytes));
    AeadOp op = operation(key, message);
    aead_.seal({&op, 1});
    return message == message_of(c, c.ciphertext, c.tag);
  }

  /// Ciphertext and tag open to exactly the plaintext.
  bool opens(const AeadCase& c) { return open_by_every_call(c, true); }

  /// Every call refuses ciphertext and tag.
  bool refuses(const AeadCase& c) { return open_by_every_call(c, false); }

 private:
  static constexpr size_t kHeader = sizeof(wire::TransportHeader);

  static Bytes joined(Bytes head, const Bytes& tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
  }

  AeadKey expanded(const AeadCase& c) {
    AeadKey key;
    aead_.expand(c.suite, array_of<kAeadKeyBytes>(c.key), key);
    return key;
  }

  /// Without an IV the nonce is what a transport message's header ends with.
  static Bytes message_of(const AeadCase& c, const Bytes& body, const Bytes& tag) {
    return joined(joined(joined(Bytes(kHeader - kAeadNonceBytes), c.nonce), body), tag);
  }
  static AeadOp operation(const AeadKey& key, Bytes& message) {
    return {&key, message.data() + kHeader,
            static_cast<uint32_t>(message.size() - wire::kTransportOverhead)};
  }

  bool open_by_every_call(const AeadCase& c, bool expected) {
    const AeadKey key = expanded(c);
    Bytes data = c.ciphertext;
    const bool opened = aead_.open_one(key, array_of<kAeadNonceBytes>(c.nonce), c.aad, data,
                                       array_of<kAeadTagBytes>(c.tag));
    if (opened != expected || (opened && data != c.plaintext)) return false;
    if (!c.aad.empty()) return true;
    Bytes message = message_of(c, c.ciphertext, c.tag);
    AeadOp op = operation(key, message);
    aead_.open({&op, 1});
    message.resize(kHeader + op.length);
    return op.ok == expected && (!op.ok || message == message_of(c, c.plaintext, {}));
  }

  Aead& aead_;
};

}  // namespace jvpn::test
