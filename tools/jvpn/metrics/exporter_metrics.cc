// What the exporter knows by itself: whether the program answers, and whether it reads the events.
#include <array>
#include <string>

#include "tools/jvpn/metrics/event_metrics.h"
#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {
namespace {

using prometheus::MetricType;

void add_build(const Facts& facts, Samples& samples) {
  const auto text = [&](const char* name) {
    const nlohmann::json& found = at(facts.show, {name});
    return found.is_string() ? found.get<std::string>() : std::string();
  };
  if (facts.show.is_object())
    samples.add(1, {{"version", text("version")}, {"role", text("role")}, {"node", text("node")}});
}

constexpr std::array kExporter{
    Metric{
        "jvpn_up", MetricType::Gauge, Of::kExporter, "",
        "1 when the program answered this scrape. At 0 it has no metrics but those of the "
        "exporter.",
        [](const Facts& facts, Samples& samples) { samples.add(facts.show.is_object() ? 1 : 0); }},
    Metric{"jvpn_build_info", MetricType::Gauge, Of::kBoth, "version,role,node",
           "1; the program's version, whether it is a gateway or a client, and its node's name.",
           add_build},
    Metric{"jvpn_uptime_seconds", MetricType::Gauge, Of::kBoth, "",
           "Time since the program's start.",
           [](const Facts& facts, Samples& samples) {
             samples.add(at(facts.show, {"uptime_ms"}), {}, kMilli);
           }},
    Metric{"jvpn_events_total", MetricType::Counter, Of::kExporter, "reason",
           "Events that the exporter has read since its start, by reason. What the program "
           "samples it writes less often than it happens.",
           [](const Facts& facts, Samples& samples) {
             for (const ReasonText& each : all_reasons())
               samples.add(static_cast<double>(facts.events.count(each.reason)),
                           {{"reason", each.code}});
           }},
    Metric{"jvpn_exporter_build_info", MetricType::Gauge, Of::kExporter, "version",
           "1; the exporter's version.",
           [](const Facts&, Samples& samples) {
             samples.add(1, {{"version", JVPN_VERSION}});
           }},
    Metric{"jvpn_exporter_answer_seconds", MetricType::Gauge, Of::kExporter, "",
           "Time that the program took to answer the exporter, or the exporter to give up.",
           [](const Facts& facts, Samples& samples) { samples.add(facts.answer_seconds); }},
    Metric{"jvpn_exporter_follows_events", MetricType::Gauge, Of::kExporter, "",
           "1 while the exporter reads the program's events. At 0 histograms stand still.",
           [](const Facts& facts, Samples& samples) {
             samples.add(facts.events.following() ? 1 : 0);
           }},
    Metric{"jvpn_exporter_events_missed_total", MetricType::Counter, Of::kExporter, "",
           "Events that came too fast for the exporter, or while it was away: its histograms and "
           "jvpn_events_total lack them.",
           [](const Facts& facts, Samples& samples) {
             samples.add(static_cast<double>(facts.events.missed()));
           }},
};

}  // namespace

std::span<const Metric> exporter_metrics() {
  return kExporter;
}

}  // namespace jvpn::metrics
