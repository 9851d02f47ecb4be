#include "perf/storm/event_account.h"

#include <chrono>
#include <utility>

namespace jvpn::perf {
namespace {

constexpr std::chrono::seconds kReaderPatience{10};

}  // namespace

EventAccount::EventAccount(size_t ring)
    : log_({.node = "gw1", .ring = ring, .sinks = {}, .report = {}}),
      reader_(log_.lines().add_reader()) {
  log_.start();
  thread_ = std::thread([this] { read(); });
}

EventAccount::~EventAccount() {
  log_.close();
  thread_.join();
}

void EventAccount::read() {
  for (;;) {
    const events::TakenLine taken = log_.lines().take(reader_);
    if (!taken.line) return;
    announced_ += taken.missed + taken.line->lost;
    written_ += taken.line->lost == 0 ? 1 : 0;
  }
}

EventAccount::Figures EventAccount::total() const {
  return {log_.added(), written_.load(), announced_.load()};
}

EventAccount::Figures EventAccount::take() {
  const auto until = std::chrono::steady_clock::now() + kReaderPatience;
  const auto behind = [&] { return total().written + total().announced < total().emitted; };
  while (behind() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const Figures now = total();
  const Figures before = std::exchange(taken_, now);
  return {now.emitted - before.emitted, now.written - before.written,
          now.announced - before.announced};
}

}  // namespace jvpn::perf
