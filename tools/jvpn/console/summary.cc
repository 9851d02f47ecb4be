#include "tools/jvpn/console/summary.h"

#include <optional>
#include <utility>

#include "tools/jvpn/output.h"

namespace jvpn::console {
namespace {

using Json = nlohmann::json;

/// Two values of each counter, and the time between.
struct Span {
  double seconds = 0;  ///< 0: there was no answer before

  Json rate(const Json& now, const Json& before, const char* name, double scale = 1) const {
    const auto value = number_of(now, name);
    const auto was = number_of(before, name);
    if (seconds <= 0 || !value || !was || *value < *was) return nullptr;
    return static_cast<double>(*value - *was) * scale / seconds;
  }
};

/// The element of the same place, or null.
const Json& at_place(const Json& list, size_t place) {
  static const Json nothing;
  return list.is_array() && place < list.size() ? list[place] : nothing;
}

Json workers_of(const Json& show, const Json& before, const Span& span) {
  Json all = Json::array();
  for (const Json& each : field(show, "workers")) {
    const Json& was = at_place(field(before, "workers"), all.size());
    const Json busy = span.rate(each, was, "busy_polls");
    const Json idle = span.rate(each, was, "idle_polls");
    const double polls =
        busy.is_number() && idle.is_number() ? busy.get<double>() + idle.get<double>() : 0;
    all.push_back({{"load", polls > 0 ? Json(busy.get<double>() / polls) : Json(nullptr)},
                   {"rx_pps", span.rate(each, was, "rx_packets")},
                   {"tx_pps", span.rate(each, was, "tx_packets")},
                   {"handed_off_pps", span.rate(each, was, "handed_off")}});
  }
  return all;
}

Json ports_of(const Json& show, const Json& before, const Span& span) {
  Json all = Json::array();
  for (const Json& each : field(show, "ports")) {
    const Json& was = at_place(field(before, "ports"), all.size());
    all.push_back({{"name", field(each, "name")},
                   {"role", field(each, "role")},
                   {"link", field(each, "link")},
                   {"rx_bps", span.rate(each, was, "rx_bytes", 8)},
                   {"tx_bps", span.rate(each, was, "tx_bytes", 8)},
                   {"rx_pps", span.rate(each, was, "rx_packets")},
                   {"tx_pps", span.rate(each, was, "tx_packets")},
                   {"missed", field(each, "rx_missed")}});
  }
  return all;
}

/// Those that are not zero: name, packets, packets a second.
Json drops_of(const Json& show, const Json& before, const Span& span) {
  Json all = Json::array();
  const Json& was = field(before, "drops");
  const Json& drops = field(show, "drops");
  if (!drops.is_object()) return all;
  for (const auto& [name, count] : drops.items()) {
    if (!count.is_number_unsigned() || count == 0) continue;
    Json rate = span.rate(drops, was, name.c_str());
    if (rate.is_null() && span.seconds > 0)  // its first packet has come meanwhile
      rate = static_cast<double>(count.get<uint64_t>()) / span.seconds;
    all.push_back(Json::array({name, count, std::move(rate)}));
  }
  return all;
}

uint64_t sum_of(const Json& counters) {
  uint64_t sum = 0;
  if (!counters.is_object()) return sum;
  for (const Json& each : counters)
    if (each.is_number_unsigned()) sum += each.get<uint64_t>();
  return sum;
}

}  // namespace

void Summary::take(const Json& show, Clock::time_point asked) {
  const std::chrono::duration<double> passed = asked - asked_;
  const auto uptime = number_of(show, "uptime_ms");
  const auto uptime_before = number_of(before_, "uptime_ms");
  const bool goes_on = uptime && uptime_before && *uptime >= *uptime_before;
  const Span span{goes_on ? passed.count() : 0};
  const Json& totals = field(show, "totals");
  text_ = {{"up", true},
           {"states", field(totals, "sessions")},
           {"jumps", field(totals, "jumps")},
           {"ended", sum_of(field(totals, "ended"))},
           {"peers", field(totals, "peers")},
           {"workers", workers_of(show, before_, span)},
           {"ports", ports_of(show, before_, span)},
           {"drops", drops_of(show, before_, span)}};
  for (const char* name : {"node", "role", "version", "uptime_ms", "policy_version", "paths",
                           "health", "troubles", "drain", "interface"})
    text_[name] = field(show, name);
  before_ = show;
  before_.erase("sessions");
  asked_ = asked;
}

void Summary::fail(const std::string& why) {
  before_ = nullptr;
  text_ = {{"up", false}, {"why", why}};
}

void Summary::clear() {
  before_ = nullptr;
  text_ = nullptr;
}

}  // namespace jvpn::console
