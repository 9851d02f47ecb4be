// Sessions as a whole: how many, in which state, how they jump and end. And what a client has of
// its one session.
#include <array>

#include "tools/jvpn/metrics/event_metrics.h"
#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {
namespace {

using prometheus::MetricType;

void add_histograms(const std::map<std::string, prometheus::Histogram>& histograms,
                    const char* label, Samples& samples) {
  for (const auto& [value, histogram] : histograms)
    samples.add(histogram.Collect().histogram, {{label, value}});
}

/// Peers with a session that had been attached.
void add_online(const Facts& facts, Samples& samples) {
  const nlohmann::json& sessions = at(facts.show, {"totals", "sessions"});
  if (!sessions.is_object()) return;
  double online = 0;
  for (const auto& [state, count] : sessions.items())
    if (state != "BIRTH" && count.is_number()) online += count.get<double>();
  samples.add(online);
}

/// The client's session.
const nlohmann::json& own_session(const Facts& facts) {
  static const nlohmann::json kNothing;
  const nlohmann::json& sessions = at(facts.show, {"sessions"});
  const bool is_client = at(facts.show, {"role"}) == "client";
  return is_client && sessions.is_array() && !sessions.empty() ? sessions.front() : kNothing;
}

void add_paths(const Facts& facts, Samples& samples) {
  const nlohmann::json& paths = at(facts.show, {"paths"});
  if (!paths.is_array()) return;
  for (const char* state : {"active", "candidate", "down"}) {
    double count = 0;
    for (const nlohmann::json& path : paths) count += at(path, {"state"}) == state ? 1 : 0;
    samples.add(count, {{"state", state}});
  }
}

constexpr std::array kSessions{
    Metric{"jvpn_peers_configured", MetricType::Gauge, Of::kBoth, "",
           "Peers in the profile. A client has one, whatever gateways it knows.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"totals", "peers"}));
           }},
    Metric{"jvpn_peers_online", MetricType::Gauge, Of::kBoth, "",
           "Peers that have a session, in whichever state but BIRTH.", add_online},
    Metric{"jvpn_sessions", MetricType::Gauge, Of::kBoth, "state",
           "Sessions by state. BIRTH: handshakes that aren't confirmed yet.",
           [](const Facts& facts, Samples& samples) {
             add_each(at(facts.show, {"totals", "sessions"}), "state", samples);
           }},
    Metric{"jvpn_sessions_ended_total", MetricType::Counter, Of::kBoth, "reason",
           "Sessions that had been attached and ended, by reason. Parked and handed over ones "
           "aren't among them.",
           [](const Facts& facts, Samples& samples) {
             add_each(at(facts.show, {"totals", "ended"}), "reason", samples);
           }},
    Metric{"jvpn_sessions_forgotten_total", MetricType::Counter, Of::kBoth, "",
           "Sessions that were dropped without an end, because another gateway owns them.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"totals", "forgotten"}));
           }},
    Metric{"jvpn_sessions_parked_total", MetricType::Counter, Of::kGateway, "",
           "Sessions that were left to another run, or handed over to another gateway.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"ownership", "parked"}));
           }},
    Metric{"jvpn_session_claims_total", MetricType::Counter, Of::kGateway, "outcome",
           "Claims of a session by a fresh handshake: resumed or refused.",
           [](const Facts& facts, Samples& samples) {
             add_named(at(facts.show, {"ownership"}), "outcome",
                       {{"resumed", "resumed"}, {"refused", "refused"}}, samples);
           }},
    Metric{"jvpn_jumps_total", MetricType::Counter, Of::kBoth, "cause",
           "Committed jumps by cause: dead, planned, quality, failback, rebind, resume.",
           [](const Facts& facts, Samples& samples) {
             add_each(at(facts.show, {"totals", "jumps"}), "cause", samples);
           }},
    Metric{"jvpn_jump_seconds", MetricType::Histogram, Of::kExporter, "cause",
           "Time from a jump's first request to its commit, by cause; from TRANSPORT_SWITCH "
           "events, in steps of a millisecond.",
           [](const Facts& facts, Samples& samples) {
             add_histograms(facts.events.jumps(), "cause", samples);
           }},
    Metric{"jvpn_state_seconds", MetricType::Histogram, Of::kExporter, "state",
           "Time that a session stayed in VOLATILE, RECOVERING or DEGRADED, noted when it leaves; "
           "from STATE_CHANGE events. A planned jump passes RECOVERING in no time.",
           [](const Facts& facts, Samples& samples) {
             add_histograms(facts.events.stays(), "state", samples);
           }},
    Metric{"jvpn_reattach_requests_total", MetricType::Counter, Of::kGateway, "",
           "Authentic requests to reattach.",
           [](const Facts& facts, Samples& samples) {
             if (at(facts.show, {"role"}) == "gateway")
               samples.add(at(facts.show, {"control", "reattach_requests"}));
           }},
    Metric{"jvpn_reattaches_total", MetricType::Counter, Of::kGateway, "outcome",
           "Requests to reattach by outcome: committed, refused by a check, or bunched (held up "
           "on the way, with others that were answered).",
           [](const Facts& facts, Samples& samples) {
             if (at(facts.show, {"role"}) == "gateway")
               add_named(at(facts.show, {"control"}), "outcome",
                         {{"committed", "reattach_commits"},
                          {"refused", "reattach_refused"},
                          {"bunched", "reattach_bunched"}},
                         samples);
           }},
};

constexpr std::array kClient{
    Metric{"jvpn_client_paths", MetricType::Gauge, Of::kClient, "state",
           "Paths to the gateways by state: active, candidate, down.", add_paths},
    Metric{"jvpn_client_round_trip_seconds", MetricType::Gauge, Of::kClient, "",
           "Round trip on the path in use.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(own_session(facts), {"rtt_us"}), {}, kMicro);
           }},
    Metric{"jvpn_client_jitter_seconds", MetricType::Gauge, Of::kClient, "",
           "Jitter on the path in use.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(own_session(facts), {"jitter_us"}), {}, kMicro);
           }},
    Metric{"jvpn_client_loss_ratio", MetricType::Gauge, Of::kClient, "direction",
           "Share of data that got lost on the path in use, receive or transmit; absent while "
           "nothing is known.",
           [](const Facts& facts, Samples& samples) {
             add_named(own_session(facts), "direction",
                       {{"receive", "loss_in"}, {"transmit", "loss_out"}}, samples);
           }},
    Metric{"jvpn_client_session_bytes_total", MetricType::Counter, Of::kClient, "direction",
           "Bytes of the present session, receive or transmit.",
           [](const Facts& facts, Samples& samples) {
             add_named(own_session(facts), "direction",
                       {{"receive", "rx_bytes"}, {"transmit", "tx_bytes"}}, samples);
           }},
    Metric{"jvpn_client_session_packets_total", MetricType::Counter, Of::kClient, "direction",
           "Packets of the present session, receive or transmit.",
           [](const Facts& facts, Samples& samples) {
             add_named(own_session(facts), "direction",
                       {{"receive", "rx_packets"}, {"transmit", "tx_packets"}}, samples);
           }},
    Metric{"jvpn_client_tunnel_mtu_bytes", MetricType::Gauge, Of::kClient, "",
           "MTU of the tunnel's device.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"interface", "mtu"}));
           }},
};

}  // namespace

std::span<const Metric> session_metrics() {
  return kSessions;
}
std::span<const Metric> client_metrics() {
  return kClient;
}

}  // namespace jvpn::metrics
