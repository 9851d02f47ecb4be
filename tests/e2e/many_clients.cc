// many-clients: sessions of many initiators for a scenario, without a program, a TUN and an
// underlay for each. Every one is a session engine of the product with a UDP socket of its own, and
// answers what a gateway asks; it sends no data. One thread.
//
//   many-clients keys COUNT FILE         makes private keys; prints the public ones
//   many-clients dial FILE …             dials, and prints a line of JSON whenever something
//   changed
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/file_descriptor.h"
#include "common/profile.h"
#include "control/engine/engine.h"
#include "control/session/system_sources.h"
#include "tests/support/silent_host.h"
#include "tools/shared/socket_address.h"

namespace jvpn::test {
namespace {

constexpr PeerId kGateway{0};
constexpr Millis kReport{20};
constexpr size_t kDatagram = 2'048;
constexpr rlim_t kOwnFiles = 64;  // beside the sockets

struct Options {
  uint32_t count = 0;
  std::string keys;
  std::string public_key;
  std::string source;
  std::vector<std::string> gateways;
  uint32_t per_second = 300;
};

/// A client: its engine, its socket, and what became of its session.
class ManyClient final : public SilentHost {
 public:
  static Result<std::unique_ptr<ManyClient>> create(const SecretKey& key, const Options& options) {
    std::unique_ptr<ManyClient> made(new ManyClient);
    if (auto opened = made->open(options.source); !opened) return opened.error();
    session::EngineConfig config;
    config.private_key = key;
    config.suites = {Suite::kAes128Gcm};
    config.slot_bits = 6;
    config.peers.push_back({"gateway", *key_from_base64(options.public_key), std::nullopt, {}});
    for (const std::string& gateway : options.gateways) {
      const auto remote = Endpoint::parse(gateway);
      if (!remote) return Error{gateway + ": expected ADDRESS:PORT"};
      const auto number = static_cast<uint8_t>(made->paths_.size());
      config.peers.back().gateways.push_back({*remote, GatewayNumber{number}});
      made->paths_.push_back({0, made->local_, *remote});
    }
    auto engine = engine::SessionEngine::create(std::move(config), *made, session::boottime_now());
    if (!engine) return engine.error();
    made->engine_ = *std::move(engine);
    return made;
  }

  int descriptor() const { return socket_.get(); }
  Millis due() const { return due_; }
  /// The address of the gateway that it sends to; empty: to none.
  const std::string& gateway() const { return gateway_; }
  uint64_t moved_ms() const { return moved_ms_; }
  bool is_changed() { return std::exchange(changed_, false); }

  /// From dialling to the first session; nullopt: there was none.
  std::optional<uint64_t> connect_ms() const { return connect_ms_; }

  void dial(Millis now) {
    dialled_ = now;
    engine_->set_candidates(now, kGateway, paths_);
    engine_->dial(now, kGateway, paths_.front());
    advance(now);
  }
  void advance(Millis now) {
    engine_->advance(now);
    due_ = engine_->next_deadline();
  }
  void receive(Millis now) {
    std::array<uint8_t, kDatagram> datagram;
    SocketAddress from{};
    for (;;) {
      from.length = sizeof(sockaddr_in6);
      const ssize_t bytes =
          ::recvfrom(socket_.get(), datagram.data(), datagram.size(), 0, &from.any, &from.length);
      if (bytes <= 0) break;
      give(*engine_, now, {0, local_, from.endpoint()},
           std::span(datagram).first(static_cast<size_t>(bytes)));
    }
    due_ = engine_->next_deadline();
    if (changed_ && !connect_ms_ && !session().empty()) connect_ms_ = (now - dialled_).value;
  }
  /// The session's id; empty: it isn't attached.
  std::string session() const {
    std::string id;
    engine::for_each_session(*engine_, [&](const engine::SessionView& view) {
      if (view.state == engine::State::kAttached) id = to_string(view.id);
    });
    return id;
  }

 private:
  Result<void> open(const std::string& source) {
    const auto address = IpAddress::parse(source);
    if (!address) return Error{source + ": expected an address"};
    const int family = address->is_v6() ? AF_INET6 : AF_INET;
    socket_ = FileDescriptor(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    SocketAddress local = SocketAddress::from({*address, 0}, 0);
    if (!socket_ || ::bind(socket_.get(), &local.any, local.length) != 0 ||
        ::getsockname(socket_.get(), &local.any, &local.length) != 0)
      return errno_error(source);
    local_ = local.endpoint();
    return {};
  }

  // The engine's host.
  void send(const Path& path, std::span<const uint8_t> datagram) override {
    const SocketAddress to = SocketAddress::from(path.remote, 0);
    (void)!::sendto(socket_.get(), datagram.data(), datagram.size(), 0, &to.any, to.length);
  }
  void install_tx(const session::TxInstall& install) override {
    const std::string to = to_string(install.path.remote.address);
    if (to == gateway_) return;
    gateway_ = to;
    moved_ms_ = session::realtime_ms();
    changed_ = true;
  }
  void withdraw_tx(PeerId) override {
    gateway_.clear();
    changed_ = true;
  }
  void emit(const session::Event&) override { changed_ = true; }
  void random(std::span<uint8_t> bytes) override { session::fill_random(bytes); }
  wire::Timestamp timestamp() override { return session::tai64n_now(); }
  uint64_t clock_us(Millis) override { return session::boottime_us(); }

  FileDescriptor socket_;
  Endpoint local_;
  std::vector<Path> paths_;
  std::unique_ptr<engine::SessionEngine> engine_;
  Millis due_ = kNever;
  std::string gateway_;
  uint64_t moved_ms_ = 0;
  Millis dialled_;
  std::optional<uint64_t> connect_ms_;
  bool changed_ = false;
};

class ManyClients {
 public:
  Result<void> create(const std::vector<SecretKey>& keys, const Options& options) {
    epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    for (const SecretKey& key : keys) {
      auto client = ManyClient::create(key, options);
      if (!client) return client.error();
      epoll_event event{.events = EPOLLIN, .data = {.u64 = clients_.size()}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, (*client)->descriptor(), &event) != 0)
        return errno_error("epoll");
      clients_.push_back(*std::move(client));
    }
    first_ids_.resize(clients_.size());
    return {};
  }

