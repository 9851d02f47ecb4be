// A SessionRig for handshakes: this end's key pair, and the parts that dial.
#pragma once

#include "control/protocol/dialer.h"
#include "tests/support/session_rig.h"

namespace jvpn::test {

class HandshakeRig : public SessionRig {
 protected:
  HandshakeRig() {
    remote_secret.bytes().fill(9);
    config.peers[0].public_key = public_key_of(remote_secret);
    EXPECT_TRUE(table.add_keys(config.peers, self.public_key).ok());
  }
  static SecretKey secret_of(uint8_t byte) {
    SecretKey secret;
    secret.bytes().fill(byte);
    return secret;
  }
  /// The latest datagram, as the message that it has to be.
  template <typename Message>
  Message sent() const {
    Message message{};
    const auto datagram = effects.datagram(latest<Send>());
    EXPECT_EQ(datagram.size(), sizeof message);
    if (datagram.size() == sizeof message) {
      __builtin_memcpy(&message, datagram.data(), sizeof message);
    }
    return message;
  }

  SecretKey remote_secret;
  Identity self{secret_of(5), public_key_of(secret_of(5)), {}};
  Cookies cookies{context, self.public_key, now};
  Liveness liveness{context, lifecycle, bindings, channel};
  Dialer dialer{context, self, cookies, reporter, bindings, lifecycle, liveness};
};

}  // namespace jvpn::test
