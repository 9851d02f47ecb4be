// A misbehaving client: seals whatever it likes under a session's real control keys, and takes
// apart what gateways answer. The keys are those of the gateway's own receive records.
#pragma once

#include <algorithm>
#include <vector>

#include "control/protocol/handshake_messages.h"
#include "control/session/control_message.h"
#include "tests/matrix/rig.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

/// Bytes of any message as it stands on the wire.
template <typename Message>
Bytes bytes_of(const Message& message) {
  const auto* start = reinterpret_cast<const uint8_t*>(&message);
  return {start, start + sizeof message};
}

/// The message in a plaintext, when the size is right.
template <typename Message>
std::optional<Message> message_in(const Bytes& plaintext) {
  if (plaintext.size() != sizeof(Message)) return std::nullopt;
  Message message;
  __builtin_memcpy(&message, plaintext.data(), sizeof message);
  return message;
}

class Forger {
 public:
  explicit Forger(Rig& rig, size_t client = 0) : rig_(rig), client_(client) {}

  /// The gateway's index of the binding in use.
  ReceiverIndex active() const { return rig_.client(client_).installs().back().peer_index; }

  /// The gateway's index of the n-th spare that no commit has taken or voided.
  ReceiverIndex spare(size_t n = 0) const {
    std::vector<const RxRecord*> unused;
    const SessionTable& table = rig_.gateway().sessions();
    const LaneId in_use = table.rx(active().value)->first_lane;
    for (uint32_t slot = 0; slot < uint32_t{1} << table.slot_bits(); ++slot) {
      const RxRecord* record = table.rx(slot);
      const bool ours = record != nullptr && record->peer.value == client_;
      if (ours && record->first_lane > in_use) unused.push_back(record);
    }
    std::ranges::sort(unused, {}, &RxRecord::first_lane);
    EXPECT_LT(n, unused.size()) << "no spare is left";
    return n < unused.size() ? unused[n]->index : ReceiverIndex{};
  }

  /// A sound request to replace the present binding; each has a higher nonce.
  wire::ReattachRequest request() {
    const Snapshot session = rig_.at_gateway(client_);
    wire::ReattachRequest made{};
    made.header = control_header(wire::ControlType::kReattachRequest);
    made.session_id = session.id.bytes;
    made.nonce = ++nonce;
    made.clock_ms = rig_.now().value;
    made.binding_version = session.binding.value;
    made.receiver = kReceiver;
    made.lanes = 1;
    made.retire_active = 1;
    made.cause = wire::ReattachCause::kPlanned;
    return made;
  }

  /// Sealed under the keys of the gateway's index, on its way from a path of the client.
  Datagram seal(ReceiverIndex index, size_t path, const Bytes& plaintext) {
    const RxRecord* record = rig_.gateway().sessions().rx(index.value);
    EXPECT_NE(record, nullptr);
    // Clients have one lane: a binding's number is that of its lane.
    const uint64_t counter =
        wire::make_counter(record->first_lane, counter_++) ^ record->control().mask;
    const wire::TransportHeader header{wire::MessageType::kControl, {}, index.value, counter};
    const Bytes message =
        openssl_message(header, record->traffic_key.suite, record->control().key, plaintext);
    return rig_.datagram_up(path, message, client_);
  }

  /// Sends it, and lets the gateway deal with it.
  template <typename Message>
  void send(ReceiverIndex index, size_t path, const Message& message) {
    rig_.inject(seal(index, path, bytes_of(message)));
    rig_.run_for(Millis{1});
  }

  /// The messages of a type that the gateway sent since the first `since` of what was sent.
  template <typename Message>
  std::vector<Message> answers(wire::ControlType type, size_t since = 0) const {
    std::vector<Message> found;
    for (size_t i = since; i < rig_.sent.size(); ++i) {
      const Datagram& each = rig_.sent[i];
      if (each.up || each.client != client_ || each.control != type) continue;
      const auto plain = rig_.client(client_).open(each.bytes);
      if (plain) found.push_back(message_in<Message>(*plain).value());
    }
    return found;
  }

  uint64_t nonce = 0;

 private:
  static constexpr uint32_t kReceiver = 0x7700'0001;  ///< an index that no client has

  Rig& rig_;
  size_t client_;
  uint64_t counter_ = 150;  ///< not used by the client itself, yet within its window
};

/// Both ends as they are now: what was refused has changed neither.
class Still {
 public:
  explicit Still(Rig& rig, size_t client = 0)
      : rig_(rig),
        client_(client),
        gateway_before_(rig.at_gateway(client)),
        client_before_(rig.at_client(client)),
        changes_before_(rig.gateway().events().changes().size()) {}

  /// Neither state, version, binding nor identity moved, no transition was told, and packets pass.
  void expect() const {
    EXPECT_EQ(rig_.at_gateway(client_), gateway_before_);
    EXPECT_EQ(rig_.at_client(client_), client_before_);
    EXPECT_EQ(rig_.gateway().events().changes().size(), changes_before_);
    EXPECT_TRUE(rig_.serves(client_));
  }

 private:
  Rig& rig_;
  size_t client_;
  Snapshot gateway_before_;
  Snapshot client_before_;
  size_t changes_before_;
};

}  // namespace jvpn::test
