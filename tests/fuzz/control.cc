// Control messages under valid keys: two engines live through what the input says, while one of
// them lies to the other. A lie is the latest true message of a type, spoilt, or made of nothing.
#include "control/session/control_message.h"
#include "tests/fuzz/engine_pair.h"

namespace jvpn::fuzz {
namespace {

class Life {
 public:
  explicit Life(Draw& draw) : draw_(draw) { pair_.connect(); }

  void live() {
    constexpr int kMostSteps = 48;
    for (int i = 0; i < kMostSteps && !draw_.empty(); ++i) step();
    for (size_t i = 0; i < 2; ++i) pair_.side(i).short_of_memory = false;
    pair_.pass(Millis{200});
    pair_.end();
  }

 private:
  void step() {
    switch (draw_.below(16)) {
      case 0:
        return pair_.pass(Millis{draw_.number()});
      case 1:
        return pair_.pass(Millis{draw_.number<uint16_t>()});
      case 2:
        return move();
      case 3:
        return fail();
      case 4:
        return administer();
      case 5:
        return count_data();
      case 6:
        return pair_.side(draw_.below(2)).sent.clear();
      default:
        return lie();
    }
  }

  void lie() {
    const size_t to = draw_.below(2);
    const Bytes plaintext = message(to);
    const auto installs = pair_.side(to).published(kPeer).rx;
    if (installs.empty()) return;
    const PublishedRx& under = installs[draw_.below(installs.size())];
    const Path from = from_other_side(Pair::path(1 - to, draw_.below(kNetworks)));
    const uint64_t counter = wire::make_counter(under.first_lane, draw_.number() + 128U);
    pair_.engine(to).on_control(pair_.now, from, under.index, counter, plaintext);
    if (draw_.flip()) pair_.settle();
  }

  Bytes message(size_t to) {
    const auto type = static_cast<uint8_t>(draw_.below(24));
    Bytes plaintext = pair_.known(to, type);
    if (plaintext.empty()) {
      const auto header = control_header(wire::ControlType{type}, draw_.number());
      plaintext.resize(sizeof header);
      std::memcpy(plaintext.data(), &header, sizeof header);
      const Bytes body = draw_.bytes(draw_.number());
      plaintext.insert(plaintext.end(), body.begin(), body.end());
    }
    for (size_t spoilt = draw_.below(4); spoilt > 0; --spoilt) {
      const std::span<uint8_t> body(plaintext);
      draw_.spoil(body.subspan(std::min(body.size(), sizeof(wire::ControlHeader))));
    }
    if (draw_.below(16) == 0) plaintext.resize(draw_.number<uint16_t>() % 1'500);
    plaintext.shrink_to_fit();
    return plaintext;
  }

  void move() {
    const Path path = Pair::path(0, draw_.below(kNetworks));
    SessionEngine& initiator = pair_.engine(0);
    switch (draw_.below(6)) {
      case 0:
        return initiator.jump(pair_.now, kPeer, path);
      case 1:
        return initiator.path_lost(pair_.now, kPeer, path);
      case 2:
        return initiator.set_candidates(pair_.now, kPeer, std::array{path, Pair::path(0, 0)});
      case 3:
        return initiator.dial(pair_.now, kPeer, path);
      case 4:
        return pair_.engine(1).dial(pair_.now, kPeer, from_other_side(path));
      default:
        return initiator.mtu_changed(pair_.now, kPeer);
    }
  }

  void fail() {
    Side& side = pair_.side(draw_.below(2));
    switch (draw_.below(5)) {
      case 0:
        side.short_of_memory = draw_.flip();
        return;
      case 1:
        side.store.late = draw_.flip();
        return;
      case 2:
        side.store.reachable = draw_.flip();
        return;
      case 3:
        side.store.answers = draw_.flip();
        return;
      default:
        side.store.answer(pair_.now, OwnershipAnswer{static_cast<uint8_t>(draw_.below(5))});
        return side.engine->advance(pair_.now);
    }
  }

  void administer() {
    SessionEngine& engine = pair_.engine(draw_.below(2));
    switch (draw_.below(6)) {
      case 0:
        return engine.terminate(pair_.now, kPeer, Detail::kOperator);
      case 1:
        return engine.interface_lost(pair_.now, static_cast<uint16_t>(draw_.below(kNetworks)));
      case 2:
        return engine.ask_jump(pair_.now, kPeer, wire::Hint{draw_.number()});
      case 3:
        return engine.deny_new_sessions(pair_.now);
      case 4:
        return engine.wake(pair_.now, kPeer);
      default: {
        Policy policy = engine.policy();
        policy.version += 1;
        policy.session.idle_max = Millis{draw_.number() * 1'000U};
        policy.switching.switch_cooldown = Millis{draw_.number() * 10U};
        policy.transport.max_candidate_count = static_cast<uint32_t>(draw_.below(4));
        return engine.set_policy(pair_.now, policy);
      }
    }
  }

  void count_data() {
    Activity& traffic = pair_.side(draw_.below(2)).traffic;
    const uint64_t packets = draw_.number<uint16_t>();
    traffic.rx_packets += packets;
    traffic.tx_packets += packets;
    traffic.tx_generation_packets += packets;
    if (draw_.flip()) traffic.last_rx = pair_.now;
  }

  Draw& draw_;
  Pair pair_;
};

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jvpn::fuzz::Draw draw(data, size);
  jvpn::fuzz::Life(draw).live();
  return 0;
}
