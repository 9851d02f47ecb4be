// Messages without keys, or before there are any, on a worker. Worker core.
//   1. Initiations and inquiries of a burst wait until its data has gone on.
//   2. A copy of one that had a right cookie is dropped; then mac1 of them all, beside each other:
//      a wrong one costs nothing else.
//   3. A cookie, if one is shown: right, it has a ring to control of its own.
//   4. Without one, to control as long as it admits them; under load a cookie reply is made here,
//      in the question's own frame, or the message is dropped (dataplane/handshake_guard.h).
//   5. Answers must name an index that waits for one, resets one that we send to.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "common/assert.h"
#include "common/burst.h"
#include "common/bytes.h"
#include "common/checksum.h"
#include "common/handshake_mac.h"
#include "common/ip_header.h"
#include "common/wire.h"
#include "dataplane/burst.h"
#include "dataplane/context.h"
#include "dataplane/link_answers.h"

namespace jvpn {

/// An initiation or inquiry; the mbuf's data starts at Ethernet, and all of it is in one segment.
struct Call {
  rte_mbuf* packet;
  uint8_t* message;
  uint32_t bytes;
  std::span<const uint8_t> span() const { return {message, bytes}; }
  const uint8_t* mac2() const { return message + bytes - kMacBytes; }
};
using CallBurst = Burst<Call>;
static_assert(kMaxBurst <= kMaxMacs, "mac1 of a burst at once");

/// Somebody who may be nobody wants public-key work of us.
inline bool calls(const uint8_t* message) {
  const wire::MessageType type{message[0]};
  return type == wire::MessageType::kInitiation || type == wire::MessageType::kInquiry;
}

namespace handshakes {

/// Source of a frame that classify found to be UDP, whose payload starts at `message`.
inline Endpoint source_endpoint(const uint8_t* ethernet, const uint8_t* message) {
  Endpoint source;
  const uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const bool v4 = is_ipv4(ip);
  source.address.family = v4 ? Family::kIpv4 : Family::kIpv6;
  std::copy_n(source_of(ip), v4 ? 4 : 16, source.address.bytes.begin());
  source.port = load_be16(message - kUdpHeaderBytes);
  return source;
}

/// Of an answer: the index that it names, ours of an initiation, the peer's of a reset.
inline ReceiverIndex answered_index(const uint8_t* message) {
  static_assert(offsetof(wire::Reset, receiver) == offsetof(wire::SealedReply, receiver));
  static_assert(offsetof(wire::Readiness, receiver) == offsetof(wire::SealedReply, receiver));
  const bool response = wire::MessageType{message[0]} == wire::MessageType::kResponse;
  return ReceiverIndex{load_u32(message + (response ? offsetof(wire::Response, receiver)
                                                    : offsetof(wire::SealedReply, receiver)))};
}

/// It costs a flood nothing to name any index, so each that waits for an answer has its share.
inline bool take_share(WorkerContext& worker, ReceiverIndex index) {
  CycleBudget& budget = worker.answers.of(index);
  if (!budget.has(worker.now_tsc, worker.tsc_per_answer, kAnswerBurst)) return false;
  budget.take(worker.now_tsc, worker.tsc_per_answer);
  return true;
}

inline void punt_message(WorkerContext& worker, const PortView& port, rte_mbuf* packet,
                         std::span<const uint8_t> message, PuntClass ring, PeerId peer) {
  const auto* ethernet = rte_pktmbuf_mtod(packet, const uint8_t*);
  JVPN_DEBUG_ASSERT(message.data() + message.size() <= ethernet + packet->data_len,
                    "the message lies in the packet's data");
  PacketNote& note = note_of(packet);
  note = PacketNote{};
  note.peer = peer;
  note.payload_offset = static_cast<uint16_t>(message.data() - ethernet);
  note.payload_bytes = static_cast<uint16_t>(message.size());
  note.port = port.number;
  note.tsc = worker.now_tsc;
  punt(worker, ring, packet);
}

/// Makes the frame of a message that of its answer, whose payload stands at `message` already.
inline void turn_around(const PortView& port, const Call& call, const Endpoint& asker,
                        uint32_t answer_bytes) {
  auto* ethernet = rte_pktmbuf_mtod(call.packet, uint8_t*);
  uint8_t* ip = ethernet + kEthernetHeaderBytes;
  const auto own = IpAddress::read(asker.address.family, destination_of(ip));
  const auto udp_bytes = static_cast<uint16_t>(kUdpHeaderBytes + answer_bytes);
  uint8_t* udp = ip + write_ip(ip, own, asker.address, kProtocolUdp, kHops, udp_bytes);
  JVPN_DEBUG_ASSERT(udp + kUdpHeaderBytes == call.message, "classify takes no options");
  std::swap_ranges(udp, udp + 2, udp + 2);
  store_be16(udp + 4, udp_bytes);
  store_checksum(udp + 6, 0);
  const uint16_t sum = checksum_finish(
      checksum_add({udp, udp_bytes}, pseudo_header_sum(ip, kProtocolUdp, udp_bytes)));
  store_checksum(udp + 6, sum != 0 ? sum : 0xFFFF);  // RFC 768: 0 means none
  link_answers::turn_around(port, ethernet);
  set_data(call.packet, ethernet, static_cast<uint32_t>(udp + udp_bytes - ethernet));
  call.packet->ol_flags = 0;  // what the receiving port said of it no longer holds
}

/// A cookie for whoever is at the call's source. It is shorter than what it answers.
inline void send_cookie(WorkerContext& worker, const PortView& port, const Call& call,
                        const CookieSecrets& secrets, const Endpoint& asker) {
  const auto* question = reinterpret_cast<const wire::Initiation*>(call.message);
  const uint64_t number =
      worker.counters.cookie_replies.load(std::memory_order_relaxed);  // this worker's alone
  const wire::SealedReply reply =
      make_cookie_reply(worker.aead, worker.mac, secrets, asker, {question->sender, question->mac1},
                        {worker.number, number});
  WorkerCounters::add(worker.counters.cookie_replies, 1);
  std::memcpy(call.message, &reply, sizeof reply);
  turn_around(port, call, asker, sizeof reply);
  worker.tx.add(port.number, call.packet);
}

/// mac1 is right, and there is no right cookie.
inline void take_unproven(WorkerContext& worker, const PortView& port, const Call& call,
                          const CookieSecrets* secrets, const Endpoint& source) {
  HandshakeGuard& guard = *worker.guard;
  const bool admitted = guard.admits_unproven(worker.now_tsc);
  if (admitted || secrets == nullptr)
    return punt_message(worker, port, call.packet, call.span(), PuntClass::kHandshake, PeerId{});
  if (!guard.takes_reply(worker.now_tsc, source))
    return drop(worker, call.packet, Drop::kCookieRate);
  send_cookie(worker, port, call, *secrets, source);
}

/// mac1 is right, and a cookie is shown.
inline void take_holder(WorkerContext& worker, const PortView& port, const Call& call,
                        const CookieSecrets& secrets, const Endpoint& source) {
  HandshakeGuard& guard = *worker.guard;
  if (!guard.may_look(worker.now_tsc, source)) return drop(worker, call.packet, Drop::kCookieRate);
  if (!check_cookie(worker.mac, secrets, source, call.span())) {
    guard.note_wrong(worker.now_tsc);
    return take_unproven(worker, port, call, &secrets, source);
  }
  guard.remember(call.mac2());
  if (!guard.admits_proven(worker.now_tsc, source.address))
    return drop(worker, call.packet, Drop::kHandshakeShare);
  punt_message(worker, port, call.packet, call.span(), PuntClass::kVerifiedHandshake, PeerId{});
}

/// Copies of what a holder of a cookie has sent cost no MAC.
inline void drop_repeated(WorkerContext& worker, CallBurst& burst) {
  size_t kept = 0;
  for (size_t i = 0; i < burst.count(); ++i) {
    if (worker.guard->is_repeated(burst[i].mac2()))
      drop(worker, burst[i].packet, Drop::kHandshakeRepeated);
    else
      burst[kept++] = burst[i];
  }
  burst.truncate(kept);
}

}  // namespace handshakes

/// The initiations and inquiries of a burst.
[[gnu::noinline, gnu::cold]] inline void take_calls(WorkerContext& worker, const PortView& port,
                                                    CallBurst& burst) {
  handshakes::drop_repeated(worker, burst);
  std::array<std::span<const uint8_t>, kMaxBurst> messages;
  std::array<bool, kMaxBurst> right;
  for (size_t i = 0; i < burst.count(); ++i) messages[i] = burst[i].span();
  check_mac1s(worker.mac, worker.mac1, std::span(messages).first(burst.count()), right);
  const CookieSecrets* secrets = worker.cookies.load(std::memory_order_acquire);
  for (size_t i = 0; i < burst.count(); ++i) {
    const Call& call = burst[i];
    if (!right[i]) {
      drop(worker, call.packet, Drop::kBadMac);
      continue;
    }
    const auto* ethernet = rte_pktmbuf_mtod(call.packet, const uint8_t*);
    const Endpoint source = handshakes::source_endpoint(ethernet, call.message);
    if (secrets != nullptr && shows_cookie(call.span()))
      handshakes::take_holder(worker, port, call, *secrets, source);
    else
      handshakes::take_unproven(worker, port, call, secrets, source);
  }
}

/// An answer to our own initiations, or a reset: it must name an index that waits for one, or that
/// we send to. Cookie replies, retries and readinesses have no mac1; only our keys tell.
[[gnu::noinline]] inline void take_answer(WorkerContext& worker, const PortView& port,
                                          rte_mbuf* packet, std::span<const uint8_t> message) {
  const wire::MessageType type{message[0]};
  const ReceiverIndex index = handshakes::answered_index(message.data());
  PeerId peer{};
  if (type == wire::MessageType::kReset) {
    const std::optional<PeerId> known = worker.sessions.sends_to(index.value);
    if (!known) return drop(worker, packet, Drop::kUnawaitedAnswer);
    peer = *known;
  } else if (!worker.sessions.awaits(index.value)) {
    return drop(worker, packet, Drop::kUnawaitedAnswer);
  }
  if (type == wire::MessageType::kResponse && !check_mac1(worker.mac, worker.mac1, message))
    return drop(worker, packet, Drop::kBadMac);
  if (!handshakes::take_share(worker, index)) return drop(worker, packet, Drop::kControlRate);
  handshakes::punt_message(worker, port, packet, message, PuntClass::kAnswer, peer);
}

}  // namespace jvpn
