// Control: handshakes, turns, the store, the event log, reloads.
#include <array>
#include <string>

#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {
namespace {

using prometheus::MetricType;

void add_turns(const Facts& facts, Samples& samples) {
  const nlohmann::json& turns = at(facts.show, {"control", "turns"});
  samples.add(at(turns, {"longest_us"}), {{"clock", "wall"}}, kMicro);
  samples.add(at(turns, {"longest_cpu_us"}), {{"clock", "cpu"}}, kMicro);
}

void add_turn_parts(const Facts& facts, Samples& samples) {
  const nlohmann::json& parts = at(facts.show, {"control", "turns", "parts_us"});
  if (!parts.is_object()) return;
  for (const auto& [part, longest] : parts.items()) samples.add(longest, {{"part", part}}, kMicro);
}

void add_proven(const Facts& facts, Samples& samples) {
  const nlohmann::json& ownership = at(facts.show, {"ownership"});
  if (ownership.is_object()) samples.add(ownership.contains("silent_ms") ? 0 : 1);
}

void add_store_healthy(const Facts& facts, Samples& samples) {
  const nlohmann::json& ownership = at(facts.show, {"ownership"});
  if (ownership.is_object() && at(ownership, {"store"}) != "none")
    samples.add(ownership.contains("why") ? 0 : 1);
}

template <typename Add>
void for_each_sink(const Facts& facts, Add add) {
  const nlohmann::json& sinks = at(facts.show, {"events", "sinks"});
  if (!sinks.is_array()) return;
  for (size_t number = 0; number < sinks.size(); ++number) {
    const nlohmann::json& kind = at(sinks[number], {"kind"});
    add(sinks[number], Labels{{"sink", std::to_string(number)},
                              {"kind", kind.is_string() ? kind.get<std::string>() : ""}});
  }
}

/// 0 or 1 of a truth; nothing else counts.
void add_truth(const nlohmann::json& truth, Samples& samples) {
  if (truth.is_boolean()) samples.add(truth.get<bool>() ? 1 : 0);
}

constexpr std::array kControl{
    Metric{"jvpn_handshakes_total", MetricType::Counter, Of::kBoth, "outcome",
           "Handshake messages: received are all of them; refused and throttled those of them "
           "that weren't answered.",
           [](const Facts& facts, Samples& samples) {
             add_named(at(facts.show, {"control"}), "outcome",
                       {{"received", "handshakes_received"},
                        {"refused", "handshakes_refused"},
                        {"throttled", "handshakes_throttled"}},
                       samples);
           }},
    Metric{"jvpn_cookies_sent_total", MetricType::Counter, Of::kBoth, "",
           "Cookies in the place of an answer, because control was under load.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "cookies_sent"}));
           }},
    Metric{"jvpn_no_room_total", MetricType::Counter, Of::kBoth, "",
           "Keys, bindings and changes of size put off, because no memory or index was left.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "no_room"}));
           }},
    Metric{"jvpn_resets_total", MetricType::Counter, Of::kBoth, "outcome",
           "Messages that say that a session is lost: sent, throttled (not sent), taken, "
           "refused (forged), stale.",
           [](const Facts& facts, Samples& samples) {
             add_named(at(facts.show, {"control"}), "outcome",
                       {{"sent", "resets_sent"},
                        {"throttled", "resets_throttled"},
                        {"taken", "resets_taken"},
                        {"refused", "resets_refused"},
                        {"stale", "resets_stale"}},
                       samples);
           }},
    Metric{"jvpn_control_messages_total", MetricType::Counter, Of::kBoth, "outcome",
           "Control messages: received are all of them; the others weren't followed.",
           [](const Facts& facts, Samples& samples) {
             add_named(at(facts.show, {"control"}), "outcome",
                       {{"received", "control_received"},
                        {"replayed", "control_replayed"},
                        {"malformed", "control_malformed"},
                        {"unknown_type", "control_unknown_type"},
                        {"unknown_field", "control_unknown_field"},
                        {"stale", "control_stale"},
                        {"silent", "control_silent"}},
                       samples);
           }},
    Metric{"jvpn_over_budget_total", MetricType::Counter, Of::kBoth, "input",
           "Control messages that weren't handled because their sender's budget was used up.",
           [](const Facts& facts, Samples& samples) {
             add_each(at(facts.show, {"control", "over_budget"}), "input", samples);
           }},
    Metric{"jvpn_transitions_refused_total", MetricType::Counter, Of::kBoth, "",
           "Triggers that no row of the state machine took.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "transitions_refused"}));
           }},
    Metric{"jvpn_install_failures_total", MetricType::Counter, Of::kGateway, "",
           "Changes that the workers' tables had no room for.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "install_failures"}));
           }},
    Metric{"jvpn_reclaim_pending", MetricType::Gauge, Of::kGateway, "",
           "Records that wait until no worker can read them any more.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "reclaim_pending"}));
           }},
    Metric{"jvpn_neighbors", MetricType::Gauge, Of::kGateway, "",
           "Link-layer addresses that are known or sought.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "neighbors", "entries"}));
           }},
    Metric{"jvpn_control_turn_longest_seconds", MetricType::Gauge, Of::kGateway, "clock",
           "The control thread's longest turn since its start: wall time, or CPU time that the "
           "thread had.",
           add_turns},
    Metric{"jvpn_control_turn_part_longest_seconds", MetricType::Gauge, Of::kGateway, "part",
           "The longest wall time of each part of a turn since the start.", add_turn_parts},
    Metric{"jvpn_control_long_turns_total", MetricType::Counter, Of::kGateway, "",
           "Turns of the control thread that took more than a millisecond of CPU time.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"control", "turns", "over_1ms"}));
           }},
};

