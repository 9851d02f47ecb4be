#include "control/admin/event_admin.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace jvpn::admin {
namespace {

constexpr size_t kLinesByDefault = 10;
constexpr size_t kAtOnce = 32;

class EventStream : public LineStream {
 public:
  EventStream(events::EventLog& log, size_t lines, bool follow)
      : log_(log), lines_(lines), follow_(follow) {}

  More read(std::string& out, size_t most) override {
    if (!begun_ && !log_.lines().latest(lines_, cursor_)) return More::kNow;
    begun_ = true;
    std::vector<events::TakenLine> taken;
    while (out.size() < most) {
      const size_t wanted = follow_ ? kAtOnce : std::min(kAtOnce, lines_);
      taken.clear();
      if (!log_.lines().read(cursor_, wanted, taken)) return More::kNow;
      for (const events::TakenLine& line : taken) append(out, line);
      lines_ -= std::min(lines_, taken.size());
      if (!follow_ && (lines_ == 0 || taken.size() < wanted)) return More::kNoMore;
      if (taken.size() < wanted) return More::kLater;
    }
    return More::kNow;
  }

 private:
  void append(std::string& out, const events::TakenLine& taken) const {
    const events::EventLine& line = *taken.line;
    if (taken.missed != 0)
      out += events::loss_line(line.before(), taken.missed, line.policy_version, log_.node()).text +
             '\n';
    out += line.text + '\n';
  }

  events::EventLog& log_;
  size_t lines_;
  bool follow_;
  bool begun_ = false;
  events::EventCursor cursor_;
};

}  // namespace

std::unique_ptr<LineStream> EventSource::open(const nlohmann::json& request) {
  const auto is = [&](const char* key, const nlohmann::json& value) {
    const auto found = request.find(key);
    return found != request.end() && *found == value;
  };
  if (!is("command", "events")) return nullptr;
  const auto lines = request.find("lines");
  const bool told = lines != request.end() && lines->is_number_unsigned();
  log_.lines().follow(true);
  return std::make_unique<EventStream>(log_, told ? lines->get<size_t>() : kLinesByDefault,
                                       is("follow", true));
}

nlohmann::json show_events(const events::EventLogStatus& status) {
  nlohmann::json sinks = nlohmann::json::array();
  for (const events::EventSinkStatus& sink : status.sinks) {
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

}  // namespace jvpn::admin
