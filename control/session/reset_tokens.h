// What each receiver index of ours proves to whoever was told (docs/PROTOCOL.md, reset). Made of
// the static private key and the clock alone: a node that has lost all else still makes the same.
// Control thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/message_mac.h"
#include "common/noise.h"
#include "common/types.h"
#include "common/wire.h"

namespace jvpn::session {

/// The period of 256 s that a time belongs to. An index is used for kKeyRefuseAfterMs at most, so
/// it was given out in the present period or in the one before; a token of earlier ones, when the
/// index may have been another session's, is good for nothing.
uint64_t reset_period(const wire::Timestamp& at);

class ResetTokens {
 public:
  /// `mac` outlives this object. `node`: of several with one key, each has tokens of its own.
  ResetTokens(MessageMac& mac, const SecretKey& private_key, std::string_view node = {});
  ~ResetTokens() { wipe(&key_, sizeof key_); }
  ResetTokens(const ResetTokens&) = delete;
  ResetTokens& operator=(const ResetTokens&) = delete;

  /// Of an index that is, or was, given out in that period.
  wire::ResetToken of(ReceiverIndex index, uint64_t period) const;

 private:
  MessageMac& mac_;
  MacKey key_{};
};

}  // namespace jvpn::session
