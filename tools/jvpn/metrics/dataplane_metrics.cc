// Workers, ports and drops.
#include <array>
#include <string>

#include "common/drop.h"
#include "tools/jvpn/metrics/metric.h"

namespace jvpn::metrics {
namespace {

using prometheus::MetricType;

/// A sample for each worker and name; the label of a single, unnamed one is the worker alone.
void add_workers(const Facts& facts, const char* label,
                 std::initializer_list<std::pair<const char*, const char*>> values_and_names,
                 Samples& samples) {
  const nlohmann::json& workers = at(facts.show, {"workers"});
  if (!workers.is_array()) return;
  for (size_t number = 0; number < workers.size(); ++number)
    for (const auto& [value, name] : values_and_names)
      samples.add(at(workers[number], {name}),
                  {{"worker", std::to_string(number)}, {label, value}});
}

Labels labels_of(const nlohmann::json& port) {
  const auto text = [&](const char* name) {
    const nlohmann::json& found = at(port, {name});
    return found.is_string() ? found.get<std::string>() : std::string();
  };
  return {{"port", text("name")}, {"role", text("role")}};
}

template <typename Add>
void for_each_port(const Facts& facts, Add add) {
  const nlohmann::json& ports = at(facts.show, {"ports"});
  if (!ports.is_array()) return;
  for (const nlohmann::json& port : ports) add(port, labels_of(port));
}

void add_ports(const Facts& facts, const char* label,
               std::initializer_list<std::pair<const char*, const char*>> values_and_names,
               Samples& samples) {
  for_each_port(facts, [&](const nlohmann::json& port, const Labels& of) {
    for (const auto& [value, name] : values_and_names) {
      Labels labels = of;
      labels.push_back({label, value});
      samples.add(at(port, {name}), std::move(labels));
    }
  });
}

/// All names from the start: a rate needs a zero to begin with.
void add_drops(const Facts& facts, Samples& samples) {
  const nlohmann::json& drops = at(facts.show, {"drops"});
  if (!drops.is_object()) return;
  for (const DropInfo& drop : kDropInfo) {
    const nlohmann::json& count = at(drops, {drop.name});
    samples.add(count.is_number() ? count.get<double>() : 0, {{"drop", drop.name}});
  }
}

constexpr std::array kDataplane{
    Metric{
        "jvpn_worker_polls_total", MetricType::Counter, Of::kGateway, "worker,result",
        "Polls of a worker that found packets (busy) or none (idle). The busy share of their "
        "rates is 1 when the worker can't keep up.",
        [](const Facts& facts, Samples& samples) {
          add_workers(facts, "result", {{"busy", "busy_polls"}, {"idle", "idle_polls"}}, samples);
        }},
    Metric{"jvpn_worker_packets_total", MetricType::Counter, Of::kGateway, "worker,what",
           "Packets of a worker: received, transmitted, sealed, opened, handed_off (to another "
           "worker), punted (to control).",
           [](const Facts& facts, Samples& samples) {
             add_workers(facts, "what",
                         {{"received", "rx_packets"},
                          {"transmitted", "tx_packets"},
                          {"sealed", "sealed"},
                          {"opened", "opened"},
                          {"handed_off", "handed_off"},
                          {"punted", "punted"}},
                         samples);
           }},
    Metric{"jvpn_port_up", MetricType::Gauge, Of::kGateway, "port,role",
           "1 while the port has a link.",
           [](const Facts& facts, Samples& samples) {
             for_each_port(facts, [&](const nlohmann::json& port, Labels labels) {
               samples.add(at(port, {"link"}) == "up" ? 1 : 0, std::move(labels));
             });
           }},
    Metric{"jvpn_port_mtu_bytes", MetricType::Gauge, Of::kGateway, "port,role", "MTU of the port.",
           [](const Facts& facts, Samples& samples) {
             for_each_port(facts, [&](const nlohmann::json& port, Labels labels) {
               samples.add(at(port, {"mtu"}), std::move(labels));
             });
           }},
    Metric{"jvpn_port_packets_total", MetricType::Counter, Of::kGateway, "port,role,direction",
           "Packets that the port's driver counts, receive or transmit.",
           [](const Facts& facts, Samples& samples) {
             add_ports(facts, "direction", {{"receive", "rx_packets"}, {"transmit", "tx_packets"}},
                       samples);
           }},
    Metric{"jvpn_port_bytes_total", MetricType::Counter, Of::kGateway, "port,role,direction",
           "Bytes that the port's driver counts, receive or transmit.",
           [](const Facts& facts, Samples& samples) {
             add_ports(facts, "direction", {{"receive", "rx_bytes"}, {"transmit", "tx_bytes"}},
                       samples);
           }},
    Metric{"jvpn_port_drops_total", MetricType::Counter, Of::kGateway, "port,role,cause",
           "Packets that the port's driver dropped: missed (no worker took them in time), "
           "no_buffer, transmit_error.",
           [](const Facts& facts, Samples& samples) {
             add_ports(facts, "cause",
                       {{"missed", "rx_missed"},
                        {"no_buffer", "rx_no_buffer"},
                        {"transmit_error", "tx_errors"}},
                       samples);
           }},
    Metric{"jvpn_drops_total", MetricType::Counter, Of::kBoth, "drop",
           "Packets that the program dropped, by the names of `jvpn show`.", add_drops},
};

}  // namespace

std::span<const Metric> dataplane_metrics() {
  return kDataplane;
}

}  // namespace jvpn::metrics
