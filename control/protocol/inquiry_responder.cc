#include "control/protocol/inquiry_responder.h"

#include <algorithm>

#include "common/limits.h"
#include "common/secret.h"
#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {
namespace {

constexpr uint32_t kShare = 4;        // of the handshakes' rate: an inquiry costs a quarter of one
constexpr uint32_t kPathsEach = 2;    // by which a peer asks
constexpr uint32_t kLeastWaitS = 15;  // seconds between a peer's inquiries by one path
constexpr uint32_t kMostWaitS = 600;

}  // namespace

InquiryResponder::InquiryResponder(Context& context, const Identity& self, Cookies& cookies,
                                   Reporter& reporter, const Acceptor& acceptor, Millis now)
    : context_(context),
      self_(self),
      cookies_(cookies),
      reporter_(reporter),
      acceptor_(acceptor),
      rate_(std::max(context.config.handshakes_per_s / kShare, 1U)),
      anybody_(rate_, now),
      holders_(context, rate_, now) {}

void InquiryResponder::refuse(Millis now, const Path& from, Reason reason, Detail detail) {
  refuse_handshake(context_, reporter_, now, from, reason, detail);
}

void InquiryResponder::throttle(Millis now, const Path& from) {
  ++context_.counters.inquiries_throttled;
  reporter_.emit_security(now, Reason::kSecAbuseControlPlane, Detail::kThrottled, kNoPeer, {},
                          from);
}

void InquiryResponder::on_inquiry(Millis now, const Path& from, std::span<const uint8_t> datagram,
                                  std::optional<MacVerdict> known) {
  const auto message = parse_initiation(datagram, wire::MessageType::kInquiry);
  if (!message) return refuse(now, from, Reason::kSecAbuseControlPlane, Detail::kNone);
  const MacVerdict verdict = cookies_.check(from, datagram, known);
  if (verdict == MacVerdict::kBad)
    return refuse(now, from, Reason::kHandshakeFail, Detail::kAuthentication);
  const auto& suites = context_.config.suites;  // a claim of another one would be refused
  if (std::ranges::find(suites, Suite{message->suite}) == suites.end())
    return refuse(now, from, Reason::kHandshakeFail, Detail::kPolicyRefused);
  const bool verified = verdict == MacVerdict::kVerified;
  if (verified && holders_.repeats(*message)) return throttle(now, from);
  if (anybody_.take(now)) return answer(now, from, *message);
  if (!verified) {
    ++context_.counters.inquiries_throttled;
    return cookies_.send_reply(now, from, *message);
  }
  if (!holders_.admit(now, from.remote.address)) return throttle(now, from);
  answer(now, from, *message);
}

/// Whoever repeats an inquiry costs us the same work again, within the rate, and gets what it can't
/// read.
void InquiryResponder::answer(Millis now, const Path& from, const wire::Initiation& message) {
  const SecretKey unused;
  const auto inquiry = read_initiation(self_, unused, message);
  if (!inquiry) return refuse(now, from, Reason::kHandshakeFail, Detail::kAuthentication);
  const auto id = context_.table.peer_with(inquiry->noise.remote_static());
  if (!id) return refuse(now, from, Reason::kHandshakeFail, Detail::kUnknownKey);
  if (inquiry->fields != FieldsVerdict::kTaken)
    return refuse(now, from, Reason::kHandshakeFail, Detail::kUnknownField);
  const auto key = readiness_key(inquiry->noise, context_.psk_of(*id));
  if (!key) return;
  ++context_.counters.inquiries_answered;
  std::array<uint8_t, sizeof wire::Readiness::nonce> nonce{};
  context_.environment.random(nonce);
  wire::ReadinessValue value = value_for(now, *id, from);
  const wire::Readiness reply =
      seal_readiness(context_.aead, *key, value, {message.sender, message.mac1}, nonce);
  wipe(&value, sizeof value);
  context_.effects.send(from, {reinterpret_cast<const uint8_t*>(&reply), sizeof reply});
}

wire::ReadinessValue InquiryResponder::value_for(Millis now, PeerId id, const Path& from) {
  wire::ReadinessValue value{};
  value.availability = availability();
  value.ask_again_s = ask_again_s();
  value.cookie = cookies_.issue(now, from);
  value.freshness = acceptor_.freshness_of(id);
  return value;
}

wire::Availability InquiryResponder::availability() const {
  if (context_.draining) return wire::Availability::kDraining;
  if (context_.store.ownership().silent()) return wire::Availability::kStoreUnavailable;
  return wire::Availability::kTakesSessions;
}

/// The inquiries of all peers stay within the rate, unless kMostWaitS is too short for that.
uint16_t InquiryResponder::ask_again_s() const {
  const uint64_t all = uint64_t{context_.table.size()} * kPathsEach / rate_;
  return static_cast<uint16_t>(std::clamp<uint64_t>(all, kLeastWaitS, kMostWaitS));
}

}  // namespace jvpn::protocol