constexpr std::array kStore{
    Metric{"jvpn_ownership_proven", MetricType::Gauge, Of::kGateway, "",
           "1 while it is proven that the gateway's sessions are its own; without a cluster "
           "always. At 0 it carries nothing.",
           add_proven},
    Metric{"jvpn_ownership_safe_seconds", MetricType::Gauge, Of::kGateway, "",
           "How long the present proof lasts; in a cluster only.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"ownership", "safe_ms"}), {}, kMilli);
           }},
    Metric{"jvpn_ownership_unproven_seconds", MetricType::Gauge, Of::kGateway, "",
           "How long nothing has been proven; absent while it is.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"ownership", "silent_ms"}), {}, kMilli);
           }},
    Metric{"jvpn_store_healthy", MetricType::Gauge, Of::kGateway, "",
           "1 when the store's latest transaction was carried out.", add_store_healthy},
    Metric{"jvpn_store_calls_waiting", MetricType::Gauge, Of::kGateway, "",
           "Calls to the store that have no answer yet.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"ownership", "waiting"}));
           }},
    Metric{"jvpn_store_transactions_total", MetricType::Counter, Of::kGateway, "",
           "Transactions with the store that were timed.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"ownership", "transactions", "all"}));
           }},
    Metric{"jvpn_store_transaction_seconds", MetricType::Gauge, Of::kGateway, "percentile",
           "How long the latest 256 transactions took: 50th and 99th percentile.",
           [](const Facts& facts, Samples& samples) {
             const nlohmann::json& latest = at(facts.show, {"ownership", "transactions"});
             samples.add(at(latest, {"p50_us"}), {{"percentile", "50"}}, kMicro);
             samples.add(at(latest, {"p99_us"}), {{"percentile", "99"}}, kMicro);
           }},
    Metric{"jvpn_draining", MetricType::Gauge, Of::kGateway, "",
           "1 while sessions shall go to the cluster's other gateways.",
           [](const Facts& facts, Samples& samples) {
             add_truth(at(facts.show, {"drain", "draining"}), samples);
           }},
};

constexpr std::array kLog{
    Metric{"jvpn_event_log_written_total", MetricType::Counter, Of::kBoth, "",
           "Events that became lines of the event log.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"events", "written"}));
           }},
    Metric{"jvpn_event_log_lost_total", MetricType::Counter, Of::kBoth, "",
           "Events that no sink got, because the ring to the log was full.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"events", "lost"}));
           }},
    Metric{"jvpn_event_sink_up", MetricType::Gauge, Of::kBoth, "sink,kind",
           "1 while the sink takes lines. Sinks are numbered as in the profile.",
           [](const Facts& facts, Samples& samples) {
             for_each_sink(facts, [&](const nlohmann::json& sink, Labels labels) {
               samples.add(at(sink, {"healthy"}) == true ? 1 : 0, std::move(labels));
             });
           }},
    Metric{"jvpn_event_sink_written_total", MetricType::Counter, Of::kBoth, "sink,kind",
           "Lines that the sink took.",
           [](const Facts& facts, Samples& samples) {
             for_each_sink(facts, [&](const nlohmann::json& sink, Labels labels) {
               samples.add(at(sink, {"written"}), std::move(labels));
             });
           }},
    Metric{"jvpn_event_sink_lost_total", MetricType::Counter, Of::kBoth, "sink,kind",
           "Lines that the sink missed.",
           [](const Facts& facts, Samples& samples) {
             for_each_sink(facts, [&](const nlohmann::json& sink, Labels labels) {
               samples.add(at(sink, {"lost"}), std::move(labels));
             });
           }},
    Metric{"jvpn_reload_refused", MetricType::Gauge, Of::kBoth, "",
           "1 when the latest reload of the profile was refused.",
           [](const Facts& facts, Samples& samples) {
             if (facts.show.is_object())
               samples.add(at(facts.show, {"reload", "refused"}).is_string() ? 1 : 0);
           }},
    Metric{"jvpn_reload_timestamp_seconds", MetricType::Gauge, Of::kBoth, "",
           "Unix time of the latest reload; absent before the first.",
           [](const Facts& facts, Samples& samples) {
             const nlohmann::json& ago = at(facts.show, {"reload", "ms_ago"});
             if (ago.is_number()) samples.add(facts.unix_seconds - ago.get<double>() * kMilli);
           }},
    Metric{"jvpn_reload_keys_waiting", MetricType::Gauge, Of::kBoth, "",
           "Keys of the profile that the latest reload changed but only a restart applies.",
           [](const Facts& facts, Samples& samples) {
             const nlohmann::json& keys = at(facts.show, {"reload", "needs_restart"});
             if (facts.show.is_object())
               samples.add(keys.is_array() ? static_cast<double>(keys.size()) : 0);
           }},
    Metric{"jvpn_denies_new_sessions", MetricType::Gauge, Of::kBoth, "",
           "1 while no session begins, because the latest reload was refused.",
           [](const Facts& facts, Samples& samples) {
             add_truth(at(facts.show, {"denies_new_sessions"}), samples);
           }},
    Metric{"jvpn_policy_version", MetricType::Gauge, Of::kBoth, "",
           "Version of the policy in force.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"policy_version"}));
           }},
};

}  // namespace

std::span<const Metric> control_metrics() {
  return kControl;
}
std::span<const Metric> store_metrics() {
  return kStore;
}
std::span<const Metric> log_metrics() {
  return kLog;
}

}  // namespace jvpn::metrics
