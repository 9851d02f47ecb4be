// Handshakes: an engine that is called, and calls, meets a peer that has the right keys and says
// what the input makes of every field. Sealed with the product's own code, so the fields arrive.
#include "common/handshake_mac.h"
#include "control/protocol/handshake_messages.h"
#include "control/session/control_message.h"
#include "control/session/reset_tokens.h"
#include "tests/fuzz/engine_pair.h"
#include "tests/support/must.h"

namespace jvpn::fuzz {
namespace {

constexpr size_t kLiar = 0;  ///< whose keys the input has
constexpr size_t kTested = 1;
constexpr uint32_t kHandshakesPerSecond = 2;  ///< then it asks for cookies

template <typename Message>
std::span<uint8_t> bytes_of(Message& message) {
  return {reinterpret_cast<uint8_t*>(&message), sizeof message};
}

class Handshakes {
 public:
  explicit Handshakes(Draw& draw) : draw_(draw) {}

  void play() {
    constexpr int kMostSteps = 24;
    for (int i = 0; i < kMostSteps && !draw_.empty(); ++i) step();
    pair_.side(kTested).short_of_memory = false;
    pair_.end();
  }

 private:
  void step() {
    switch (draw_.below(10)) {
      case 0:
        return pass();
      case 1:
        pair_.side(kTested).short_of_memory = draw_.flip();
        return;
      case 2:
        return tested().dial(pair_.now, kPeer, Pair::path(kTested, draw_.below(kNetworks)));
      case 3:
      case 4:
        return answer();
      case 5:
        return send_cookie();
      case 6:
        return confirm();
      case 7:
        return send(draw_.bytes(sizeof(wire::Initiation)));
      case 8:
        return reset();
      default:
        return call();
    }
  }

  SessionEngine& tested() { return pair_.engine(kTested); }

  void pass() {
    pair_.now = pair_.now + Millis{draw_.number<uint16_t>()};
    tested().advance(pair_.now);
  }

  void send(std::span<const uint8_t> datagram) {
    std::optional<MacVerdict> verdict;
    if (draw_.below(8) == 0) verdict = MacVerdict{static_cast<uint8_t>(draw_.below(3))};
    const Path from = from_other_side(Pair::path(kLiar, draw_.below(kNetworks)));
    const Bytes copy(datagram.begin(), datagram.end());
    tested().on_handshake(pair_.now, from, copy, verdict);
  }
  /// Right MACs most of the time, then perhaps a spoilt byte.
  void seal_and_send(std::span<uint8_t> message) {
    ResponderMacKeys macs = ResponderMacKeys::derive(mac_, tested_key_);
    learn_cookie(macs);
    write_macs(mac_, macs.mac1, draw_.flip() ? &cookie_ : nullptr, message);
    constexpr size_t kMacs = sizeof(wire::Initiation) - offsetof(wire::Initiation, mac1);
    std::ranges::copy(message.last(kMacs).first(mac1_.size()), mac1_.begin());
    if (draw_.below(8) == 0) draw_.spoil(message);
    send(message);
  }

  /// When the latest thing that was said to us is one, for our latest message.
  void learn_cookie(const ResponderMacKeys& macs) {
    const auto& sent = pair_.side(kTested).sent;
    wire::SealedReply reply;
    if (sent.empty() || sent.back().bytes.size() != sizeof reply) return;
    std::memcpy(&reply, sent.back().bytes.data(), sizeof reply);
    if (const auto cookie = open_reply(aead_, macs.cookie_label, mac1_, reply)) cookie_ = *cookie;
  }

  /// Some calls are inquiries, which make nothing.
  void call() {
    constexpr uint8_t kLeastOfInquiries = 0xE0;
    const uint8_t chosen = draw_.number();
    const bool asks = chosen >= kLeastOfInquiries;
    const SecretKey ephemeral = secret_of(chosen);
    const Identity self = draw_.below(8) == 0 ? stranger_ : liar_;
    if (draw_.below(8) != 0) latest_ = next_timestamp(latest_, latest_);
    const Call call{self,
                    tested_key_,
                    Suite{static_cast<uint8_t>(1 + draw_.below(3))},
                    ReceiverIndex{draw_.number<uint32_t>()},
                    1,
                    ephemeral};
    wire::InitiationPayload payload = initiation_payload(call, {.timestamp = latest_});
    if (draw_.flip()) draw_.spoil(bytes_of(payload));
    wire::Initiation message;
    const auto type = asks ? wire::MessageType::kInquiry : wire::MessageType::kInitiation;
    if (!seal_initiation(call, payload, message, type)) return;
    const auto versions = versions_of_tested();
    const size_t sent = pair_.side(kTested).sent.size();
    seal_and_send(bytes_of(message));
    if (!asks) return;
    EXPECT_EQ(versions_of_tested(), versions);
    EXPECT_LE(pair_.side(kTested).sent.size(), sent + 1);
  }

