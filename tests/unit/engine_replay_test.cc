// The engine decides from its inputs alone: a recorded stream of them, with what the host answered
// in between, gives the same events and datagrams in a fresh engine, byte for byte. And in random
// lives of sessions, a million inputs long, no invariant breaks. Every failure prints its seed.
#include <gtest/gtest.h>

#include "common/limits.h"
#include "tests/support/engine_storm.h"
#include "tests/support/jumper.h"
#include "tests/support/rooms.h"
#include "tests/support/silent_host.h"

namespace jvpn {
namespace {

using namespace test;
using wire::MessageType;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kInputs = 60'000;  // unoptimised, and slowed down further
#else
constexpr uint64_t kInputs = 1'000'000;
#endif

/// Answers as the recording says, and keeps what the engine says.
class ReplayHost : public SilentHost {
 public:
  explicit ReplayHost(Recording recording) : recording_(std::move(recording)) {}
  void send(const Path& path, std::span<const uint8_t> datagram) override {
    sent.push_back({path, {datagram.begin(), datagram.end()}});
  }
  Activity activity(PeerId) override { return take(recording_.activities); }
  RxProgress rx_progress(ReceiverIndex) override { return take(recording_.progresses); }
  void emit(const Event& event) override {
    lines += to_json_line(event, ++sequence_, event.at.value, "n1") + "\n";
  }
  void random(std::span<uint8_t> bytes) override {
    const Bytes recorded = take(recording_.randoms);
    ASSERT_EQ(recorded.size(), bytes.size());
    std::ranges::copy(recorded, bytes.begin());
  }
  wire::Timestamp timestamp() override { return take(recording_.timestamps); }
  bool used_up() const {
    return recording_.activities.empty() && recording_.progresses.empty() &&
           recording_.randoms.empty() && recording_.timestamps.empty();
  }

  std::string lines;
  std::vector<std::pair<Path, Bytes>> sent;

 private:
  template <typename T>
  T take(std::deque<T>& from) {
    EXPECT_FALSE(from.empty()) << "the engine asks for more than when it was recorded";
    if (from.empty()) return T{};
    T first = std::move(from.front());
    from.pop_front();
    return first;
  }
  Recording recording_;
  uint64_t sequence_ = 0;
};

TEST(EngineReplay, RecordedInputsGiveTheSameEventsByteForByte) {
  const uint64_t seed = fresh_seed();
  SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
  Recording recording;
  Storm storm(seed, &recording);
  for (int i = 0; i < 60; ++i) storm.go_on();
  const std::string recorded = storm.world.node(1).json_lines();
  ASSERT_FALSE(recorded.empty());

  std::vector<std::pair<Path, Bytes>> sent;
  for (int round = 0; round < 2; ++round) {
    ReplayHost host(recording);
    const auto engine = SessionEngine::create(World::config_from(seed, Storm::policies(seed), 2, 1),
                                              host, Millis{1'000'000})
                            .value()
                            .release();
    const std::unique_ptr<SessionEngine> owned(engine);
    for (const Recording::Input& input : recording.inputs) input(*engine);
    EXPECT_EQ(host.lines, recorded);
    EXPECT_TRUE(host.used_up());
    if (round == 1) {
      EXPECT_EQ(host.sent, sent);
    }
    sent = std::move(host.sent);
  }
}

TEST(EngineReplay, AMillionInputsBreakNothing) {
  uint64_t seed = fresh_seed();
  uint64_t inputs = 0;
  const bool once = std::getenv("JVPN_SEED") != nullptr;
  do {
    SCOPED_TRACE("JVPN_SEED=" + std::to_string(seed));
    Storm storm(seed++);
    for (int i = 0; i < 200 && !HasFailure(); ++i) storm.go_on();
    storm.check_history();
    inputs += storm.inputs();
  } while (!once && inputs < kInputs && !HasFailure());
  RecordProperty("inputs", std::to_string(inputs));
  std::printf("%lu inputs\n", static_cast<unsigned long>(inputs));
}

}  // namespace
}  // namespace jvpn
