#include "tools/jvpn/console/session_rows.h"

#include <algorithm>
#include <utility>

#include "control/session/state_machine.h"
#include "tools/jvpn/output.h"

namespace jvpn::console {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr uint64_t kStepUs = 100;  ///< of round trips: finer ones would change with every answer
constexpr uint64_t kStepMs = 100;  ///< of silence

std::string words_of(const Json& object, const char* name) {
  const Json& found = field(object, name);
  return found.is_string() ? found.get<std::string>() : std::string();
}

Json in_steps(const Json& object, const char* name, uint64_t step) {
  const auto number = number_of(object, name);
  return number ? Json(*number / step * step) : Json(nullptr);
}

/// Bits per second; null while there is nothing to compare with.
Json rate_of(uint64_t bytes, uint64_t before, std::optional<Clock::time_point> since,
             Clock::time_point now) {
  if (!since || now <= *since || bytes < before) return nullptr;
  const std::chrono::duration<double> span = now - *since;
  return static_cast<uint64_t>(static_cast<double>(bytes - before) * 8 / span.count());
}

}  // namespace

void SessionRows::begin_sweep() {
  ++sweep_;
  refused_ = false;
}

SessionRows::Row* SessionRows::row_of(const Json& session) {
  const std::string id = words_of(session, "session_id");
  const auto found = rows_.find(id);
  if (found != rows_.end()) return &found->second;
  if (id.empty()) return nullptr;
  refused_ = refused_ || rows_.size() >= most_;
  if (rows_.size() >= most_) return nullptr;
  return &rows_[id];
}

Standing SessionRows::judge(Row& row, const Json& session, uint64_t heartbeat_ms,
                            Clock::time_point asked) {
  const auto silent = number_of(session, "last_rx_ms_ago");
  row.silent_ms = nullptr;
  if (row.state == "BIRTH") return Standing::kBegins;
  if (silent && row.doubted &&
      asked - milliseconds(std::min<uint64_t>(*silent, UINT32_MAX)) > *row.doubted)
    row.doubted.reset();
  if (row.state != "ATTACHED") return Standing::kIll;
  if (row.doubted) return Standing::kAwaited;
  if (silent && *silent <= 2 * heartbeat_ms) return Standing::kProven;
  row.silent_ms = in_steps(session, "last_rx_ms_ago", kStepMs);
  return field(session, "idle") == true ? Standing::kIdle : Standing::kSilent;
}

void SessionRows::take_session(const Json& session, uint64_t heartbeat_ms,
                               Clock::time_point asked) {
  Row* const row = row_of(session);
  if (row == nullptr) return;
  const Row before = *row;
  row->sweep = sweep_;
  row->peer = words_of(session, "peer");
  row->state = words_of(session, "state");
  row->reason = words_of(session, "reason");
  row->local = words_of(session, "local");
  row->remote = words_of(session, "remote");
  row->loss_in = field(session, "loss_in");
  row->loss_out = field(session, "loss_out");
  row->rtt_us = in_steps(session, "rtt_us", kStepUs);
  row->jitter_us = in_steps(session, "jitter_us", kStepUs);
  row->switches = field(session, "switches");
  row->rx_bytes = number_of(session, "rx_bytes").value_or(0);
  row->tx_bytes = number_of(session, "tx_bytes").value_or(0);
  row->rx_bps = rate_of(row->rx_bytes, before.rx_bytes, before.counted, asked);
  row->tx_bps = rate_of(row->tx_bytes, before.tx_bytes, before.counted, asked);
  row->counted = asked;
  row->standing = judge(*row, session, heartbeat_ms, asked);
  row->changed = before.changed || text_of("", *row) != text_of("", before);
}

void SessionRows::take_ended(const Json& session) {
  Row* const row = row_of(session);
  if (row == nullptr) return;
  row->sweep = sweep_;
  if (row->standing == Standing::kEnded && row->state == "TERMINATED") return;
  *row = Row{};
  row->peer = words_of(session, "peer");
  row->state = "TERMINATED";
  row->reason = words_of(session, "reason");
  row->standing = Standing::kEnded;
  row->sweep = sweep_;
  row->changed = true;
}

void SessionRows::take(const Json& page, Clock::time_point asked) {
  // A program that doesn't say how often it is heard has proven nothing.
  const uint64_t heartbeat_ms = number_of(page, "heartbeat_interval_ms").value_or(0);
  if (const Json& list = field(page, "sessions"); list.is_array())
    for (const Json& each : list) take_session(each, heartbeat_ms, asked);
  if (const Json& list = field(page, "terminated"); list.is_array())
    for (const Json& each : list) take_ended(each);
}

void SessionRows::end_sweep() {
  std::erase_if(rows_, [this](const auto& each) {
    const bool gone = each.second.sweep != sweep_;
    if (gone) gone_.push_back(each.first);
    return gone;
  });
}

void SessionRows::take_event(const EventRecord& event, Clock::time_point now) {
  const auto found = rows_.find(event.session);
  if (found == rows_.end() || event.kind != session::EventKind::kStateChange || !event.to) return;
  Row& row = found->second;
  row.state = session::to_string(*event.to);
  row.reason = event.reason_text;
  row.doubted = now;
  row.standing = *event.to == session::State::kTerminated ? Standing::kEnded
                 : *event.to == session::State::kAttached ? Standing::kAwaited
                                                          : Standing::kIll;
  row.changed = true;
}

void SessionRows::clear() {
  rows_.clear();
  gone_.clear();
}

Json SessionRows::text_of(const std::string& id, const Row& row) {
  return Json::array({id, row.peer, static_cast<int>(row.standing), row.state, row.reason,
                      row.local, row.remote, row.loss_in, row.loss_out, row.rtt_us, row.jitter_us,
                      row.rx_bps, row.tx_bps, row.switches, row.silent_ms});
}

Json SessionRows::row(const std::string& id) const {
  const auto found = rows_.find(id);
  return found == rows_.end() ? Json(nullptr) : text_of(id, found->second);
}

Json SessionRows::changes() {
  Json changed = Json::array();
  for (auto& [id, row] : rows_)
    if (std::exchange(row.changed, false)) changed.push_back(text_of(id, row));
  return {{"rows", std::move(changed)}, {"gone", std::exchange(gone_, {})}};
}

Json SessionRows::all() const {
  Json every = Json::array();
  for (const auto& [id, row] : rows_) every.push_back(text_of(id, row));
  return every;
}

}  // namespace jvpn::console
