// jvpn-perf handshake: what a new session costs the core that sets it up,
// against OpenSSL's bare X25519. One thread does everything, the two sides and the raw calls in
// turn.
//
//   initiator                                     responder (the gateway)
//   dial: e, es, ss          ── initiation ──▶    MACs, es, ss, timestamp; e, ee, se, keys
//   ee, se, keys, attached   ◀── response ───
//                            ── heartbeat ───▶    opened: keys confirmed, session ATTACHED,
//                            published ◀── its answers ─
//
// Counted for the responder is all that the shipping engine does from the initiation to the last
// answer, MAC checks and key expansion of the data path's records included: what one core pays if
// it does everything. Not counted: the end of the session before the next one, event sinks, I/O.
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <openssl/evp.h>

#include "common/aead.h"
#include "common/noise.h"
#include "common/path.h"
#include "common/profile.h"
#include "control/session/system_sources.h"
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

/// Seconds that one of each took, over a few hundred microseconds to milliseconds.
struct HandshakeSlice {
  double responder = 0;
  double initiator = 0;
  double raw_x25519 = 0;      ///< EVP_PKEY_derive with keys at hand
  double product_x25519 = 0;  ///< x25519() of common/noise.h, keys from bytes
  double ephemeral = 0;       ///< public_key_of()
};

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
  void random(std::span<uint8_t> bytes) override { session::fill_random(bytes); }
  wire::Timestamp timestamp() override { return session::tai64n_now(); }

  uint64_t sessions = 0;  ///< that got a send side

 private:
  Aead& aead_;
  AeadKey rx_key_;
  AeadKey tx_key_;
};

/// OpenSSL with everything at hand, as `openssl speed ecdhx25519` has it.
class RawX25519 {
 public:
  bool ready() {
    return context_ && EVP_PKEY_derive_init(context_.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context_.get(), theirs_.get()) == 1 && derive();
  }
  bool derive() {
    size_t length = shared_.size();
    return EVP_PKEY_derive(context_.get(), shared_.data(), &length) == 1;
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  static Key fresh() { return {EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"), EVP_PKEY_free}; }

  Key ours_ = fresh();
  Key theirs_ = fresh();
  std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context_{
      EVP_PKEY_CTX_new_from_pkey(nullptr, ours_.get(), nullptr), EVP_PKEY_CTX_free};
  std::array<uint8_t, kDhBytes> shared_{};
};

template <typename Call>
double seconds_of(Call&& call) {
  const auto begin = Clock::now();
  call();
  return seconds_since(begin);
}

template <typename Call>
double seconds_per_call(Call&& call) {
  return seconds_of([&] {
           for (unsigned i = 0; i < kCallsPerSlice; ++i) call();
         }) /
         kCallsPerSlice;
}

/// A gateway and its peers, which set up one session after the other.
class Measurement : EngineWorld<Node, Node> {
 public:
  explicit Measurement(Aead& aead) : EngineWorld(aead) {
    for (size_t i = 0; i < kInitiators; ++i) peers.push_back(std::make_unique<Node>(aead));
  }

  Result<void> start(Suite suite) {
    if (!raw_.ready()) return Error{"OpenSSL has no X25519"};
    session::EngineConfig config;
    config.suites = {suite};
    config.slot_bits = kSlotBits;
    config.handshakes_per_s = 1'000'000;
    return EngineWorld::start(config, config);
  }

  /// The raw calls stand between two halves of the handshakes, so that a drift of the machine hits
  /// both alike.
  Result<HandshakeSlice> slice() {
    HandshakeSlice slice;
    for (unsigned i = 0; i < kHandshakesPerSlice; ++i) {
      if (i == kHandshakesPerSlice / 2) time_raw_calls(slice);
      if (!set_up(slice)) return Error{"a handshake did not end in a session"};
    }
    slice.responder /= kHandshakesPerSlice;
    slice.initiator /= kHandshakesPerSlice;
    return slice;
  }

 private:
  /// One session with the next peer, and its end, off the clock. Adds to the slice.
  bool set_up(HandshakeSlice& slice) {
    now = now + Millis{1};
    const auto number = static_cast<uint32_t>(next_++ % kInitiators);
    Node& initiator = *peers[number];
    const uint64_t before = gateway.sessions;
    slice.initiator +=
        seconds_of([&] { initiator.engine->dial(now, kGatewayPeer, path_of(number, 0)); });
    settle(
        initiator,
        [&](const Path& path, auto& bytes) {
          slice.responder += seconds_of([&] { test::give(*gateway.engine, now, path, bytes); });
        },
        [&](Node& peer, const Path& path, auto& bytes) {
          slice.initiator += seconds_of([&] { test::give(*peer.engine, now, path, bytes); });
        });
    const bool attached = gateway.sessions != before;
    initiator.engine->terminate(now, kGatewayPeer, Detail::kOperator);
    settle(initiator);
    initiator.engine->advance(now);
    gateway.engine->advance(now);
    settle(initiator);
    return attached;
  }

  void time_raw_calls(HandshakeSlice& slice) {
    slice.raw_x25519 = seconds_per_call([this] { raw_.derive(); });
    slice.product_x25519 =
        seconds_per_call([this] { static_cast<void>(x25519(secret_, peer_, shared_)); });
    slice.ephemeral = seconds_per_call([this] { shared_ = public_key_of(secret_); });
  }

  RawX25519 raw_;
  SecretKey secret_ = generate_secret_key();
  PublicKey peer_ = public_key_of(generate_secret_key());
  PublicKey shared_{};
  size_t next_ = 0;
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

Result<Measured> measure_handshakes(const HandshakeOptions& options) {
  auto aead = Aead::create();
  if (!aead) return aead.error();
  Measurement measurement(*aead);
  if (auto started = measurement.start(options.suite); !started) return started.error();
  if (auto warm = measurement.slice(); !warm) return warm.error();
  ProgressLine progress;
  Json runs = Json::array();  // of each its slices
  uint64_t handshakes = 0;
  while (runs.size() < options.runs && !interrupted()) {
    Json& slices = runs.emplace_back(Json::array());
    const auto begin = Clock::now();
    while (slices.empty() || (seconds_since(begin) < options.seconds && !interrupted())) {
      const auto slice = measurement.slice();
      if (!slice) return slice.error();
      slices.push_back({slice->responder, slice->initiator, slice->raw_x25519,
                        slice->product_x25519, slice->ephemeral});
    }
    handshakes += slices.size() * kHandshakesPerSlice;
    progress.show(runs.size(), options.runs, "runs of handshakes");
  }
  const Json facts{{"suite", to_string(options.suite)}, {"handshakes", handshakes}};
  return Measured{{{"runs", std::move(runs)}, {"facts", facts}}};
}

}  // namespace

Command add_handshake(CLI::App& app) {
  return make_command(app, "handshake",
                      "New sessions per second and core, against the raw X25519 rate of OpenSSL",
                      {}, add_handshake_options, measure_handshakes);
}

}  // namespace jvpn::perf
