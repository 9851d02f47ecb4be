#include "control/event_admin.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace jvpn {

nlohmann::json show_events(const EventLogStatus& status) {
  nlohmann::json sinks = nlohmann::json::array();
  for (const EventSinkStatus& sink : status.sinks) {
    nlohmann::json one{{"kind", sink.kind},
                       {"target", sink.target},
                       {"healthy", sink.healthy},
                       {"written", sink.written},
                       {"lost", sink.lost}};
    if (!sink.healthy) one["why"] = sink.why;
    sinks.push_back(std::move(one));
  }
  return {{"written", status.written},
          {"lost", status.lost},
          {"healthy", status.healthy},
          {"sinks", std::move(sinks)}};
}

}  // namespace jvpn
