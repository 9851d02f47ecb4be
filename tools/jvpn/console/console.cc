#include "tools/jvpn/console/console.h"

#include <algorithm>
#include <utility>

#include "tools/jvpn/output.h"

namespace jvpn::console {
namespace {

using Json = nlohmann::json;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr size_t kMostFreshEvents = 200;  ///< of a change; the page asks again for what it missed

/// As text/event-stream has it. JSON has no line breaks of its own.
std::string message(const char* kind, const Json& body) {
  return std::string("event: ") + kind +
         "\ndata: " + body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

uint64_t unix_ms() {
  return static_cast<uint64_t>(
      duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace

Console::Console(Ask ask) : ask_(std::move(ask)), thread_([this] { run(); }) {}

Console::~Console() {
  stop();
  thread_.join();
}

void Console::stop() {
  const std::lock_guard guard(mutex_);
  stopping_ = true;
  woken_.notify_all();
}

void Console::take_event(const EventRecord& event) {
  const Clock::time_point now = Clock::now();
  Json text = Timeline::text_of(event);
  const std::lock_guard guard(mutex_);
  if (!text.is_null()) timeline_.add(text);
  if (viewers_ == 0) return;
  rows_.take_event(event, now);
  if (!text.is_null() && fresh_events_.size() < kMostFreshEvents)
    fresh_events_.push_back(std::move(text));
  dirty_ = true;
  if (now >= changed_ + kBetweenChanges)
    change(now);
  else
    woken_.notify_all();  // run() makes it when it's time
}

/// What goes with every message. mutex_ is held.
Json Console::stand(Clock::time_point now) const {
  const bool swept = swept_ != Clock::time_point{};
  return {
      {"now_ms", unix_ms()},
      {"swept_ms_ago", swept ? Json(duration_cast<milliseconds>(now - swept_).count()) : Json()},
      {"sweep_ms", sweep_took_.count()},
      {"kept", rows_.size()},
      {"partial", partial_},
      {"summary", summary_.text()}};
}

/// mutex_ is held.
void Console::change(Clock::time_point now) {
  Json body = stand(now);
  body.update(rows_.changes());
  body["events"] = std::exchange(fresh_events_, Json::array());
  frames_.add(message("change", body));
  changed_ = now;
  dirty_ = false;
  woken_.notify_all();
}

/// mutex_ is held.
std::string Console::everything() const {
  Json body = stand(Clock::now());
  body["rows"] = rows_.all();
  body["events"] = timeline_.latest("");
  return message("all", body);
}

bool Console::watch(const Write& write) {
  std::unique_lock lock(mutex_);
  if (stopping_ || viewers_ >= kMostViewers) return false;
  if (++viewers_ == 1) {  // nobody has looked for a while
    rows_.clear();
    summary_.clear();
    fresh_events_.clear();
    swept_ =
        {};  // asked anew when it is due: who comes and goes has the program asked no more often
    ++audience_;
    woken_.notify_all();
  }
  if (dirty_) change(Clock::now());  // what is in `first` doesn't come again
  const uint64_t number = frames_.next();
  const std::string first = everything();
  lock.unlock();
  const bool there = write(first);
  lock.lock();
  if (there) follow(lock, number, write);
  --viewers_;
  return true;
}

void Console::follow(std::unique_lock<std::mutex>& lock, uint64_t number, const Write& write) {
  for (bool there = true; there && !stopping_;) {
    woken_.wait_for(lock, kLongestSilence, [&] { return stopping_ || frames_.has(number); });
    if (stopping_) return;
    Frames::Text text;
    if (frames_.has(number)) {
      text = frames_.at(number++);
      if (!text) return;  // too slow
    }
    lock.unlock();
    there = write(text ? std::string_view(*text) : std::string_view(": nothing new\n\n"));
    lock.lock();
  }
}

std::string Console::timeline(const std::string& session) const {
  const std::lock_guard guard(mutex_);
  return timeline_.latest(session).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Console::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Clock::time_point now = Clock::now();
    if (viewers_ != 0 && now >= next_ask_) {
      next_ask_ = now + kEvery;
      lock.unlock();
      ask(now);
      lock.lock();
      continue;
    }
    if (dirty_ && now >= changed_ + kBetweenChanges) {
      change(now);
      continue;
    }
    Clock::time_point next = now + std::chrono::hours(1);
    if (viewers_ != 0) next = std::min(next, next_ask_);
    if (dirty_) next = std::min(next, changed_ + kBetweenChanges);
    woken_.wait_until(lock, next);
  }
}

void Console::ask(Clock::time_point now) {
  bool all = false;
  {
    const std::lock_guard guard(mutex_);
    all = now >= next_sweep_;
  }
  Json request{{"command", "show"}};
  if (!all) request["sessions"] = false;
  const auto answer = ask_(request);
  {
    const std::lock_guard guard(mutex_);
    if (answer)
      summary_.take(*answer, now);
    else
      summary_.fail(answer.error().message);
    dirty_ = true;
  }
  if (answer && all) sweep(*answer, now);
}

/// The page that follows, over `page`; false: it was the last, or there was no answer.
bool Console::next_page(Json& page, uint64_t& from) {
  const auto next = number_of(page, "next");
  if (!next || *next <= from) return false;
  from = *next;
  auto answer = ask_({{"command", "show"}, {"from", from}});
  page = answer ? std::move(*answer) : Json();
  return page.is_object();
}

void Console::sweep(const Json& first, Clock::time_point asked) {
  Json page = first;
  uint64_t from = 0;
  const Clock::time_point begun = asked;
  std::optional<uint64_t> audience;
  for (bool more = true; more;) {
    {
      const std::lock_guard guard(mutex_);
      if (!audience) {
        audience = audience_;
        rows_.begin_sweep();
      }
      // Whoever came when nobody looked found an empty table: half a sweep would look like a whole.
      if (stopping_ || viewers_ == 0 || *audience != audience_) return;
      rows_.take(page, asked);
      partial_ = rows_.refused();
      dirty_ = true;
      if (Clock::now() >= changed_ + kBetweenChanges) change(Clock::now());
    }
    asked = Clock::now();
    more = next_page(page, from);
  }
  const std::lock_guard guard(mutex_);
  if (*audience != audience_) return;
  const Clock::time_point now = Clock::now();
  sweep_took_ = duration_cast<milliseconds>(now - begun);
  next_sweep_ = now + std::max(milliseconds(kEvery), kRest * sweep_took_);
  if (!page.is_object()) return;  // it was cut short
  rows_.end_sweep();
  swept_ = begun;
  change(now);
}

}  // namespace jvpn::console
