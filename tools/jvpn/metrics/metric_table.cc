#include "tools/jvpn/metrics/metric_table.h"

#include <fmt/format.h>

#include "common/printable.h"
#include "tools/jvpn/output.h"

namespace jvpn::metrics {
namespace {

const char* to_string(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return "counter";
    case prometheus::MetricType::Gauge:
      return "gauge";
    case prometheus::MetricType::Histogram:
      return "histogram";
    default:
      return "untyped";
  }
}

const char* to_string(Of of) {
  switch (of) {
    case Of::kGateway:
      return "gateway";
    case Of::kClient:
      return "client";
    case Of::kBoth:
      return "both";
    case Of::kExporter:
      return "exporter";
  }
  return "";
}

prometheus::ClientMetric labelled(Labels labels) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  for (prometheus::ClientMetric::Label& label : metric.label) label.value = printable(label.value);
  return metric;
}

}  // namespace

void Samples::add(double value, Labels labels) {
  prometheus::ClientMetric metric = labelled(std::move(labels));
  if (family_.type == prometheus::MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  family_.metric.push_back(std::move(metric));
}

void Samples::add(const nlohmann::json& number, Labels labels, double scale) {
  if (number.is_number()) add(number.get<double>() * scale, std::move(labels));
}

void Samples::add(const prometheus::ClientMetric::Histogram& histogram, Labels labels) {
  prometheus::ClientMetric metric = labelled(std::move(labels));
  metric.histogram = histogram;
  family_.metric.push_back(std::move(metric));
}

const nlohmann::json& at(const nlohmann::json& object, std::initializer_list<const char*> names) {
  const nlohmann::json* found = &object;
  for (const char* name : names) found = &field(*found, name);
  return *found;
}

void add_each(const nlohmann::json& object, const char* label, Samples& samples) {
  if (!object.is_object()) return;
  for (const auto& [name, number] : object.items()) samples.add(number, {{label, name}});
}

void add_named(const nlohmann::json& object, const char* label,
               std::initializer_list<std::pair<const char*, const char*>> values_and_names,
               Samples& samples) {
  for (const auto& [value, name] : values_and_names)
    samples.add(field(object, name), {{label, value}});
}

std::vector<Metric> all_metrics() {
  std::vector<Metric> all;
  for (const auto part : {exporter_metrics(), session_metrics(), client_metrics(),
                          dataplane_metrics(), control_metrics(), store_metrics(), log_metrics()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<prometheus::MetricFamily> collect(const Facts& facts) {
  std::vector<prometheus::MetricFamily> families;
  for (const Metric& metric : all_metrics()) {
    prometheus::MetricFamily family;
    family.name = metric.name;
    family.help = metric.help;
    family.type = metric.type;
    Samples samples(family);
    metric.collect(facts, samples);
    if (!family.metric.empty()) families.push_back(std::move(family));
  }
  return families;
}

std::string metric_table_markdown() {
  std::string text = "| metric | type | labels | of | meaning |\n|---|---|---|---|---|\n";
  for (const Metric& metric : all_metrics())
    text += fmt::format("| `{}` | {} | {} | {} | {} |\n", metric.name, to_string(metric.type),
                        metric.labels, to_string(metric.of), metric.help);
  return text;
}

}  // namespace jvpn::metrics
