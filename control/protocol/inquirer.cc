#include "control/protocol/inquirer.h"

#include <algorithm>

#include "common/limits.h"
#include "control/protocol/handshake_parties.h"

namespace jvpn::protocol {
namespace {

constexpr Millis kSoon{1'000};             // after the session began; all that were taken over do
constexpr uint32_t kSoonJitter = 4;        // times that
constexpr Millis kInquiryPatience{2'000};  // with an answer
constexpr Millis kUsualWait{15'000};       // a gateway may want more,
constexpr Millis kMostWanted{600'000};     // so much at most
constexpr Millis kRareWait{240'000};       // of idle sessions, and for whoever doesn't answer
constexpr unsigned kSilenceDoublings = 4;

/// So long nobody who didn't answer is asked again. The first time it may be the network's loss.
Millis wait_after(uint32_t unanswered) {
  if (unanswered < Standby::kSilentAfter) return {};
  const unsigned doublings = std::min(unanswered - Standby::kSilentAfter, kSilenceDoublings);
  return std::min(Millis{kUsualWait.value << doublings}, kRareWait);
}

}  // namespace

bool Inquirer::may_ask(const Session& session) const {
  if (!session.initiates() || !session.confirmed || session.must_jump()) return false;
  const PeerState& peer = context_.table.peer_of(session);
  return peer.session.get() == &session && peer.dial && !peer.dial->active && !peer.pending &&
         context_.has_several_gateways(session.peer);
}

Millis Inquirer::due(const Session& session) const {
  if (!session.initiates()) return kNever;
  const PeerState& peer = context_.table.peer_of(session);
  const bool out = peer.dial && peer.dial->inquiry;
  if (!may_ask(session)) return out ? Millis{0} : kNever;
  if (out) return peer.dial->inquiry->sent + kInquiryPatience;
  const GatewayNumber here = context_.gateway_of(session.peer, session.path);
  Millis at = kNever;
  for (const Candidate& each : peer.candidates)
    if (each.gateway != here) at = std::min(at, each.standby.next);
  return at;
}

bool Inquirer::serve(Millis now, Session& session) {
  if (now < due(session)) return true;
  PeerState& peer = context_.table.peer_of(session);
  if (!may_ask(session)) {
    stop(*peer.dial);
    return true;
  }
  if (peer.dial->inquiry) give_up(now, session);
  const GatewayNumber here = context_.gateway_of(session.peer, session.path);
  for (Candidate& each : peer.candidates) {
    if (each.gateway == here || peer.dial->inquiry) continue;
    if (each.standby.next == Millis{0}) {
      each.standby.next =
          now + kSoon + Millis{random_u32(context_.environment) % (kSoonJitter * kSoon.value)};
    } else if (now >= each.standby.next) {
      ask(now, session.peer, each);
    }
  }
  return true;
}

/// A third more on average, so that peers which began together don't go on together.
Millis Inquirer::jittered(Millis now, Millis wait) const {
  const auto most = static_cast<uint32_t>(wait.value * 2 / 3) + 1;
  return now + wait + Millis{random_u32(context_.environment) % most};
}

void Inquirer::ask(Millis now, PeerId id, Candidate& candidate) {
  PeerState& peer = context_.table.peer(id);
  Standby& standby = candidate.standby;
  standby.next = now + kSoon;
  if (!peer.draining.empty()) return;  // it keeps its indices
  const std::optional<ReceiverIndex> index = bindings_.allocate_index(id);
  if (!index) return;
  const SecretKey ephemeral = random_secret(context_.environment);
  wire::Initiation message;
  auto noise = write_inquiry(
      call_to(context_, self_, id, context_.config.suites.front(), *index, ephemeral), message);
  if (!noise) return bindings_.release_index(*index);
  const bool has_cookie = now < standby.cookie_until;
  const std::span<uint8_t> bytes{reinterpret_cast<uint8_t*>(&message), sizeof message};
  write_macs(context_.mac, peer.dial->macs.mac1, has_cookie ? &standby.cookie : nullptr, bytes);
  peer.dial->inquiry.emplace(Inquiry{candidate.path, *std::move(noise), *index, now,
                                     context_.environment.clock_us(now),
                                     std::to_array(message.mac1)});
  context_.effects.await_answer(*index);
  context_.effects.send(candidate.path, bytes);
}

/// The candidate that is asked; nullptr: there is no such path any more.
Candidate* Inquirer::asked(PeerId id) const {
  PeerState& peer = context_.table.peer(id);
  const auto found = std::ranges::find(peer.candidates, peer.dial->inquiry->path, &Candidate::path);
  return found == peer.candidates.end() ? nullptr : &*found;
}

void Inquirer::stop(Dial& call) {
  bindings_.release_index(call.inquiry->local);
  call.inquiry.reset();
}

void Inquirer::give_up(Millis now, const Session& session) {
  Dial& call = *context_.table.peer_of(session).dial;
  if (Candidate* const candidate = asked(session.peer)) {
    Standby& standby = candidate->standby;
    if (standby.unanswered++ == 0) standby.unanswered_since = call.inquiry->sent;
    standby.next = jittered(now, wait_after(standby.unanswered));
  }
  stop(call);
}

/// Whose inquiry names that index, and went there.
std::optional<PeerId> Inquirer::asker(ReceiverIndex index, const Path& from) const {
  const std::optional<PeerId> id = context_.table.indices().owner(index);
  const Dial* const call = id ? context_.table.peer(*id).dial.get() : nullptr;
  if (call == nullptr || !call->inquiry || call->inquiry->local != index) return std::nullopt;
  const Path& path = call->inquiry->path;
  const bool from_there = from.interface == path.interface && from.remote == path.remote;
  return from_there ? id : std::nullopt;
}

/// As the dialer refuses answers to initiations.
void Inquirer::refuse(Millis now, const Path& from, Reason reason, Detail detail, PeerId id) {
  refuse_handshake(context_, reporter_, now, from, reason, detail, id);
}

std::optional<PeerId> Inquirer::on_readiness(Millis now, const Path& from,
                                             std::span<const uint8_t> datagram) {
  const std::optional<wire::Readiness> message = parse_readiness(datagram);
  if (!message) {
    refuse(now, from, Reason::kSecAbuseControlPlane, Detail::kNone, kNoPeer);
    return std::nullopt;
  }
  const auto id = asker(ReceiverIndex{message->receiver}, from);
  if (!id) {
    ++context_.counters.handshakes_refused;
    return std::nullopt;
  }
  Dial& call = *context_.table.peer(*id).dial;
  const auto key = readiness_key(call.inquiry->noise, context_.psk_of(*id));
  const auto value =
      key ? open_readiness(context_.aead, *key, call.inquiry->mac1, *message) : std::nullopt;
  if (!value) {
    refuse(now, from, Reason::kHandshakeFail, Detail::kAuthentication, *id);
    return std::nullopt;
  }
  if (Candidate* const candidate = asked(*id)) {
    Standby& standby = candidate->standby;
    const uint64_t now_us = context_.environment.clock_us(now);
    standby.rtt_us = static_cast<uint32_t>(now_us - std::min(now_us, call.inquiry->sent_us));
    standby.unanswered = 0;
    standby.unanswered_since.reset();
    standby.answered_at = now;
    standby.availability = value->availability;
    standby.cookie = value->cookie;
    standby.cookie_until = now + Millis{kCookieSecretMs};
    standby.freshness = value->freshness;
    const Session* const session = context_.table.peer(*id).session.get();
    const bool idle = session != nullptr && session->record().idle_interval != Millis{0};
    const Millis wanted{value->ask_again_s * 1'000ULL};
    standby.next = jittered(now, std::clamp(wanted, idle ? kRareWait : kUsualWait, kMostWanted));
  }
  stop(call);
  return id;
}

std::optional<PeerId> Inquirer::on_cookie_reply(Millis now, const Path& from,
                                                std::span<const uint8_t> datagram) {
  const std::optional<wire::SealedReply> reply = parse_sealed_reply(datagram);
  const auto id = reply ? asker(ReceiverIndex{reply->receiver}, from) : std::nullopt;
  if (!id) return std::nullopt;
  Dial& call = *context_.table.peer(*id).dial;
  const auto cookie = open_reply(context_.aead, call.macs.cookie_label, call.inquiry->mac1, *reply);
  Candidate* const candidate = asked(*id);
  if (!cookie) refuse(now, from, Reason::kHandshakeFail, Detail::kAuthentication, *id);
  if (!cookie || candidate == nullptr) return id;
  candidate->standby.cookie = *cookie;
  candidate->standby.cookie_until = now + Millis{kCookieSecretMs};
  if (call.inquiry->asked_twice) return id;  // nor did that help: it counts as unanswered
  stop(call);
  ask(now, *id, *candidate);
  if (call.inquiry) call.inquiry->asked_twice = true;
  return id;
}

/// Paths to the gateway that has the session now are probed.
void Inquirer::on_rebound(Millis, Session& session, const Path&) {
  if (!session.initiates()) return;
  PeerState& peer = context_.table.peer_of(session);
  for (Candidate& each : candidates_at(peer, context_.gateway_of(session.peer, session.path)))
    each.standby = {};
}

}  // namespace jvpn::protocol
