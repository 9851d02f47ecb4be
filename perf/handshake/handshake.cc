#include "perf/handshake/handshake.h"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <openssl/evp.h>
#include <sys/random.h>

#include "common/aead.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/profile.h"
#include "perf/harness/command.h"
#include "perf/harness/engine_node.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/harness/progress.h"

namespace jvpn::perf {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kInitiators = 64;
constexpr unsigned kHandshakesPerSlice = 16;
constexpr unsigned kCallsPerSlice = 48;
constexpr uint32_t kSlotBits = 12;
constexpr uint64_t kTaiEpoch = (uint64_t{1} << 62) + 1'700'000'010;
constexpr PeerId kGatewayPeer{0};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A side of the handshake: the engine, and the work of its data path that comes with a session.
class Node final : public EngineNode {
 public:
  explicit Node(Aead& aead) : aead_(aead) {}

  void install_rx(const session::RxInstall& install) override {
    aead_.expand(install.suite, install.traffic_key, rx_key_);
  }
  void install_tx(const session::TxInstall& install) override {
    aead_.expand(install.suite, install.traffic_key, tx_key_);
    ++sessions;
  }
  void random(std::span<uint8_t> bytes) override {
    static_cast<void>(getrandom(bytes.data(), bytes.size(), 0));
  }
  wire::Timestamp timestamp() override {
    const uint64_t seconds = __builtin_bswap64(kTaiEpoch + ++stamps_);
    wire::Timestamp stamp{};
    __builtin_memcpy(stamp.data(), &seconds, sizeof seconds);
    return stamp;
  }

  uint64_t sessions = 0;  ///< that got a send side

 private:
  Aead& aead_;
  AeadKey rx_key_;
  AeadKey tx_key_;
  uint64_t stamps_ = 0;
};

/// A gateway and its peers, which set up one session after the other.
class Pair {
 public:
  explicit Pair(Aead aead) : aead_(std::move(aead)) {}

  Result<void> start(Suite suite) {
    const SecretKey gateway_key = generate_secret_key();
    session::EngineConfig config = config_for(gateway_key, suite);
    std::vector<session::EngineConfig> peers;
    for (size_t i = 0; i < kInitiators; ++i) {
      const SecretKey key = generate_secret_key();
      PresharedKey psk;
      gateway_.random(psk.span());
      config.peers.push_back({"peer" + std::to_string(i), public_key_of(key), psk, {}});
      peers.push_back(config_for(key, suite));
      peers.back().peers.push_back({"gateway", public_key_of(gateway_key), psk, {}});
    }
    if (auto started = gateway_.start(std::move(config), now_); !started) return started;
    for (session::EngineConfig& peer : peers) {
      auto node = std::make_unique<Node>(aead_);
      if (auto started = node->start(std::move(peer), now_); !started) return started;
      initiators_.push_back(std::move(node));
    }
    return {};
  }

