#include "control/event_log.h"

#include <chrono>

namespace jvpn {

void EventLog::add(const Event& event) {
  const auto realtime = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  lines_.push_back(
      to_json_line(event, ++sequence_, static_cast<uint64_t>(realtime.count()), node_));
  if (lines_.size() > capacity_) lines_.pop_front();
  sink_->info("{}", lines_.back());
}

}  // namespace jvpn
