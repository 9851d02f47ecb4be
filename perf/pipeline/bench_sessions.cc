#include "perf/pipeline/bench_sessions.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "perf/harness/interrupt.h"
#include "perf/harness/keep.h"

namespace jvpn::perf {
namespace {

constexpr uint64_t kEndlessQuota = wire::kSequenceMask;  // a run may outlast a key
constexpr uint32_t kLookForInterrupt = 1'024;
constexpr uint16_t kPorts = 3;

/// splitmix64, of G. Steele, D. Lea and C. Flood.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

/// The number in the lower three bytes, upon `second`.
IpAddress numbered(uint8_t first, uint32_t second, uint32_t number) {
  return IpAddress::v4({first, static_cast<uint8_t>(second + (number >> 16)),
                        static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)});
}

}  // namespace

RawKey key_of(uint32_t session) {
  RawKey key;
  for (size_t at = 0; at < key.size(); at += sizeof(uint64_t)) {
    const uint64_t word = mix(uint64_t{session} << 8 | at);
    std::memcpy(key.data() + at, &word, std::min(sizeof word, key.size() - at));
  }
  return key;
}

IpAddress inner_host_of(uint32_t peer) {
  return numbered(10, 1, peer);
}
IpAddress lan_host() {
  return IpAddress::v4({10, 0, 0, 2});
}
Endpoint outer_of(uint32_t peer, uint16_t port) {
  return {numbered(172, 16, peer), port};
}
Endpoint gateway_outer() {
  return {IpAddress::v4({192, 0, 2, 1}), test::kListenPort};
}

/// Another path each time.
uint16_t BenchBinding::port() const {
  return static_cast<uint16_t>(test::kPeerPort + number % kPorts);
}

Result<std::unique_ptr<BenchSessions>> BenchSessions::create(SessionTable& table,
                                                             Dataplane& dataplane,
                                                             const Shape& shape) {
  std::unique_ptr<BenchSessions> made(new BenchSessions(table, dataplane.rcu(), shape));
  auto done = keep(made->publisher_,
                   publish::Publisher::create(table, made->reclaimer_, dataplane.ports(),
                                              static_cast<unsigned>(dataplane.workers())));
  made->hop_.set(test::kPeerMac, dataplane.ports()[test::kWan].mac);
  if (done) done = made->attach();
  if (!done) return done.error();
  return made;
}

Result<void> BenchSessions::attach() {
  const auto begun = std::chrono::steady_clock::now();
  for (uint32_t session = 0; session < shape_.count; ++session) {
    if (session % kLookForInterrupt == 0 && interrupted()) return Error{"interrupted"};
    if (!bind(session, 0)) return Error{"no receiver index is left"};
    publisher_->bind_rx({binding(session).index, {0, {}, outer_of(session, test::kPeerPort)}});
    if (refused() != 0)
      return Error{fmt::format("the publisher refused session {}: not enough memory?", session)};
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun;
  attached_per_s_ = shape_.count / spent.count();
  return {};
}

/// False: no receiver index is left.
bool BenchSessions::bind(uint32_t session, uint16_t number) {
  const auto index = indices_.allocate(PeerId{session}, static_cast<uint32_t>(random_()));
  if (!index) return false;
  session::RxInstall rx;
  rx.index = *index;
  rx.peer = PeerId{session};
  rx.suite = shape_.suite;
  rx.traffic_key = rx.control_key = key_of(session);
  rx.first_lane = LaneId{number};
  rx.lanes = shape_.lanes;
  publisher_->install_rx(rx);
  const BenchBinding fresh{*index, number};
  bindings_[session].store(uint64_t{index->value} << 32 | number, std::memory_order_release);
  install_tx(session, fresh, fresh.port());
  return true;
}

void BenchSessions::install_tx(uint32_t session, const BenchBinding& binding, uint16_t port) {
  session::TxInstall tx;
  tx.peer = PeerId{session};
  tx.binding_version = BindingVersion{++version_};
  tx.key_generation = 1;
  tx.peer_index = binding.index;
  tx.suite = shape_.suite;
  tx.traffic_key = key_of(session);
  tx.first_lane = LaneId{binding.number};
  tx.lanes = shape_.lanes;
  tx.blocks_per_lane = kEndlessQuota;
  tx.path = {test::kWan, gateway_outer(), outer_of(session, port)};
  publisher_->install_tx(tx, &hop_);
}

void BenchSessions::rebind(uint32_t session) {
  const BenchBinding present = binding(session);
  install_tx(session, present, static_cast<uint16_t>(test::kPeerPort + version_ % 2));
  publisher_->bind_rx({present.index, {0, {}, outer_of(session, test::kPeerPort)}});
}

std::optional<ReceiverIndex> BenchSessions::jump(uint32_t session) {
  const BenchBinding old = binding(session);
  if (!bind(session, static_cast<uint16_t>(old.number + 1))) return std::nullopt;
  publisher_->totals(PeerId{session});
  return old.index;
}

void BenchSessions::retire(ReceiverIndex index) {
  publisher_->retire_rx(index);
  indices_.release(index);
}

}  // namespace jvpn::perf
