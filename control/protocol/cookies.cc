#include "control/protocol/cookies.h"

#include "common/limits.h"
#include "common/secret.h"

namespace jvpn::protocol {

Cookies::Cookies(Context& context, const PublicKey& own_key, Millis now)
    : context_(context), own_macs_(ResponderMacKeys::derive(context.mac, own_key)) {
  secrets_.label = own_macs_.cookie_label.bytes();
  rotate(now);
  rotate(now);
}

Cookies::~Cookies() {
  wipe(&secrets_, sizeof secrets_);
  wipe(&own_macs_.mac1, sizeof own_macs_.mac1);
}

MacVerdict Cookies::check(const Path& from, std::span<const uint8_t> datagram,
                          std::optional<MacVerdict> known) {
  if (known) return *known;
  return check_macs(context_.mac, own_macs_.mac1, secrets_, from.remote, datagram);
}

void Cookies::send_reply(Millis now, const Path& to, const wire::Initiation& message) {
  ++context_.counters.handshakes_throttled;
  ++context_.counters.cookies_sent;
  Mac cookie = issue(now, to);
  send_sealed(to, wire::MessageType::kCookieReply, own_macs_.cookie_label, cookie, message);
  wipe(&cookie, sizeof cookie);
}

void Cookies::note_use(Millis now, const CookieUse& used) {
  context_.counters.handshakes_throttled += used.sent + used.refused;
  context_.counters.cookies_sent += used.sent;
  if (used.sent != 0) note_issued(now);
}

void Cookies::note_issued(Millis now) {
  rotations_left_ = 2;
  if (rotate_at_ == kNever) rotate_at_ = now + Millis{kCookieSecretMs};
}

Mac Cookies::issue(Millis now, const Path& to) {
  note_issued(now);
  return cookie_for(context_.mac, secrets_.current, to.remote);
}

void Cookies::send_sealed(const Path& to, wire::MessageType type, const Secret<32>& key,
                          const std::array<uint8_t, 16>& value, const wire::Initiation& message) {
  std::array<uint8_t, sizeof wire::SealedReply::nonce> nonce{};
  context_.environment.random(nonce);
  const wire::SealedReply reply =
      seal_reply(context_.aead, type, key, value, {message.sender, message.mac1}, nonce);
  context_.effects.send(to, {reinterpret_cast<const uint8_t*>(&reply), sizeof reply});
}

void Cookies::serve(Millis now) {
  if (now >= rotate_at_) rotate(now);
}

/// A new secret; the old one stays valid for one more period. Goes on only while cookies may be
/// out.
void Cookies::rotate(Millis now) {
  Secret<16> fresh_secret;
  context_.environment.random(fresh_secret.span());
  secrets_.previous = secrets_.current;
  context_.mac.expand(fresh_secret.span(), secrets_.current);
  ++generation_;
  if (rotations_left_ != 0) --rotations_left_;
  rotate_at_ = rotations_left_ == 0 ? kNever : now + Millis{kCookieSecretMs};
}

}  // namespace jvpn::protocol
