// What one part of the engine needs around it: a context with two peers, an environment of plain
// variables, and sessions as a handshake would leave them. Nothing of the other parts.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/session/context.h"
#include "control/session/key_generation.h"
#include "control/session/memory_ownership.h"
#include "control/session/vocabulary.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

/// Answers from variables that a test sets.
class PlainEnvironment : public Environment {
 public:
  Activity activity(PeerId) override { return traffic; }
  RxProgress rx_progress(ReceiverIndex index) override { return progress[index.value]; }
  Published published(PeerId) override { return seen; }
  /// Something came under each index; a test that stops one twice fails.
  std::optional<LaneReport> stop_data(ReceiverIndex index) override {
    if (!says_taken) return std::nullopt;
    EXPECT_TRUE(stopped.insert(index.value).second);
    return LaneReport{index, true, {{LaneId{0}, index.value % 100 + 1, {}}}};
  }
  uint16_t inner_mtu(const Path&) override { return mtu; }
  void random(std::span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(++drawn_);
  }
  wire::Timestamp timestamp() override { return stamp; }

  uint16_t mtu = 1'400;
  Activity traffic;
  Published seen;
  std::map<uint32_t, RxProgress> progress;
  wire::Timestamp stamp{0x40};
  bool says_taken = true;      ///< what came under an index, at once
  std::set<uint32_t> stopped;  ///< indices

 private:
  uint32_t drawn_ = 0;
};

inline Path path_over(uint8_t network) {
  return {network,
          {IpAddress::v4({192, 0, network, 2}), 51'900},
          {IpAddress::v4({192, 0, network, 1}), 51'900}};
}

class PartRig : public testing::Test {
 protected:
  static constexpr PeerId kPeer{0};

  PartRig() {
    for (uint8_t i = 0; i < 2; ++i) {
      EnginePeer peer;
      peer.name = "peer" + std::to_string(i);
      peer.public_key.fill(static_cast<uint8_t>(0x40 + i));
      config.peers.push_back(std::move(peer));
    }
    config.suites = {Suite::kAes128Gcm};
  }

  /// A session that is attached over network 1, with keys on both ends and no spare yet. The record
  /// is made, not stepped: no other part takes part.
  Session& attached(bool initiates) {
    SessionRecord record = new_record(now, now + Millis{180'000});
    record.state = State::kAttached;
    record.version = StateVersion{1};
    record.binding_version = BindingVersion{1};
    record.has_transport = true;
    PeerState& peer = table.peer(kPeer);
    peer.session =
        std::make_unique<Session>(kPeer, path_over(1), Suite::kAes128Gcm, record, counters.totals);
    Session& session = *peer.session;
    session.id.bytes.fill(0x5e);
    session.bound_id = session.id;
    session.confirmed = true;
    if (initiates) {
      session.initiator = std::make_unique<InitiatorSide>();
      session.initiator->policy = config.policy;
    } else {
      session.responder = std::make_unique<ResponderSide>();
    }
    NoiseKeys keys;
    keys.initiator_to_responder.bytes().fill(1);
    keys.responder_to_initiator.bytes().fill(2);
    const auto index = table.indices().allocate(kPeer, 0x1234'0000);
    session.current = make_generation(now, keys, initiates, *index, ReceiverIndex{0x7777'0000}, 1);
    session.binding.tx_installed = true;
    return session;
  }
  /// Initiator: the responder has told of so many spares.
  static void learn(Session& session, size_t count) {
    wire::SpareIndices told{};
    for (uint16_t i = 0; i < count; ++i) {
      told.index[i] = 0x8000U + i;
      told.number[i] = static_cast<uint16_t>(i + 1);
    }
    session.current->learn_spares(told);
  }

  template <typename T>
  size_t count() const {
    size_t found = 0;
    for (const Effect& effect : effects.list()) found += std::holds_alternative<T>(effect) ? 1 : 0;
    return found;
  }
  /// The latest effect of a kind; a failure when there is none.
  template <typename T>
  T latest() const {
    for (size_t i = effects.list().size(); i-- > 0;) {
      if (const T* found = std::get_if<T>(&effects.list()[i])) return *found;
    }
    ADD_FAILURE() << "no such effect";
    return T{};
  }
  /// The type of the latest control message, opened again; a failure when none was sent.
  wire::ControlType latest_type(Session& session) {
    const auto sealed = effects.datagram(latest<Send>());
    std::vector<uint8_t> datagram(sealed.begin(), sealed.end());
    wire::TransportHeader header;
    __builtin_memcpy(&header, datagram.data(), sizeof header);
    const std::span<uint8_t> body(datagram.data() + sizeof header,
                                  datagram.size() - wire::kTransportOverhead);
    AeadKey key;
    aead.expand(session.suite, session.current->keys.send.control.bytes(), key);
    const bool opened = aead.open_one(
        key, transport_nonce(key.iv, ReceiverIndex{header.receiver}, header.counter), {}, body,
        std::span<const uint8_t, kAeadTagBytes>(body.data() + body.size(), kAeadTagBytes));
    EXPECT_TRUE(opened);
    return wire::ControlType{body[1]};
  }

  std::vector<Reason> reasons() const {
    std::vector<Reason> all;
    for (const Effect& effect : effects.list()) {
      if (const Event* event = std::get_if<Event>(&effect)) all.push_back(event->reason);
    }
    return all;
  }

  Millis now{1'000'000};
  EngineConfig config;
  PlainEnvironment environment;
  Effects effects;
  EngineCounters counters;
  MemoryStore sessions;
  MemoryOwnership ownership{sessions};
  StoreCalls store{config, ownership};
  PeerTable table{2, 8};
  Aead aead{std::move(*Aead::create())};
  MessageMac mac{std::move(*MessageMac::create())};
  Context context{config, table, environment, effects, counters, store, aead, mac};
};

}  // namespace jvpn::test
