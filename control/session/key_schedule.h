// From one handshake's Noise keys to the four keys of a key generation (docs/PROTOCOL.md, keys).
#pragma once

#include <cstdint>

#include "common/aead.h"
#include "common/message_mac.h"
#include "common/noise.h"
#include "common/secret.h"
#include "common/types.h"
#include "common/wire.h"

namespace jvpn::session {

/// Keys of one direction. Data and control have counters of their own, hence keys of their own.
struct DirectionKeys {
  Secret<kRawKeyBytes> traffic;
  Secret<kRawKeyBytes> control;
  Secret<16> counters;  ///< of counter_mask()
};

/// Keys of one generation, from this end's view.
struct SessionKeys {
  DirectionKeys send;
  DirectionKeys receive;
};

/// HKDF-Expand of each Noise key with the labels "JVP/1 traffic" and "JVP/1 control"; with " iv"
/// behind them, for each key's IV; with "JVP/1 counters" for the masks.
SessionKeys derive_session_keys(const NoiseKeys& noise, bool initiator);

/// XORed into the counters of one kind of message under a receiver index, so that what a path shows
/// tells nothing of another path's lane or beginning (docs/PROTOCOL.md, masks).
uint64_t counter_mask(MessageMac& mac, const DirectionKeys& keys, wire::MessageType type,
                      ReceiverIndex index);

/// Both masks of an index, for less than twice the price.
struct CounterMasks {
  uint64_t data = 0;
  uint64_t control = 0;
};
CounterMasks counter_masks(MessageMac& mac, const DirectionKeys& keys, ReceiverIndex index);

}  // namespace jvpn::session
