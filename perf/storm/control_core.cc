#include "perf/storm/control_core.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <utility>

#include "control/session/system_sources.h"
#include "perf/harness/cpu_time.h"

namespace jvpn::perf {
namespace {

// As in control/gateway/worker_input.cc and turn_limit.h.
constexpr unsigned kHandshakesOfTurn = 8;
constexpr unsigned kControlOfTurn = 64;
constexpr unsigned kSignalsOfTurn = 32;
constexpr uint64_t kClassSpentUs = 125;
constexpr uint64_t kTurnSpentUs = 600;
constexpr size_t kSignalRing = 256;

constexpr uint64_t kMillisecondNs = 1'000'000;

uint64_t steady_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

ControlCore::ControlCore(size_t ring, size_t event_ring)
    : ring_(ring), events_(event_ring), bound_(kStormNetworks) {}

Result<void> ControlCore::start(session::EngineConfig config, uint64_t now_us) {
  interface_of_.resize(config.peers.size());
  serials_.resize(size_t{1} << config.slot_bits);
  auto engine = engine::SessionEngine::create(std::move(config), *this, Millis{now_us / 1'000});
  if (!engine) return engine.error();
  engine_ = *std::move(engine);
  return {};
}

// ---- The workers' part.

template <typename T>
void ControlCore::queue(std::deque<T>& ring, size_t room, T each) {
  if (ring.size() >= room) {
    ++figures_.ring_full;
    return;
  }
  ring.push_back(std::move(each));
  figures_.ring_most = std::max(figures_.ring_most, ring.size());
}

void ControlCore::receive(uint64_t now_us, const Path& from, std::vector<uint8_t> datagram) {
  Message message{from, Millis{now_us / 1'000}, std::move(datagram), {}, {}};
  if (wire::MessageType{message.datagram[0]} != wire::MessageType::kControl)
    return queue(handshakes_, ring_, std::move(message));
  wire::TransportHeader header;
  std::memcpy(&header, message.datagram.data(), sizeof header);
  message.index = ReceiverIndex{header.receiver};
  const auto opened = engine_->open_control(message.datagram);
  if (!opened) {
    if (!engine_->receives_on(message.index))
      queue(unknown_, kSignalRing, Unknown{from, message.index});
    return;
  }
  message.plaintext = opened->plaintext;  // stays where it is when the vector moves
  message.counter = opened->counter;
  message.serial = serials_[header.receiver % serials_.size()];
  queue(control_, ring_, std::move(message));
}

// ---- The control core.

uint64_t ControlCore::due_us() const {
  const bool waits =
      !handshakes_.empty() || !control_.empty() || !unknown_.empty() || lost_interface_;
  if (waits) return over_us_;
  const Millis deadline = engine_->next_deadline();
  return deadline == kNever ? UINT64_MAX : std::max(over_us_, deadline.value * 1'000);
}

uint64_t ControlCore::turn(uint64_t now_us, std::vector<SentDatagram>& sent) {
  const Millis now{now_us / 1'000};
  sent_ = &sent;
  turn_begun_us_ = now_us;
  clock_begun_us_ = steady_us();
  const auto begun = thread_cpu_time();
  take_handshakes(now);
  take_control(now);
  do_jobs(now);
  const auto ran = static_cast<uint64_t>((thread_cpu_time() - begun).count());
  ++figures_.turns;
  figures_.cpu_ns += ran;
  figures_.longest_ns = std::max(figures_.longest_ns, ran);
  figures_.over_1ms += ran > kMillisecondNs ? 1 : 0;
  over_us_ = now_us + (charged_ ? std::max<uint64_t>((ran + 999) / 1'000, 1) : 1);
  return over_us_;
}

void ControlCore::take_handshakes(Millis now) {
  const uint64_t until = ran_us() + kClassSpentUs;
  for (unsigned taken = 0; taken < kHandshakesOfTurn && !handshakes_.empty(); ++taken) {
    const Message message = std::move(handshakes_.front());
    handshakes_.pop_front();
    ++figures_.messages;
    engine_->on_handshake(now, message.from, message.datagram, std::nullopt);
    if (ran_us() >= until) return;
  }
}

/// Each is handled as of its arrival.
void ControlCore::take_control(Millis now) {
  const uint64_t until = ran_us() + kClassSpentUs;
  for (unsigned taken = 0; taken < kControlOfTurn && !control_.empty(); ++taken) {
    const Message message = std::move(control_.front());
    control_.pop_front();
    ++figures_.messages;
    engine_->on_control(std::min(now, message.arrived), message.from, message.index,
                        message.counter, message.plaintext, message.serial);
    if (ran_us() >= until) return;
  }
}

/// No timer runs past the arrival of a message that still waits.
void ControlCore::do_jobs(Millis now) {
  for (unsigned taken = 0; taken < kSignalsOfTurn && !unknown_.empty() && !slice_over(); ++taken) {
    const Unknown each = unknown_.front();
    unknown_.pop_front();
    engine_->on_unknown_index(now, each.from, each.index);
  }
  if (const auto lost = std::exchange(lost_interface_, std::nullopt))
    engine_->interface_lost(now, *lost);
  const Millis judged = control_.empty() ? now : std::min(now, control_.front().arrived);
  if (engine_->next_deadline() <= judged) engine_->advance(judged);
}

uint64_t ControlCore::attached() const {
  return engine_->counters().totals.sessions[static_cast<size_t>(session::State::kAttached)];
}

ControlCore::Figures ControlCore::take() {
  const session::EngineCounters now = engine_->counters();
  const session::EngineCounters before = std::exchange(taken_, now);
  const auto over_budget = [](const session::EngineCounters& of) {
    return std::accumulate(of.over_budget.begin(), of.over_budget.end(), uint64_t{0});
  };
  Figures figures = std::exchange(figures_, {});
  figures.rekeys = rekeys_ - std::exchange(rekeys_taken_, rekeys_);
  figures.resets = now.resets_sent - before.resets_sent;
  figures.requests = now.reattach_requests - before.reattach_requests;
  figures.refused = now.reattach_refused - before.reattach_refused;
  figures.commits = now.reattach_commits - before.reattach_commits;
  figures.resumes = now.resumes - before.resumes;
  figures.over_budget = over_budget(now) - over_budget(before);
  return figures;
}

// ---- What the engine asks for.

void ControlCore::send(const Path& path, std::span<const uint8_t> datagram) {
  if (sent_ != nullptr) sent_->push_back({path, {datagram.begin(), datagram.end()}});
}

void ControlCore::install_rx(const session::RxInstall& install) {
  serials_[install.index.value % serials_.size()] = install.serial;
}

void ControlCore::install_tx(const session::TxInstall& install) {
  bind(install.peer, install.path.interface);
}

void ControlCore::withdraw_tx(PeerId peer) {
  bind(peer, std::nullopt);
}

void ControlCore::bind(PeerId peer, std::optional<uint16_t> interface) {
  std::optional<uint16_t>& bound = interface_of_[peer.value];
  if (bound) --bound_[*bound];
  bound = interface;
  if (bound) ++bound_[*bound];
}

void ControlCore::emit(const session::Event& event) {
  rekeys_ += event.kind == session::EventKind::kKeyEvent ? 1 : 0;
  note_ending(event, figures_.endings);
  events_.log().put(event);
}

void ControlCore::random(std::span<uint8_t> bytes) {
  session::fill_random(bytes);
}

wire::Timestamp ControlCore::timestamp() {
  return session::tai64n_now();
}

/// Of the present turn, by the machine's clock.
uint64_t ControlCore::ran_us() const {
  return steady_us() - clock_begun_us_;
}

bool ControlCore::slice_over() const {
  return ran_us() >= kTurnSpentUs;
}

}  // namespace jvpn::perf
