#include "control/admin/show_sessions.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/limits.h"
#include "common/profile.h"
#include "common/reason.h"
#include "control/session/reporter.h"
#include "control/session/state_table.h"

namespace jvpn::admin {
namespace {

constexpr size_t kEndedAtOnce = 16;         ///< ended sessions of a page
constexpr uint64_t kEndedFrom = kMaxPeers;  ///< a `from` of that number on counts ended sessions

uint64_t from_of(const nlohmann::json& request) {
  const auto from = request.find("from");
  const bool told = from != request.end() && from->is_number_unsigned();
  return told ? std::min<uint64_t>(from->get<uint64_t>(), kEndedFrom + kTombstones) : 0;
}

nlohmann::json ended_json(const session::Tombstone& tombstone, Millis now) {
  return {{"session_id", to_string(tombstone.id)},
          {"peer", tombstone.peer_name},
          {"reason", to_string(tombstone.reason)},
          {"detail", to_string(tombstone.detail)},
          {"handshake_ms_ago", (now - tombstone.keyed).value},
          {"ms_ago", (now - tombstone.at).value}};
}

void add_ended(nlohmann::json& answer, uint64_t first, const engine::SessionEngine& engine,
               Millis now) {
  nlohmann::json ended = nlohmann::json::array();
  uint64_t place = 0;
  engine.for_each_tombstone([&](const session::Tombstone& each) {
    if (place >= first && place < first + kEndedAtOnce) ended.push_back(ended_json(each, now));
    ++place;
  });
  answer["terminated"] = std::move(ended);
  if (place > first + kEndedAtOnce) answer["next"] = kEndedFrom + first + kEndedAtOnce;
}

nlohmann::json session_json(const engine::SessionView& view, const session::Activity& traffic,
                            std::string peer, Millis now) {
  const Millis last_rx = std::max(view.last_authentic, traffic.last_rx);
  nlohmann::json session{
      {"session_id", to_string(view.id)},
      {"peer", std::move(peer)},
      {"state", to_string(view.state)},
      {"state_version", view.version.value},
      {"binding_version", view.binding_version.value},
      {"reason", to_string(view.last_reason)},
      {"suite", to_string(view.suite)},
      {"local", to_string(view.path.local)},
      {"remote", to_string(view.path.remote)},
      {"rx_packets", traffic.rx_packets},
      {"tx_packets", traffic.tx_packets},
      {"rx_bytes", traffic.rx_bytes},
      {"tx_bytes", traffic.tx_bytes},
      {"rekeys", view.rekeys},
      {"last_rx_ms_ago", (now - last_rx).value},
      {"handshake_ms_ago", (now - view.keyed).value},
      {"age_ms", (view.lived + (now - view.born)).value},
  };
  uint64_t lately = 0;
  for (size_t i = 0; i < view.recent_switches.count(); ++i) {
    lately += *view.recent_switches.at(i, view.born) + kMinute > now ? 1U : 0U;
  }
  const auto fraction = [](const std::optional<session::Ppm>& loss) {
    return loss ? nlohmann::json(static_cast<double>(*loss) / session::kWhole)
                : nlohmann::json(nullptr);
  };
  session["switches"] = view.switches;
  session["switches_last_minute"] = lately;
  session["idle"] = view.idle;
  session["loss_in"] = fraction(view.loss_in);
  session["loss_out"] = fraction(now < view.loss_out_until ? view.loss_out : std::nullopt);
  session["jitter_us"] = view.jitter_us ? nlohmann::json(*view.jitter_us) : nlohmann::json(nullptr);
  session["rtt_us"] = view.rtt_us ? nlohmann::json(*view.rtt_us) : nlohmann::json(nullptr);
  return session;
}

/// A session that was attached can end so.
bool ends_sessions(Reason reason) {
  return std::ranges::any_of(session::state_table(), [&](const session::Row& row) {
    const bool attached = (row.from & ~session::only(session::State::kBirth)) != 0;
    return row.to == session::State::kTerminated && attached && row.reason == reason;
  });
}

}  // namespace

nlohmann::json show_header(const std::string& node, const std::string& role, Millis uptime,
                           uint32_t policy_version) {
  return {{"node", node},
          {"role", role},
          {"version", JVPN_VERSION},
          {"uptime_ms", uptime.value},
          {"policy_version", policy_version}};
}

nlohmann::json show_key_log(const CryptoProfile& crypto) {
  if (crypto.key_log_file.path.empty()) return nullptr;
  return crypto.key_log_file.path;
}

void add_sessions(nlohmann::json& answer, const nlohmann::json& request,
                  const engine::SessionEngine& engine, session::Environment& environment,
                  const PeerName& name, Millis now) {
  const PeerId first{static_cast<uint32_t>(from_of(request))};
  nlohmann::json sessions = nlohmann::json::array();
  const auto next = engine.visit_sessions(first, [&](const engine::SessionView& view) {
    sessions.push_back(session_json(view, environment.activity(view.peer), name(view.peer), now));
  });
  answer["sessions"] = std::move(sessions);
  answer["heartbeat_interval_ms"] = engine.policy().volatility.heartbeat_interval.value;
  if (next) answer["next"] = next->value;
}

void add_page(nlohmann::json& answer, const nlohmann::json& request,
              const engine::SessionEngine& engine, session::Environment& environment,
              const PeerName& name, Millis now) {
  const uint64_t from = from_of(request);
  if (from >= kEndedFrom) return add_ended(answer, from - kEndedFrom, engine, now);
  add_sessions(answer, request, engine, environment, name, now);
  if (!answer.contains("next")) add_ended(answer, 0, engine, now);
}

nlohmann::json show_terminated(const engine::SessionEngine& engine, Millis now) {
  nlohmann::json ended = nlohmann::json::array();
  engine.for_each_tombstone(
      [&](const session::Tombstone& each) { ended.push_back(ended_json(each, now)); });
  return ended;
}

nlohmann::json show_totals(const session::SessionTotals& totals, size_t peers) {
  nlohmann::json sessions = nlohmann::json::object();
  for (size_t state = 0; state < totals.sessions.size(); ++state)
    sessions[to_string(static_cast<session::State>(state))] = totals.sessions[state];
  nlohmann::json jumps = nlohmann::json::object();
  for (size_t cause = 0; cause < totals.jumps.size(); ++cause)
    jumps[session::to_string(static_cast<wire::ReattachCause>(cause))] = totals.jumps[cause];
  nlohmann::json ended = nlohmann::json::object();
  for (size_t number = 0; number < totals.ended.size(); ++number) {
    const auto reason = static_cast<Reason>(number);
    if (totals.ended[number] != 0 || ends_sessions(reason))
      ended[to_string(reason)] = totals.ended[number];
  }
  return {{"peers", peers},
          {"sessions", std::move(sessions)},
          {"jumps", std::move(jumps)},
          {"ended", std::move(ended)},
          {"forgotten", totals.forgotten}};
}

nlohmann::json show_counters(const session::EngineCounters& counters) {
  nlohmann::json over_budget = nlohmann::json::object();
  for (size_t i = 0; i < session::kInputs; ++i)
    over_budget[session::kInputBudgets[i].name] = counters.over_budget[i];
  return {{"handshakes_received", counters.handshakes_received},
          {"handshakes_refused", counters.handshakes_refused},
          {"handshakes_throttled", counters.handshakes_throttled},
          {"no_room", counters.no_room},
          {"cookies_sent", counters.cookies_sent},
          {"inquiries_answered", counters.inquiries_answered},
          {"inquiries_throttled", counters.inquiries_throttled},
          {"resets_sent", counters.resets_sent},
          {"resets_throttled", counters.resets_throttled},
          {"resets_taken", counters.resets_taken},
          {"resets_refused", counters.resets_refused},
          {"resets_stale", counters.resets_stale},
          {"control_received", counters.control_received},
          {"control_replayed", counters.control_replayed},
          {"control_malformed", counters.control_malformed},
          {"control_unknown_type", counters.control_unknown_type},
          {"control_unknown_field", counters.control_unknown_field},
          {"control_stale", counters.control_stale},
          {"control_silent", counters.control_silent},
          {"transitions_refused", counters.transitions_refused},
          {"reattach_requests", counters.reattach_requests},
          {"reattach_refused", counters.reattach_refused},
          {"reattach_bunched", counters.reattach_bunched},
          {"reattach_commits", counters.reattach_commits},
          {"over_budget", std::move(over_budget)}};
}

}  // namespace jvpn::admin
