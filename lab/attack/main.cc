// lab-attack RECORDING ADDRESS:PORT: a host that is on no path of the tunnel, but has a recording
// of it (pcap, Ethernet). Sends datagrams made of the recorded messages towards ADDRESS:PORT from a
// socket of its own, at a steady rate, then says how many.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/socket.h>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "lab/attack/forgery.h"
#include "lab/attack/recording.h"
#include "lab/link/jvp_frame.h"
#include "tools/shared/socket_address.h"

namespace jvpn::lab {
namespace {

struct Options {
  std::string recording;
  std::string target;
  std::string how = "replay";
  std::string kind = "any";
  uint64_t count = 0;
  uint64_t rate = 1'000;
  uint64_t seed = 1;
};

Result<FileDescriptor> open_socket(const Endpoint& target) {
  const int family = target.address.is_v6() ? AF_INET6 : AF_INET;
  FileDescriptor fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress to = SocketAddress::from(target, 0);
  if (!fd || ::connect(fd.get(), &to.any, to.length) != 0) return errno_error(to_string(target));
  return fd;
}

void wait_until(timespec& next, uint64_t rate) {
  next.tv_nsec += static_cast<long>(1'000'000'000 / rate);
  next.tv_sec += next.tv_nsec / 1'000'000'000;
  next.tv_nsec %= 1'000'000'000;
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
}

Result<void> attack(const Options& options) {
  const auto target = Endpoint::parse(options.target);
  const auto how = parse_forgery(options.how);
  const auto kind = parse_kind(options.kind);
  if (!target || !how || !kind)
    return Error{"expected ADDRESS:PORT, a known --how and a known --kind"};
  const auto messages = read_recording(options.recording, target->port, *kind);
  if (!messages) return messages.error();
  if (messages->empty()) return Error{options.recording + ": no such message towards that port"};
  const auto socket = open_socket(*target);
  if (!socket) return socket.error();
  std::mt19937_64 random(options.seed);
  const uint64_t count = options.count == 0 ? messages->size() : options.count;
  timespec next{};
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (uint64_t i = 0; i < count; ++i) {
    const auto datagram = forged(*how, (*messages)[i % messages->size()], random);
    ::send(socket->get(), datagram.data(), datagram.size(), 0);  // refused ones are lost ones
    wait_until(next, options.rate);
  }
  std::printf("%zu recorded, %llu sent, seed %llu\n", messages->size(),
              static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(options.seed));
  return {};
}

}  // namespace
}  // namespace jvpn::lab

int main(int argc, char** argv) try {
  CLI::App app("Sends what can be made of recorded messages without their keys.");
  jvpn::lab::Options options;
  app.add_option("RECORDING", options.recording, "pcap file")->required();
  app.add_option("ADDRESS:PORT", options.target, "a gateway's")->required();
  app.add_option("--how", options.how, "replay, forge, truncate or noise");
  app.add_option("--kind", options.kind, "of the messages taken: any, handshake, data, control …");
  app.add_option("--count", options.count, "datagrams; 0: as many as were recorded");
  app.add_option("--rate", options.rate, "per second")->check(CLI::Range(1, 1'000'000));
  app.add_option("--seed", options.seed, "of everything random");
  CLI11_PARSE(app, argc, argv);
  if (const auto done = jvpn::lab::attack(options); !done) {
    std::fprintf(stderr, "lab-attack: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "lab-attack: %s\n", error.what());
  return 1;
}
