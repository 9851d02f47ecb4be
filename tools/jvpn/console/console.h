// What the console's viewers see. It asks the program while somebody looks, at a rate that doesn't
// depend on how many do, and has changes for all of them at once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include <nlohmann/json.hpp>

#include "common/result.h"
#include "tools/jvpn/console/frames.h"
#include "tools/jvpn/console/session_rows.h"
#include "tools/jvpn/console/summary.h"
#include "tools/jvpn/console/timeline.h"
#include "tools/jvpn/event_record.h"

namespace jvpn::console {

class Console {
 public:
  static constexpr size_t kMostViewers = 8;
  /// From one question to the next.
  static constexpr std::chrono::milliseconds kEvery{500};
  /// From the end of a look at all sessions to the next one, as a multiple of the time it took:
  /// with many sessions it takes seconds, and the program has other work.
  static constexpr int kRest = 3;
  /// From one change that viewers get to the next, and how long they hear nothing at most.
  static constexpr std::chrono::milliseconds kBetweenChanges{100};
  static constexpr std::chrono::milliseconds kLongestSilence{1'000};

  /// Asks the program: an object, or why there is none.
  using Ask = std::function<Result<nlohmann::json>(const nlohmann::json& request)>;
  /// Hands bytes to a viewer; false: it is gone, or too slow.
  using Write = std::function<bool(std::string_view)>;

  explicit Console(Ask ask);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// On the thread that follows events.
  void take_event(const EventRecord& event);
  /// On a viewer's thread: server-sent events, until the viewer is gone, too slow, or stop().
  /// False: there are viewers enough, nothing was written.
  bool watch(const Write& write);
  /// The latest events of a session, or of all when `session` is empty, as JSON.
  std::string timeline(const std::string& session) const;
  /// Viewers are sent away, and nothing is asked any more. On any thread.
  void stop();

 private:
  void run();
  void ask(Clock::time_point now);
  void sweep(const nlohmann::json& first, Clock::time_point asked);
  bool next_page(nlohmann::json& page, uint64_t& from);
  void change(Clock::time_point now);
  std::string everything() const;
  void follow(std::unique_lock<std::mutex>& lock, uint64_t number, const Write& write);
  nlohmann::json stand(Clock::time_point now) const;

  const Ask ask_;
  mutable std::mutex mutex_;
  std::condition_variable woken_;  ///< of run(), and of viewers
  bool stopping_ = false;
  size_t viewers_ = 0;
  SessionRows rows_;
  Summary summary_;
  Timeline timeline_;
  Frames frames_;
  nlohmann::json fresh_events_ = nlohmann::json::array();  ///< of the next change
  uint64_t audience_ = 0;      ///< how often somebody has come when nobody looked
  bool dirty_ = false;         ///< there is something for a change
  bool partial_ = false;       ///< not all sessions are kept
  Clock::time_point changed_;  ///< the latest change
  Clock::time_point next_ask_;
  Clock::time_point next_sweep_;
  Clock::time_point swept_;  ///< begin of the latest sweep that came to its end
  std::chrono::milliseconds sweep_took_{0};
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace jvpn::console
