#include "tests/matrix/client_node.h"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

#include "control/events/event_json.h"
#include "tests/matrix/gateway_node.h"
#include "tests/support/openssl_aead.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr uint32_t kSlotBits = 8;

}  // namespace

IpAddress inner_address(size_t client) {
  return IpAddress::v4({10, 1, 0, static_cast<uint8_t>(2 + client)});
}

ClientNode::ClientNode(const ClientSpec& spec, Millis now, Carry carry)
    : SilentHost(spec.seed),
      number_(spec.number),
      carry_(std::move(carry)),
      suite_(spec.suite),
      now_(now) {
  data_path_ = *DataPath::create({Prefix{address(kInsideAddress), 32}}, kSlotBits);
  EngineConfig config;
  config.private_key = spec.private_key;
  config.peers.push_back({"gateway", spec.gateway, std::nullopt, {}});
  config.suites = {spec.suite};
  config.slot_bits = kSlotBits;
  config.policy = spec.policy;
  if (spec.adjust) spec.adjust(config);
  auto engine = SessionEngine::create(std::move(config), *this, now);
  EXPECT_TRUE(engine.ok());
  engine_ = std::move(*engine);
}

void ClientNode::dial(Millis now, const Path& path) {
  now_ = now;
  engine_->dial(now, kGateway, path);
}

void ClientNode::advance(Millis now) {
  now_ = now;
  if (engine_->next_deadline() <= now) engine_->advance(now);
}

void ClientNode::receive(Millis now, const Path& from, Bytes datagram) {
  now_ = now;
  const std::span<uint8_t> message(datagram);
  if (wire::MessageType{datagram.at(0)} != wire::MessageType::kData) {
    if (!give(*engine_, now, from, message)) data_path_->counters().drop(Drop::kBadTag);
    return;
  }
  std::vector<std::span<uint8_t>> inner;
  data_path_->open({&message, 1}, now, inner);
  for (const auto packet : inner) take_inner(packet);
}

bool ClientNode::send_echo() {
  const Bytes packet =
      echo_request(inner_address(number_), address(kInsideAddress), ++echo_sequence_);
  if (!data_path_->admit(packet, packet.size())) return false;
  std::ranges::copy(packet, batch_.next(packet.size()));
  data_path_->seal(batch_, now_);
  for (const auto sealed : batch_.packets()) carry_(*data_path_->path(), sealed);
  const bool sent = !batch_.empty();
  batch_.clear();
  engine_->wake(now_, kGateway);
  return sent;
}

void ClientNode::take_inner(std::span<const uint8_t> packet) {
  constexpr size_t kIcmp = 20;
  const bool reply = packet.size() > kIcmp && packet[9] == kIcmpProtocol && packet[kIcmp] == 0;
  if (reply) ++echoes_;
}

std::optional<Bytes> ClientNode::open(std::span<const uint8_t> datagram) const {
  wire::TransportHeader header;
  if (datagram.size() < wire::kTransportOverhead) return std::nullopt;
  __builtin_memcpy(&header, datagram.data(), sizeof header);
  if (header.type != wire::MessageType::kControl) return std::nullopt;
  const Bytes sealed(datagram.begin() + sizeof header, datagram.end());
  for (const auto& [index, install] : rx_) {
    const Nonce nonce =
        transport_nonce(iv_of(install.control_key), ReceiverIndex{header.receiver}, header.counter);
    if (auto plain = openssl_open(suite_, install.control_key, nonce, sealed)) return plain;
  }
  return std::nullopt;
}

void ClientNode::send(const Path& path, std::span<const uint8_t> datagram) {
  carry_(path, datagram);
}

void ClientNode::install_rx(const RxInstall& install) {
  EXPECT_TRUE(rx_.emplace(install.index.value, install).second) << "index installed twice";
  data_path_->install_rx(install);
}

void ClientNode::retire_rx(ReceiverIndex index) {
  EXPECT_EQ(rx_.erase(index.value), 1U) << "retired an index that isn't installed";
  data_path_->retire_rx(index);
}

void ClientNode::install_tx(const TxInstall& install) {
  tx_ = install;
  installs_.push_back(install);
  data_path_->install_tx(install);
}

void ClientNode::withdraw_tx(PeerId) {
  tx_.reset();
  data_path_->withdraw_tx();
}

void ClientNode::emit(const Event& event) {
  book_.add(
      to_json_line(event, ++event_sequence_, event.at.value, "client" + std::to_string(number_)));
}

}  // namespace jvpn::test
