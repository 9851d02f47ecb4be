#include "perf/jump/control_tap.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/wire.h"
#include "perf/jump/traffic.h"

namespace jvpn::perf {
namespace {

constexpr size_t kIpAndUdp = 28;
constexpr int kPollMs = 20;

/// IPv4 without options, UDP to or from the port, type control. Offsets from the IP header on.
std::array<sock_filter, 12> control_filter(uint16_t port) {
  const auto control = static_cast<uint32_t>(wire::MessageType::kControl);
  return {{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x45, 0, 8),
           BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
           BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
           BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 2),
           BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kIpAndUdp),
           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, control, 1, 0), BPF_STMT(BPF_RET | BPF_K, 0),
           BPF_STMT(BPF_RET | BPF_K, 0xFFFF)}};
}

enum Way : uint8_t { kEither, kOut, kIn };  // kOut: from the client only
struct Kind {
  size_t plaintext;
  Way way;
  const char* name;
};
constexpr std::array kKinds{
    Kind{sizeof(wire::Heartbeat), kEither, "HEARTBEAT"},
    Kind{sizeof(wire::HeartbeatAck), kEither, "HEARTBEAT_ACK"},
    Kind{sizeof(wire::TransportDead), kEither, "TRANSPORT_DEAD"},
    Kind{sizeof(wire::QualityReport), kEither, "QUALITY_REPORT"},
    Kind{sizeof(wire::NewIndices), kEither, "NEW_INDICES"},
    Kind{sizeof(wire::ReattachRequest), kOut, "REATTACH_REQUEST"},
    Kind{sizeof(wire::ReattachResponse), kOut, "REATTACH_RESPONSE"},
    Kind{sizeof(wire::ReattachChallenge), kIn, "REATTACH_CHALLENGE"},
    Kind{sizeof(wire::ReattachAck), kIn, "REATTACH_ACK"},
    Kind{sizeof(wire::ReattachReject), kIn, "REATTACH_REJECT"},
    Kind{sizeof(wire::PolicyHint), kIn, "POLICY_HINT"},
};

}  // namespace

std::string describe(const TappedMessage& message) {
  if (message.bytes > wire::kMaxControlPlaintext + wire::kTransportOverhead)
    return message.outbound ? "PATH_PROBE or PATH_RESPONSE" : "PATH_CHALLENGE";  // they are padded
  std::string names;
  for (const Kind& kind : kKinds) {
    if (kind.plaintext + wire::kTransportOverhead != message.bytes) continue;
    if (kind.way == (message.outbound ? kIn : kOut)) continue;
    names += (names.empty() ? "" : " or ") + std::string(kind.name);
  }
  return names.empty() ? fmt::format("{} bytes", message.bytes) : names;
}

Result<std::unique_ptr<ControlTap>> ControlTap::start(const std::string& ns,
                                                      const std::vector<std::string>& links,
                                                      uint16_t port) {
  std::unique_ptr<ControlTap> tap(new ControlTap);
  if (auto opened = tap->open(ns, links, port); !opened) return opened.error();
  ControlTap* raw = tap.get();
  raw->thread_ = std::jthread([raw](const std::stop_token& stop) { raw->run(stop); });
  return tap;
}

Result<void> ControlTap::open(const std::string& ns, const std::vector<std::string>& links,
                              uint16_t port) {
  return in_namespace(ns, [&]() -> Result<void> {
    for (const std::string& link : links)
      indices_.push_back(static_cast<int>(::if_nametoindex(link.c_str())));
    // Takes no packet before the filter is there.
    socket_ = FileDescriptor(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto code = control_filter(port);
    const sock_fprog program{static_cast<uint16_t>(code.size()), code.data()};
    const int on = 1;
    sockaddr_ll any{};
    any.sll_family = AF_PACKET;
    any.sll_protocol = htons(ETH_P_ALL);
    const bool open =
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 &&
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0 &&
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
    if (!open) return errno_error("control tap in " + ns);
    return {};
  });
}

void ControlTap::run(const std::stop_token& stop) {
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(timespec))> control;
  std::array<uint8_t, 2048> packet;
  while (!stop.stop_requested()) {
    pollfd wait{socket_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPollMs) <= 0) continue;
    sockaddr_ll from{};
    iovec vector{packet.data(), packet.size()};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t bytes = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_TRUNC);
    if (bytes < static_cast<ssize_t>(kIpAndUdp)) continue;
    const auto link = std::ranges::find(indices_, from.sll_ifindex);
    if (link == indices_.end()) continue;
    const std::lock_guard lock(mutex_);
    seen_.push_back({arrival_of(header), static_cast<size_t>(link - indices_.begin()),
                     from.sll_pkttype == PACKET_OUTGOING, static_cast<size_t>(bytes) - kIpAndUdp});
  }
}

bool ControlTap::validated(size_t link, Nanos since) const {
  const std::lock_guard lock(mutex_);
  bool expected = true;  // out, in, out
  unsigned steps = 0;
  const auto from = std::ranges::lower_bound(seen_, since, {}, &TappedMessage::at);
  for (auto at = from; at != seen_.end(); ++at) {
    if (at->link != link || at->outbound != expected) continue;
    expected = !expected;
    if (++steps == 3) return true;
  }
  return false;
}

std::vector<TappedMessage> ControlTap::between(Nanos from, Nanos to) const {
  const std::lock_guard lock(mutex_);
  std::vector<TappedMessage> found;
  std::ranges::copy_if(seen_, std::back_inserter(found), [&](const TappedMessage& message) {
    return message.at >= from && message.at < to;
  });
  return found;
}

}  // namespace jvpn::perf
