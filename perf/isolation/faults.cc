#include "perf/isolation/faults.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/file_descriptor.h"
#include "control/neighbor/arp.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kMostAtOnce = 32;  // of a flood, between two polls of the worker

/// So many a second.
class Pace {
 public:
  explicit Pace(uint32_t per_second) : per_second_(per_second) {}
  uint64_t due(uint64_t now_us) {
    if (last_us_ == 0) last_us_ = now_us;
    owed_ += (now_us - std::exchange(last_us_, now_us)) * per_second_;
    const uint64_t whole = std::min(owed_ / 1'000'000, kMostAtOnce);
    owed_ = owed_ / 1'000'000 > kMostAtOnce ? 0 : owed_ - whole * 1'000'000;
    sent_ += whole;
    return whole;
  }
  uint64_t sent() const { return sent_; }

 private:
  uint64_t per_second_;
  uint64_t last_us_ = 0;
  uint64_t owed_ = 0;  ///< millionths
  uint64_t sent_ = 0;
};

class Flood : public Fault {
 public:
  Flood(const FaultParts& parts, uint32_t per_second) : parts_(parts), pace_(per_second) {}
  bool turn(uint64_t now_us) final {
    for (uint64_t left = pace_.due(now_us); left > 0; --left) send(now_us);
    return true;
  }
  Json end() final { return {{"sent", pace_.sent()}}; }

 protected:
  virtual void send(uint64_t now_us) = 0;
  FaultParts parts_;

 private:
  Pace pace_;
};

class Replay final : public Flood {
 public:
  explicit Replay(const FaultParts& parts) : Flood(parts, parts.options.replays_per_s) {}

 private:
  void send(uint64_t) override {
    const auto& all = parts_.captures.all();
    if (all.empty()) return;
    const Captures::Capture& one = all[next_++ % all.size()];
    parts_.gateway.send(one.peer, one.datagram);
  }
  size_t next_ = 0;
};

class RekeyFlood final : public Flood {
 public:
  explicit RekeyFlood(const FaultParts& parts) : Flood(parts, parts.options.rekeys_per_s) {}

 private:
  void send(uint64_t now_us) override { parts_.crowd.flood_rekey(now_us, parts_.attacker); }
};

/// Cookie replies to nobody's question, from random peers' addresses.
class CookieFlood final : public Flood {
 public:
  explicit CookieFlood(const FaultParts& parts) : Flood(parts, parts.options.flood_per_s) {}

 private:
  void send(uint64_t) override {
    wire::SealedReply reply{};
    reply.type = wire::MessageType::kCookieReply;
    reply.receiver = static_cast<uint32_t>(random_());
    const auto from = static_cast<uint32_t>(random_() % parts_.crowd.size());
    parts_.gateway.send(from, {reinterpret_cast<const uint8_t*>(&reply), sizeof reply});
  }
  std::minstd_rand random_{7};
};

/// The router that all sessions go by is said to have moved, to and fro.
class ArpFlip final : public Flood {
 public:
  explicit ArpFlip(const FaultParts& parts) : Flood(parts, parts.options.flood_per_s) {}

 private:
  void send(uint64_t) override {
    EtherAddress mac = kRouterMac;
    mac[5] = static_cast<uint8_t>(mac[5] + (++sent_ % 2));
    std::array<uint8_t, neighbor::kArpFrameBytes> frame;
    neighbor::write_arp_frame(
        frame, neighbor::kEverybody,
        {neighbor::ArpMessage::Operation::kReply, mac, router_address(), {}, gateway_address()});
    parts_.gateway.send_frame(frame);
  }
  uint64_t sent_ = 0;
};

/// A thread that works beside the driver, on any CPU, as `jvpn` would.
class Beside : public Fault {
 public:
  bool turn(uint64_t) final { return rounds_.load(std::memory_order_acquire) >= least_; }
  Json end() final {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
    return told();
  }

 protected:
  explicit Beside(unsigned least) : least_(least) {}
  void start() {
    thread_ = std::thread([this] {
      use_any_cpu();
      while (!stop_.load(std::memory_order_relaxed)) {
        round();
        rounds_.fetch_add(1, std::memory_order_release);
      }
    });
  }
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  virtual void round() = 0;
  virtual Json told() = 0;

 private:
  static void use_any_cpu() {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) CPU_SET(cpu, &all);
    pthread_setaffinity_np(pthread_self(), sizeof all, &all);
  }
  const unsigned least_;
  std::atomic<unsigned> rounds_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// The profile as it is, then with each peer renamed, and so on.
class Reload final : public Beside {
 public:
  explicit Reload(const FaultParts& parts) : Beside(2), socket_(parts.gateway.socket()) { start(); }

 private:
  void round() override { answers_.push_back(ask_gateway(socket_, {{"command", "reload"}})); }
  Json told() override { return {{"reloads", std::move(answers_)}}; }
  const std::string socket_;
  Json answers_ = Json::array();
};

/// All pages, again and again.
class Show final : public Beside {
 public:
  explicit Show(const FaultParts& parts) : Beside(1), socket_(parts.gateway.socket()) { start(); }

 private:
  void round() override {
    const auto begun = std::chrono::steady_clock::now();
    uint64_t sessions = 0;
    uint64_t attached = 0;
    Json request{{"command", "show"}};
    for (bool more = true; more && !(whole_ && stopped());) {
      const Json page = ask_gateway(socket_, request);
      for (const Json& each : page.value("sessions", Json::array())) {
        ++sessions;
        attached += each.value("state", "") == "ATTACHED" ? 1 : 0;
      }
      more = page.contains("next");
      if (more) request["from"] = page["next"];
    }
    if (whole_ && stopped()) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    whole_ = Json{{"sessions", sessions}, {"attached", attached}, {"seconds", took.count()}};
    ++shows_;
  }
  Json told() override { return {{"shows", shows_}, {"latest", whole_.value_or(Json())}}; }
  const std::string socket_;
  std::optional<Json> whole_;
  uint64_t shows_ = 0;
};

}  // namespace

void Captures::keep(uint32_t peer, std::span<const uint8_t> datagram) {
  if (captures_.size() < kMost) captures_.emplace_back();
  captures_[next_++ % kMost] = {peer, {datagram.begin(), datagram.end()}};
}

std::unique_ptr<Fault> make_fault(const std::string& name, const FaultParts& parts) {
  if (name == "replay") return std::make_unique<Replay>(parts);
  if (name == "rekey-flood") return std::make_unique<RekeyFlood>(parts);
  if (name == "type-3-flood") return std::make_unique<CookieFlood>(parts);
  if (name == "arp-flip") return std::make_unique<ArpFlip>(parts);
  if (name == "reload") return std::make_unique<Reload>(parts);
  if (name == "show") return std::make_unique<Show>(parts);
  return nullptr;
}

Json ask_gateway(const std::string& socket, const Json& request) {
  const FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.copy(address.sun_path, sizeof address.sun_path - 1);
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Json::object();
  const std::string line = request.dump() + "\n";
  if (::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return Json::object();
  std::string text;
  std::array<char, 65'536> buffer;
  for (ssize_t got = 1; got > 0;) {
    got = recv(client.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) text.append(buffer.data(), static_cast<size_t>(got));
  }
  Json answer = Json::parse(text, nullptr, false);
  return answer.is_object() ? answer : Json::object();
}

}  // namespace jvpn::perf
