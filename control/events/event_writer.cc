#include "control/events/event_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <pthread.h>

namespace jvpn::events {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{5'000};
constexpr std::chrono::seconds kStalled{1};
constexpr const char* kStalledText = "takes no more lines";

}  // namespace

EventWriter::EventWriter(std::shared_ptr<EventLines> lines, const EventSinkProfile& profile,
                         std::string node, const std::string& program, EventReport report)
    : lines_(std::move(lines)),
      profile_(profile),
      target_(profile.target()),
      node_(std::move(node)),
      sink_(make_event_sink(profile, program)),
      report_(std::move(report)),
      reader_(lines_->add_reader()) {}

void EventWriter::start() {
  thread_ = std::thread([self = shared_from_this()] {
    pthread_setname_np(pthread_self(), "jvpn-sink");
    self->run();
    self->ended_.store(true, std::memory_order_release);
  });
}

void EventWriter::release() {
  if (!thread_.joinable()) return;
  if (ended())
    thread_.join();
  else
    thread_.detach();
}

void EventWriter::run() {
  for (;;) {
    const TakenLine taken = lines_->take(reader_);
    if (!taken.line) return;
    const EventLine& line = *taken.line;
    if (taken.missed != 0 &&
        !put(loss_line(line.before(), taken.missed, line.policy_version, node_).text))
      return;
    if (!put(line.text)) return;
    if (line.lost == 0) written_.fetch_add(1, std::memory_order_relaxed);
  }
}

/// Writes one line, however long that takes. False: it never will be, the program ends.
bool EventWriter::put(std::string_view text) {
  const std::string line = std::string(text) + '\n';
  milliseconds wait = kFirstPause;
  const auto begun = Clock::now();
  busy_since_.store(begun.time_since_epoch().count(), std::memory_order_relaxed);
  for (;;) {
    const Wrote wrote = sink_->write(line);
    if (wrote == Wrote::kAll) break;
    if (lines_->abandoned()) return false;
    if (wrote == Wrote::kBusy) {
      if (Clock::now() - begun > kStalled) tell(kStalledText);
      continue;
    }
    trouble_.store(sink_->error(), std::memory_order_relaxed);
    if (lines_->finished()) return false;
    tell(std::strerror(sink_->error()));
    lines_->pause(wait);
    wait = std::min(2 * wait, kLongestPause);
  }
  tell("");
  trouble_.store(0, std::memory_order_relaxed);
  busy_since_.store(0, std::memory_order_relaxed);
  return true;
}

/// Reports what is news; nothing at the program's very end, when nobody may be there to take it.
void EventWriter::tell(const std::string& why) {
  if (why == told_ || !report_ || lines_->abandoned()) return;
  const std::string name =
      std::string(to_string(profile_.kind)) + (target_.empty() ? "" : " " + target_);
  if (why.empty())
    report_("event sink " + name + ": well again, " + std::to_string(lines_->lost(reader_)) +
            " events lost so far");
  else
    report_("event sink " + name + ": " + why);
  told_ = why;
}

EventSinkStatus EventWriter::status() const {
  EventSinkStatus status{
      to_string(profile_.kind), target_, true, {}, written_.load(std::memory_order_relaxed),
      lines_->lost(reader_)};
  const int trouble = trouble_.load(std::memory_order_relaxed);
  const Clock::duration since{busy_since_.load(std::memory_order_relaxed)};
  const bool stalled = since.count() != 0 && Clock::now().time_since_epoch() - since > kStalled;
  if (trouble != 0)
    status.why = std::strerror(trouble);
  else if (stalled)
    status.why = kStalledText;
  else if (lines_->misses(reader_))
    status.why = "too slow for the events that come";
  status.healthy = status.why.empty();
  return status;
}

}  // namespace jvpn::events