  /// Until a signal ends the program.
  [[noreturn]] void run(uint32_t per_second) {
    const Millis began = session::boottime_now();
    size_t dialled = 0;
    Millis report_at = began;
    for (;;) {
      Millis now = session::boottime_now();
      for (; dialled < clients_.size() && (now - began).value * per_second / 1'000 >= dialled;
           ++dialled)
        clients_[dialled]->dial(now);
      for (const auto& client : clients_)
        if (client->due() <= now) client->advance(now);
      if (now >= report_at) report();
      if (now >= report_at) report_at = now + kReport;
      wait();
    }
  }

 private:
  void wait() {
    std::array<epoll_event, 256> events;
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), 1);
    for (int i = 0; i < ready; ++i)
      clients_[events[static_cast<size_t>(i)].data.u64]->receive(session::boottime_now());
  }

  /// When something is new.
  void report() {
    bool changed = false;
    for (const auto& client : clients_) changed |= client->is_changed();
    if (!changed) return;
    std::map<std::string, uint32_t> at;
    uint32_t attached = 0;
    uint32_t other_ids = 0;
    uint64_t moved_ms = 0;
    for (size_t i = 0; i < clients_.size(); ++i) {
      const std::string id = clients_[i]->session();
      if (id.empty()) continue;
      ++attached;
      ++at[clients_[i]->gateway()];
      if (first_ids_[i].empty()) first_ids_[i] = id;
      other_ids += id != first_ids_[i] ? 1 : 0;
      moved_ms = std::max(moved_ms, clients_[i]->moved_ms());
    }
    const nlohmann::json line{{"attached", attached},
                              {"at", at},
                              {"other_ids", other_ids},
                              {"moved_ms", moved_ms},
                              {"connected", connects()}};
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }

  /// How many have had a session, and how long they waited for it.
  nlohmann::json connects() const {
    std::vector<uint64_t> ms;
    for (const auto& client : clients_)
      if (const auto took = client->connect_ms()) ms.push_back(*took);
    if (ms.empty()) return {{"count", 0}};
    std::ranges::sort(ms);
    const auto at = [&](size_t percent) { return ms[(ms.size() - 1) * percent / 100]; };
    return {{"count", ms.size()}, {"p50_ms", at(50)}, {"p99_ms", at(99)}, {"most_ms", ms.back()}};
  }

  FileDescriptor epoll_;
  std::vector<std::unique_ptr<ManyClient>> clients_;
  std::vector<std::string> first_ids_;
};

Result<void> make_keys(const Options& options) {
  ::umask(077);
  std::ofstream file(options.keys);
  for (uint32_t i = 0; i < options.count; ++i) {
    const SecretKey key = generate_secret_key();
    file << key_to_base64(key.bytes()) << '\n';
    fmt::print("{}\n", key_to_base64(public_key_of(key)));
  }
  if (!file.flush()) return Error{options.keys + ": can't be written"};
  return {};
}

Result<std::vector<SecretKey>> read_keys(const std::string& path) {
  std::vector<SecretKey> keys;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    auto key = key_from_base64(line);
    if (!key) return Error{path + ": a line isn't a key"};
    keys.emplace_back(*key);
    wipe(&*key, sizeof *key);
  }
  if (keys.empty()) return Error{path + ": no keys"};
  return keys;
}

Result<void> dial(const Options& options) {
  if (!key_from_base64(options.public_key)) return Error{"--public-key: expected a key in base64"};
  auto keys = read_keys(options.keys);
  if (!keys) return keys.error();
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::max<rlim_t>(files.rlim_cur, keys->size() + kOwnFiles);
  files.rlim_max = std::max(files.rlim_max, files.rlim_cur);
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return errno_error("RLIMIT_NOFILE");
  ManyClients clients;
  if (auto created = clients.create(*keys, options); !created) return created.error();
  clients.run(options.per_second);
}

int run(int argc, char** argv) {
  CLI::App app("Sessions of many initiators, for scenarios");
  app.require_subcommand(1);
  Options options;
  CLI::App* const keys = app.add_subcommand("keys", "makes private keys, prints the public ones");
  keys->add_option("count", options.count)->required()->check(CLI::Range(1U, 100'000U));
  keys->add_option("file", options.keys)->required();
  CLI::App* const dials = app.add_subcommand("dial", "dials with each of the keys");
  dials->add_option("file", options.keys)->required();
  dials->add_option("--public-key", options.public_key, "of the gateways")->required();
  dials->add_option("--source", options.source, "our address")->required();
  dials
      ->add_option("--gateway", options.gateways, "ADDRESS:PORT, the first one to be dialled first")
      ->required();
  dials->add_option("--per-second", options.per_second)->check(CLI::Range(1U, 10'000U));
  CLI11_PARSE(app, argc, argv);
  const Result<void> done = *keys ? make_keys(options) : dial(options);
  if (done) return 0;
  fmt::print(stderr, "many-clients: {}\n", done.error().message);
  return 1;
}

}  // namespace
}  // namespace jvpn::test

int main(int argc, char** argv) {
  return jvpn::test::run(argc, argv);
}