  /// To the latest initiation of the tested engine.
  void answer() {
    const std::optional<wire::Initiation> asked = latest_call();
    if (!asked) return;
    auto initiation = read_initiation(liar_, secret_of(draw_.number()), *asked);
    EXPECT_TRUE(initiation.has_value()) << "a true initiation opens";
    wire::ResponsePayload payload{};
    payload.version = wire::kVersion;
    payload.suite = static_cast<uint8_t>(initiation->suite);
    payload.lanes = 1;
    payload.mtu = 1'400;
    payload.session_id.fill(draw_.number());
    payload.binding_version = 1;
    payload.clock_ms = pair_.now.value;
    for (uint32_t i = 0; i < wire::kSpareIndices; ++i) payload.spare_indices[i] = 100 + i;
    const ReceiverIndex sender{draw_.number<uint32_t>()};
    payload.reset_token = token_of(sender);
    for (size_t spoilt = draw_.below(4); spoilt > 0; --spoilt) draw_.spoil(bytes_of(payload));
    wire::Response message;
    if (write_response(*initiation, PresharedKey{}, sender, payload, message))
      seal_and_send(bytes_of(message));
  }

  void send_cookie() {
    const std::optional<wire::Initiation> asked = latest_call();
    if (!asked) return;
    Mac cookie{}, mac1{};
    std::ranges::copy(asked->mac1, mac1.begin());
    draw_.spoil(cookie);
    std::array<uint8_t, 24> nonce{};
    draw_.spoil(nonce);
    const ResponderMacKeys macs = ResponderMacKeys::derive(mac_, liar_.public_key);
    wire::SealedReply reply = seal_reply(aead_, wire::MessageType::kCookieReply, macs.cookie_label,
                                         cookie, {asked->sender, mac1}, nonce);
    if (draw_.flip()) draw_.spoil(bytes_of(reply));
    send(bytes_of(reply));
  }

  /// For an index of ours that the tested engine sends to, or another. Whatever it holds, the
  /// session is as it was, and one call is made at most.
  void reset() {
    const auto tx = pair_.side(kTested).published(kPeer).tx;
    const ReceiverIndex index = tx ? tx->peer_index : ReceiverIndex{draw_.number<uint32_t>()};
    wire::Reset message{};
    message.type = wire::MessageType::kReset;
    message.receiver = index.value;
    message.token = token_of(index);
    if (draw_.flip()) draw_.spoil(bytes_of(message));
    const auto versions = versions_of_tested();
    const size_t sent = pair_.side(kTested).sent.size();
    const Path from = from_other_side(Pair::path(kLiar, draw_.below(kNetworks)));
    tested().on_handshake(pair_.now, from, bytes_of(message), std::nullopt, kPeer);
    EXPECT_EQ(versions_of_tested(), versions);
    EXPECT_LE(pair_.side(kTested).sent.size(), sent + 1);
  }
  std::vector<uint64_t> versions_of_tested() {
    std::vector<uint64_t> versions;
    for_each_session(tested(),
                     [&](const SessionView& each) { versions.push_back(each.version.value); });
    return versions;
  }
  /// As it was told with the index; nothing asks for the right period.
  wire::ResetToken token_of(ReceiverIndex index) {
    return ResetTokens(mac_, Pair::secret(kLiar)).of(index, 1);
  }

  /// As the initiator does that has the keys: a heartbeat, or something else.
  void confirm() {
    const auto installs = pair_.side(kTested).published(kPeer).rx;
    if (installs.empty()) return;
    const PublishedRx& under = installs[draw_.below(installs.size())];
    auto message = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
    if (draw_.flip()) draw_.spoil(bytes_of(message));
    const Path from = from_other_side(Pair::path(kLiar, draw_.below(kNetworks)));
    const uint64_t counter = wire::make_counter(under.first_lane, draw_.number());
    tested().on_control(pair_.now, from, under.index, counter, bytes_of(message));
  }

  std::optional<wire::Initiation> latest_call() {
    const auto& sent = pair_.side(kTested).sent;
    for (auto each = sent.rbegin(); each != sent.rend(); ++each)
      if (const auto message = parse_initiation(each->bytes)) return message;
    return std::nullopt;
  }

  static SecretKey secret_of(uint8_t byte) {
    SecretKey key;
    key.bytes().fill(static_cast<uint8_t>(byte | 1));
    return key;
  }
  static Identity identity_of(const SecretKey& secret) { return {secret, public_key_of(secret)}; }

  Draw& draw_;
  Pair pair_{kHandshakesPerSecond};
  MessageMac mac_ = test::must(MessageMac::create());
  Aead aead_ = test::must(Aead::create());
  Identity liar_ = identity_of(Pair::secret(kLiar));
  Identity stranger_ = identity_of(secret_of(99));
  PublicKey tested_key_ = public_key_of(Pair::secret(kTested));
  Mac cookie_{};
  Mac mac1_{};  ///< of our latest message
  wire::Timestamp latest_{};
};

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jvpn::fuzz::Draw draw(data, size);
  jvpn::fuzz::Handshakes(draw).play();
  return 0;
}
