// What one metric is: its entry in the table, and what its samples are made of.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <prometheus/metric_family.h>

namespace jvpn::metrics {

class EventMetrics;

inline constexpr double kMicro = 1e-6;
inline constexpr double kMilli = 1e-3;

/// What a scrape knows.
struct Facts {
  const nlohmann::json& show;  ///< what the program answers; null while it doesn't
  const EventMetrics& events;
  double answer_seconds = 0;  ///< that the program took for `show`
  double unix_seconds = 0;    ///< the time now
};

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// Takes the samples of one metric. What isn't a number makes none, so that a program that doesn't
/// have a figure has no metric of it either.
class Samples {
 public:
  explicit Samples(prometheus::MetricFamily& family) : family_(family) {}

  void add(double value, Labels labels = {});
  void add(const nlohmann::json& number, Labels labels = {}, double scale = 1);
  void add(const prometheus::ClientMetric::Histogram& histogram, Labels labels);

 private:
  prometheus::MetricFamily& family_;
};

/// Who has it.
enum class Of : uint8_t { kGateway, kClient, kBoth, kExporter };

struct Metric {
  const char* name;
  prometheus::MetricType type;
  Of of;
  const char* labels;  ///< their names, joined by commas
  const char* help;
  void (*collect)(const Facts&, Samples&);
};

/// A field of a field, or null.
const nlohmann::json& at(const nlohmann::json& object, std::initializer_list<const char*> names);
/// A sample for each number of an object, whose name is the label's value.
void add_each(const nlohmann::json& object, const char* label, Samples& samples);
/// A sample for each of these numbers of an object, if it has them.
void add_named(const nlohmann::json& object, const char* label,
               std::initializer_list<std::pair<const char*, const char*>> values_and_names,
               Samples& samples);

// The table's parts.
std::span<const Metric> session_metrics();
std::span<const Metric> dataplane_metrics();
std::span<const Metric> control_metrics();
std::span<const Metric> store_metrics();
std::span<const Metric> log_metrics();
std::span<const Metric> client_metrics();
std::span<const Metric> exporter_metrics();

}  // namespace jvpn::metrics
