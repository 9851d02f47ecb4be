// The gateway's side of an inquiry: somebody who has a session elsewhere in the cluster asks
// whether this gateway is there and would take it (docs/PROTOCOL.md, inquiry). Judged like an
// initiation, cheapest check first, within a rate of its own, so that questions keep no handshake
// out; answered from what there is, and nothing comes of it. Control thread only.
#pragma once

#include "common/token_bucket.h"
#include "control/protocol/acceptor.h"
#include "control/protocol/cookie_holders.h"
#include "control/protocol/cookies.h"
#include "control/session/reporter.h"

namespace jvpn::protocol {

class InquiryResponder {
 public:
  InquiryResponder(Context& context, const Identity& self, Cookies& cookies, Reporter& reporter,
                   const Acceptor& acceptor, Millis now);

  void on_inquiry(Millis now, const Path& from, std::span<const uint8_t> datagram,
                  std::optional<MacVerdict> known);

 private:
  void answer(Millis now, const Path& from, const wire::Initiation& message);
  wire::ReadinessValue value_for(Millis now, PeerId id, const Path& from);
  wire::Availability availability() const;
  uint16_t ask_again_s() const;
  void refuse(Millis now, const Path& from, Reason reason, Detail detail);
  void throttle(Millis now, const Path& from);

  Context& context_;
  const Identity& self_;
  Cookies& cookies_;
  Reporter& reporter_;
  const Acceptor& acceptor_;
  const uint32_t rate_;
  TokenBucket anybody_;
  CookieHolders holders_;
};

}  // namespace jvpn::protocol