  /// One session with the next peer, and its end, off the clock. Adds to the slice.
  Result<void> set_up(HandshakeSlice& slice) {
    now_ = now_ + Millis{1};
    const size_t number = next_++ % kInitiators;
    Node& initiator = *initiators_[number];
    const Path path{0,
                    {IpAddress::v4({192, 0, 2, 1}), wire::kDefaultPort},
                    {IpAddress::v4({198, 51, 100, static_cast<uint8_t>(number)}), 40'000}};
    const uint64_t before = gateway_.sessions;
    const auto begin = Clock::now();
    initiator.engine->dial(now_, kGatewayPeer, path);
    slice.initiator += seconds_since(begin);
    settle(initiator, path, &slice);
    if (gateway_.sessions == before) return Error{"a handshake did not end in a session"};
    initiator.engine->terminate(now_, kGatewayPeer, Detail::kOperator);
    settle(initiator, path, nullptr);
    initiator.engine->advance(now_);
    gateway_.engine->advance(now_);
    settle(initiator, path, nullptr);
    return {};
  }

 private:
  static session::EngineConfig config_for(const SecretKey& key, Suite suite) {
    session::EngineConfig config;
    config.private_key = key;
    config.suites = {suite};
    config.slot_bits = kSlotBits;
    config.handshakes_per_s = 1'000'000;
    return config;
  }

  /// Delivers until both sides are silent.
  void settle(Node& initiator, const Path& path, HandshakeSlice* slice) {
    double spent[2]{};
    while (!initiator.sent.empty() || !gateway_.sent.empty()) {
      deliver(initiator, gateway_, path, spent[0]);
      deliver(gateway_, initiator, path, spent[1]);
    }
    if (slice == nullptr) return;
    slice->responder += spent[0];
    slice->initiator += spent[1];
  }
  void deliver(Node& from, Node& to, const Path& path, double& spent) {
    auto datagrams = std::exchange(from.sent, {});
    const auto begin = Clock::now();
    for (auto& datagram : datagrams) test::give(*to.engine, now_, path, datagram.bytes);
    if (!datagrams.empty()) spent += seconds_since(begin);
  }

  Aead aead_;
  Millis now_{1'000};
  Node gateway_{aead_};
  std::vector<std::unique_ptr<Node>> initiators_;
  size_t next_ = 0;
};

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

/// OpenSSL with everything at hand, as `openssl speed ecdhx25519` has it.
class RawX25519 {
 public:
  RawX25519()
      : ours_(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")),
        theirs_(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")),
        context_(EVP_PKEY_CTX_new_from_pkey(nullptr, ours_.get(), nullptr)) {}

  bool ready() {
    return context_ && EVP_PKEY_derive_init(context_.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context_.get(), theirs_.get()) == 1 && derive();
  }
  bool derive() {
    size_t length = shared_.size();
    return EVP_PKEY_derive(context_.get(), shared_.data(), &length) == 1;
  }

 private:
  std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>> ours_;
  std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>> theirs_;
  std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>> context_;
  std::array<uint8_t, kDhBytes> shared_{};
};

template <typename Call>
double seconds_per_call(Call&& call) {
  const auto begin = Clock::now();
  for (unsigned i = 0; i < kCallsPerSlice; ++i) call();
  return seconds_since(begin) / kCallsPerSlice;
}

class Measurement {
 public:
  static Result<std::unique_ptr<Measurement>> create(Suite suite) {
    auto aead = Aead::create();
    if (!aead) return aead.error();
    std::unique_ptr<Measurement> made(new Measurement(*std::move(aead)));
    if (!made->raw_.ready()) return Error{"OpenSSL has no X25519"};
    if (auto started = made->pair_.start(suite); !started) return started.error();
    return made;
  }

  /// The raw calls stand between two halves of the handshakes, so that a drift of the machine hits
  /// both alike.
  Result<HandshakeSlice> slice() {
    HandshakeSlice slice;
    if (auto done = handshakes(slice); !done) return done.error();
    slice.raw_x25519 = seconds_per_call([this] { raw_.derive(); });
    slice.product_x25519 =
        seconds_per_call([this] { static_cast<void>(x25519(secret_, peer_, shared_)); });
    slice.ephemeral = seconds_per_call([this] { shared_ = public_key_of(secret_); });
    if (auto done = handshakes(slice); !done) return done.error();
    slice.responder /= kHandshakesPerSlice;
    slice.initiator /= kHandshakesPerSlice;
    return slice;
  }

 private:
  explicit Measurement(Aead aead) : pair_(std::move(aead)) {}

  Result<void> handshakes(HandshakeSlice& slice) {
    for (unsigned i = 0; i < kHandshakesPerSlice / 2; ++i)
      if (auto done = pair_.set_up(slice); !done) return done;
    return {};
  }

  Pair pair_;
  RawX25519 raw_;
  SecretKey secret_ = generate_secret_key();
  PublicKey peer_ = public_key_of(generate_secret_key());
  PublicKey shared_{};
};

struct HandshakeOptions {
  double seconds = 2;  ///< of a run
  unsigned runs = 5;
  Suite suite = Suite::kAes128Gcm;
  bool json = false;
};

void add_handshake_options(CLI::App& parser, HandshakeOptions& options) {
  add_number(parser, "--seconds", options.seconds, 0.05, 60, "of a run");
  add_number(parser, "--runs", options.runs, 1, 100, "of which the median counts");
  add_suite(parser, options.suite);
  add_json(parser, options.json);
}

Json handshake_json(const std::vector<HandshakeRun>& runs) {
  const auto of = [&](double HandshakeRun::*figure) { return spread(each_of(runs, figure)); };
  const auto side = [&](double HandshakeRun::*rate, double HandshakeRun::*ratio) {
    Json json;
    put_spread(json, "handshakes_per_s", of(rate));
    put_spread(json, "ratio", of(ratio));
    return json;
  };
  Json json{{"handshakes_per_s", of(&HandshakeRun::responder_per_s).median},
            {"ratio", of(&HandshakeRun::responder_ratio).median}};
  put_spread(json, "raw_x25519_per_s", of(&HandshakeRun::raw_x25519_per_s));
  json["responder"] = side(&HandshakeRun::responder_per_s, &HandshakeRun::responder_ratio);
  json["both_sides"] = side(&HandshakeRun::both_sides_per_s, &HandshakeRun::both_sides_ratio);
  json["responder_us"] = {{"x25519", of(&HandshakeRun::x25519_us).median},
                          {"ephemeral_key", of(&HandshakeRun::ephemeral_us).median},
                          {"rest", of(&HandshakeRun::rest_us).median}};
  json["counted"] =
      "responder: all of the engine's work on one core from initiation to confirmed session; ratio "
      "to raw X25519 / 4, both sides to raw X25519 / 8";
  json["runs"] = runs.size();
  return json;
}

std::string handshake_table(const Json& json) {
  const char* side =
      "{handshakes_per_s:>10.0f}{handshakes_per_s_min:>10.0f}{handshakes_per_s_max:>10.0f}"
      "{ratio:>10.3f}{ratio_min:>8.3f}{ratio_max:>8.3f}\n";
  return render(
             "{handshakes} handshakes, {suite}, {runs} runs\n\n"
             "per s, core    median       min       max     ratio     min     max\n",
             json) +
         "responder   " + render(side, json["responder"]) + "both sides  " +
         render(side, json["both_sides"]) +
         render(
             "raw X25519  {raw_x25519_per_s:>10.0f}{raw_x25519_per_s_min:>10.0f}"
             "{raw_x25519_per_s_max:>10.0f}\n\n"
             "responder  {responder_us_x25519:.1f} us in four X25519, "
             "{responder_us_ephemeral_key:.1f} us for its ephemeral key, {responder_us_rest:.1f} "
             "us "
             "for the rest\n"
             "ratio      to raw X25519 / 4; of both sides, to raw X25519 / 8\n",
             json);
}

Result<Measured> measure_handshakes(const HandshakeOptions& options) {
  auto measurement = Measurement::create(options.suite);
  if (!measurement) return measurement.error();
  if (auto warm = (*measurement)->slice(); !warm) return warm.error();
  ProgressLine progress;
  std::vector<HandshakeRun> runs;
  uint64_t handshakes = 0;
  while (runs.size() < options.runs && !interrupted()) {
    std::vector<HandshakeSlice> slices;
    const auto begin = Clock::now();
    while (slices.empty() || (seconds_since(begin) < options.seconds && !interrupted())) {
      const auto slice = (*measurement)->slice();
      if (!slice) return slice.error();
      slices.push_back(*slice);
    }
    handshakes += slices.size() * kHandshakesPerSlice;
    runs.push_back(figures_of(slices));
    progress.show(runs.size(), options.runs, "runs of handshakes");
  }
  Json json = handshake_json(runs);
  json["suite"] = to_string(options.suite);
  json["handshakes"] = handshakes;
  return Measured{json, handshake_table(json)};
}

double per_second(double seconds) {
  return seconds > 0 ? 1 / seconds : 0;
}

}  // namespace

HandshakeRun figures_of(std::span<const HandshakeSlice> slices) {
  constexpr double kMicro = 1e6;
  using Slice = HandshakeSlice;
  const auto middle = [&](auto figure) { return median(each_of(slices, figure)); };
  const auto both = [](const Slice& s) { return s.responder + s.initiator; };
  const auto four = [](const Slice& s) { return kDerivationsPerSide * s.product_x25519; };
  HandshakeRun run;
  run.responder_per_s = per_second(middle(&Slice::responder));
  run.both_sides_per_s = per_second(middle(both));
  run.raw_x25519_per_s = per_second(middle(&Slice::raw_x25519));
  run.responder_ratio = middle(
      [](const Slice& s) { return kDerivationsPerSide * s.raw_x25519 * per_second(s.responder); });
  run.both_sides_ratio = middle(
      [&](const Slice& s) { return 2 * kDerivationsPerSide * s.raw_x25519 * per_second(both(s)); });
  run.x25519_us = kMicro * middle(four);
  run.ephemeral_us = kMicro * middle(&Slice::ephemeral);
  run.rest_us =
      kMicro * middle([&](const Slice& s) { return s.responder - four(s) - s.ephemeral; });
  return run;
}

Command add_handshake(CLI::App& app) {
  return make_command(app, "handshake",
                      "New sessions per second and core, against the raw X25519 rate of OpenSSL",
                      {}, add_handshake_options, measure_handshakes);
}

}  // namespace jvpn::perf
