// One session engine of a test, on a host that keeps what the engine told it and checks that it
// makes sense.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/engine/engine.h"
#include "control/events/event_json.h"
#include "tests/support/random.h"
#include "tests/support/rooms.h"

namespace jvpn::test {

using Bytes = std::vector<uint8_t>;

using Lines = std::vector<std::string>;

inline constexpr PeerId kPeer{0};

/// Each node has an address on each of several networks: path 0, 1, …
inline Endpoint endpoint_of(size_t node, size_t network = 0) {
  return {
      IpAddress::v4({192, 0, static_cast<uint8_t>(network + 2), static_cast<uint8_t>(node + 1)}),
      51'900};
}
inline Path path_between(size_t from, size_t to, size_t network = 0) {
  return {static_cast<uint16_t>(network), endpoint_of(from, network), endpoint_of(to, network)};
}

struct Datagram {
  size_t from = 0;
  size_t to = 0;
  Bytes bytes;
  Path path{};  ///< as the receiver sees it
  size_t network() const { return path.local.address.bytes[2] - size_t{2}; }
  wire::MessageType type() const { return wire::MessageType{bytes.at(0)}; }
};

/// What the network does to one datagram.
enum class Fate : uint8_t { kDeliver, kDrop };

/// How the network treats control traffic; data has `delay_ms` and `jitter_ms` alone.
struct Weather {
  double loss = 0;
  double duplicate = 0;
  uint64_t delay_ms = 5;
  uint64_t jitter_ms = 0;  ///< at random on top, hence reordering
};

class World;

/// What one engine was told, and what its host answered meanwhile, in order.
struct Recording {
  using Input = std::function<void(SessionEngine&)>;
  std::vector<Input> inputs;
  std::deque<Activity> activities;
  std::deque<RxProgress> progresses;
  std::deque<Bytes> randoms;
  std::deque<wire::Timestamp> timestamps;
};

/// A host that keeps what the engine told it, and checks that it makes sense.
class Node : public SessionHost {
 public:
  Node(World& world, size_t number, uint64_t seed)
      : world_(world), number_(number), random_(seed) {}

  void apply(const Effects& effects) override { effects.carry_out(*this); }
  bool slice_over() const override { return hurried; }
  void send(const Path& path, std::span<const uint8_t> datagram);
  void install_rx(const RxInstall& install) {
    witness("install_rx", std::to_string(install.index.value) + " " +
                              std::to_string(install.first_lane.value) + "+" +
                              std::to_string(install.lanes));
    EXPECT_EQ(promised_rx_.erase(install.index.value), 1U) << "no memory was promised for it";
    EXPECT_TRUE(rx.emplace(install.index.value, install).second) << "index installed twice";
    most_rx = std::max(most_rx, generations());
  }
  void bind_rx(const RxBind& bind) {
    witness("bind_rx", std::to_string(bind.index.value) + " " + to_string(bind.from.remote) +
                           (bind.confirmed ? "" : " alone"));
  }
  void retire_rx(ReceiverIndex index) {
    witness("retire_rx", std::to_string(index.value));
    EXPECT_EQ(rx.erase(index.value), 1U) << "retired an index that isn't installed";
    stopped_.erase(index.value);
  }
  /// What came under it is told when the world asks, as of a gateway after a grace period.
  void close_rx(PeerId peer, ReceiverIndex index) {
    retire_rx(index);
    LaneReport report{index, true, {}};
    for (const auto& [lane, window] : windows_[index.value]) add_lane(report, LaneId{lane}, window);
    closed.emplace_back(peer, std::move(report));
  }
  std::optional<LaneReport> stop_data(ReceiverIndex index) override {
    if (!says_taken) return std::nullopt;
    EXPECT_TRUE(rx.contains(index.value)) << "stopped what isn't installed";
    EXPECT_TRUE(stopped_.insert(index.value).second) << "stopped twice";
    LaneReport report{index, true, {}};
    for (const auto& [lane, window] : windows_[index.value]) add_lane(report, LaneId{lane}, window);
    return report;
  }
  void settle_hold(std::span<const LaneReport> reports) {
    witness("settle_hold", std::to_string(reports.size()));
    if (on_settle) on_settle(reports);
  }
  void install_tx(const TxInstall& install) {
    witness("install_tx", to_string(install.path) + " " + std::to_string(install.peer_index.value) +
                              " " + std::to_string(install.first_lane.value) + " " +
                              std::to_string(install.binding_version.value) + " " +
                              std::to_string(install.blocks_per_lane) + " " +
                              std::to_string(install.key_generation));
    EXPECT_EQ(promised_tx_.erase(install.peer.value), 1U) << "no memory was promised for it";
    waits_.erase(install.peer.value);
    const auto before = tx.find(install.peer.value);
    const bool new_key = before == tx.end() || before->second.traffic_key != install.traffic_key;
    if (new_key) activity_[install.peer.value].tx_generation_packets = 0;
    tx[install.peer.value] = install;
    expect_unlinkable(install);
    ++tx_installs;
  }
  /// Neither lanes nor an index are ever used on two paths. Data may go ahead of a commit.
  void expect_unlinkable(const TxInstall& install) {
    const std::string path = to_string(install.path);
    const auto lanes = std::pair(install.traffic_key, install.first_lane.value);
    EXPECT_EQ(lanes_used_.emplace(lanes, path).first->second, path) << "lanes on two paths";
    const auto index = std::pair(install.traffic_key, install.peer_index.value);
    EXPECT_EQ(indices_used_.emplace(index, path).first->second, path) << "an index on two paths";
  }
  /// An index that is bound, not a spare.
  ReceiverIndex active_index() const {
    const auto at = std::ranges::find_if(
        rx, [](const auto& each) { return each.second.first_lane == LaneId{0}; });
    EXPECT_NE(at, rx.end());
    return at == rx.end() ? ReceiverIndex{} : ReceiverIndex{at->first};
  }
  /// Key generations that are installed: each has lanes from 0 on once, spares apart.
  size_t generations() const {
    return static_cast<size_t>(std::ranges::count_if(
        rx, [](const auto& each) { return each.second.first_lane == LaneId{0}; }));
  }
  void withdraw_tx(PeerId peer, Waiting waiting) {
    witness("withdraw_tx", std::to_string(peer.value));
    const bool sent = tx.erase(peer.value) == 1;
    const bool waited = waits_.erase(peer.value) == 1;
    EXPECT_TRUE(sent || (waited && waiting == Waiting::kLetGo)) << "withdrew what isn't installed";
    if (waiting == Waiting::kKept) waits_.insert(peer.value);
  }
  Activity activity(PeerId peer) override {
    if (records()) recording->activities.push_back(activity_[peer.value]);
    return activity_[peer.value];
  }
  RxProgress rx_progress(ReceiverIndex index) override {
    if (records()) recording->progresses.push_back(progress_[index.value]);
    return progress_[index.value];
  }
  Published published(PeerId peer) override {
    Published answer;
    if (const auto at = tx.find(peer.value); at != tx.end()) {
      const TxInstall& install = at->second;
      answer.tx = {install.binding_version, install.peer_index, install.first_lane, install.path};
    }
    for (const auto& [index, install] : rx) {
      if (install.peer == peer)
        answer.rx.push_back({install.index, install.first_lane, install.lanes});
    }
    if (plant) plant(answer);
    return answer;
  }
  uint16_t inner_mtu(const Path&) override { return 1400; }
  void configured(PeerId, const wire::ResponsePayload& answer) { answers.push_back(answer); }
  void emit(const Event& event) {
    if (on_word) witness("event", to_json_line(event, 0, event.at.value, "n"));
    events.push_back(event);
  }
  /// Something that the engine said, in order; datagrams among them.
  void witness(const char* what, std::string_view words) {
    if (on_word) on_word(number_, what, words);
  }
  bool reserve_rx(PeerId, ReceiverIndex index, uint16_t) override {
    const bool room = has_room();
    if (room) promised_rx_.insert(index.value);
    return room;
  }
  void release_rx(ReceiverIndex index) override { promised_rx_.erase(index.value); }
  bool reserve_tx(PeerId peer, uint16_t) override {
    const bool room = has_room();
    if (room) promised_tx_.insert(peer.value);
    return room;
  }
  bool has_room() {
    const bool lacks = fails && fails(reservations++);
    refused_room += lacks ? 1 : 0;
    return !lacks;
  }
  void random(std::span<uint8_t> bytes) override {
    random_.fill(bytes);
    if (records()) recording->randoms.emplace_back(bytes.begin(), bytes.end());
  }
  wire::Timestamp timestamp() override;

  /// Seals one packet to `peer`; its content stands for its key.
  void send_data(PeerId peer);
  /// Opens what arrives, if it can. False: no index of ours is named.
  bool receive_data(const Datagram& datagram, Millis now);

  std::vector<SessionView> sessions() const {
    std::vector<SessionView> views;
    for_each_session(*engine, [&](const SessionView& view) { views.push_back(view); });
    return views;
  }
  /// The only session; a failure when there is another number of them.
  SessionView session() const {
    const auto views = sessions();
    EXPECT_EQ(views.size(), 1U);
    return views.empty() ? SessionView{} : views.front();
  }
  std::vector<Event> events_of(EventKind kind) const {
    std::vector<Event> found;
    std::copy_if(events.begin(), events.end(), std::back_inserter(found),
                 [kind](const Event& event) { return event.kind == kind; });
    return found;
  }
  /// `BIRTH>ATTACHED HANDSHAKE_OK`, … in order, a detail behind a colon.
  std::vector<std::string> changes() const {
    std::vector<std::string> lines;
    for (const Event& event : events_of(EventKind::kStateChange)) {
      std::string line = std::string(to_string(event.from)) + ">" + to_string(event.to) + " " +
                         to_string(event.reason);
      if (event.detail != Detail::kNone) line += std::string(":") + to_string(event.detail);
      lines.push_back(line);
    }
    return lines;
  }
  std::string json_lines() const {
    std::string text;
    uint64_t sequence = 0;
    for (const Event& event : events) {
      text += to_json_line(event, ++sequence, event.at.value, "n" + std::to_string(number_)) + "\n";
    }
    return text;
  }

  /// The program has ended without a word.
  void lose_all() {
    engine.reset();
    rx.clear();
    tx.clear();
    promised_rx_.clear();
    promised_tx_.clear();
  }

  /// Tells the engine something, and the recording.
  void tell(const Recording::Input& input) {
    if (recording != nullptr) recording->inputs.push_back(input);
    ++told;
    asked_by_engine = true;
    input(*engine);
    asked_by_engine = false;
  }
  bool records() const { return recording != nullptr && asked_by_engine; }

  std::unique_ptr<SessionEngine> engine;
  Recording* recording = nullptr;
  std::function<void(size_t, const char*, std::string_view)> on_word;
  bool asked_by_engine = true;            ///< and not by a test that looks at sessions
  uint64_t told = 0;                      ///< inputs of the engine
  std::function<void(Published&)> plant;  ///< the data path isn't as it was told to be
  std::map<uint32_t, RxInstall> rx;
  std::map<uint32_t, TxInstall> tx;
  std::vector<Event> events;
  std::vector<wire::ResponsePayload> answers;
  Millis clock_behind;   ///< of handshake timestamps
  bool hurried = false;  ///< a slice is over after one peer
  size_t most_rx = 0;
  std::function<bool(uint64_t)> fails;  ///< whether the host has no memory for the n-th reservation
  uint64_t reservations = 0;
  uint64_t refused_room = 0;
  uint64_t tx_installs = 0;
  uint64_t delivered = 0;
  uint64_t lost = 0;                                 ///< data that came and couldn't be opened
  std::deque<std::pair<PeerId, LaneReport>> closed;  ///< not told yet
  bool tells_closed = true;                          ///< else its workers stand still
  bool says_taken = true;                            ///< what came under an index, at once
  std::function<void(std::span<const LaneReport>)> on_settle;
  std::function<void(ReceiverIndex, uint64_t)> on_data;  ///< opened under that index and counter

 private:
  World& world_;
  size_t number_;
  Random random_;
  std::map<uint32_t, Activity> activity_;
  std::map<uint32_t, RxProgress> progress_;
  std::map<uint32_t, std::map<uint16_t, ReplayWindow<kReplayWindowBits>>> windows_;  ///< by index
  std::set<uint32_t> stopped_;      ///< indices that take no data any more
  std::set<uint32_t> promised_rx_;  ///< indices that have memory, and aren't installed
  std::set<uint32_t> promised_tx_;  ///< peers, likewise
  std::set<uint32_t> waits_;        ///< peers whose packets wait for the next install
  std::map<std::pair<RawKey, uint16_t>, uint64_t> sequences_;
  std::map<std::pair<RawKey, uint16_t>, std::string> lanes_used_;
  std::map<std::pair<RawKey, uint32_t>, std::string> indices_used_;
};

inline bool Node::receive_data(const Datagram& datagram, Millis now) {
  wire::TransportHeader header;
  __builtin_memcpy(&header, datagram.bytes.data(), sizeof header);
  const auto found = rx.find(header.receiver);
  const uint64_t mask = found != rx.end() ? found->second.data_mask : 0;
  const auto lane_known = [&](const RxInstall& install) {
    const int lane = wire::lane_of(header.counter ^ mask).value - install.first_lane.value;
    return lane >= 0 && lane < install.lanes;
  };
  const bool opens = found != rx.end() && lane_known(found->second) &&
                     std::equal(found->second.traffic_key.begin(), found->second.traffic_key.end(),
                                datagram.bytes.begin() + sizeof header);
  if (!opens) {
    ++lost;
    return found != rx.end();
  }
  if (stopped_.contains(header.receiver)) {
    ++lost;
    return true;
  }
  const uint64_t counter = header.counter ^ mask;
  windows_[header.receiver][wire::lane_of(counter).value].accept(wire::sequence_of(counter));
  if (on_data) on_data(ReceiverIndex{header.receiver}, counter);
  ++delivered;
  RxProgress& progress = progress_[header.receiver];
  ++progress.received;
  progress.last_rx = now;
  progress.expected = std::max(progress.expected, wire::sequence_of(header.counter ^ mask) + 1);
  Activity& activity = activity_[found->second.peer.value];
  ++activity.rx_packets;
  activity.last_rx = now;
  return true;
}

}  // namespace jvpn::test
