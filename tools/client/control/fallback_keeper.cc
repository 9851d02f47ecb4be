#include "tools/client/control/fallback_keeper.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

namespace jvpn::client::control {
namespace {

using underlays::TcpLink;

constexpr Millis kGrace{100};       // for a jump from a dead path to another UDP path
constexpr Millis kPatience{5'000};  // with TCP and TLS
constexpr Millis kFirstPause{500};  // after a failure
constexpr Millis kLongestPause{30'000};
constexpr Millis kLinger{5'000};  // of a connection that UDP has replaced
/// Without a session, from connecting: longer than a round of attempts at the other paths.
constexpr Millis kUnanswered{20'000};

}  // namespace

FallbackKeeper::FallbackKeeper(std::vector<Endpoint> endpoints, FallbackKeeperParts parts)
    : endpoints_(std::move(endpoints)), parts_(parts) {
  for (size_t n = 0; n < parts_.underlays.size(); ++n)
    if (parts_.underlays[n].tcp() != nullptr)
      ways_.push_back({n, 0, Millis{0}, kFirstPause, false, {}});
}

void FallbackKeeper::follow(Millis now) {
  due_ = kNever;
  if (ways_.empty()) return;
  note_path(now);
  const bool wanted = wanted_ = needed(now);
  bool changed = false;
  for (Way& way : ways_) {
    TcpLink& tcp = link(way);
    if (tcp.state() == TcpLink::State::kDialing && now >= tcp.deadline()) tcp.advance(now);
    leave_unanswered(now, way);
    const bool was_up = way.was_up;
    follow_link(now, way);
    if (wanted && tcp.state() == TcpLink::State::kIdle && now >= way.retry) dial(now, way);
    if (wanted && tcp.state() == TcpLink::State::kIdle) due_ = std::min(due_, way.retry);
    due_ = std::min(due_, tcp.deadline());
    changed = changed || was_up != way.was_up;
  }
  changed = hang_up_others(now) || changed;
  if (changed) {
    parts_.paths.look(now);
    due_ = now;  // which may have changed the session's path
  }
  for (const Way& way : ways_) parts_.sockets.follow(parts_.underlays[way.underlay]);
  const auto up = std::ranges::find_if(
      ways_, [&](const Way& way) { return link(way).state() == TcpLink::State::kUp; });
  const bool any = up != ways_.end();
  parts_.keeper.set_fallback(
      now, any ? std::optional(parts_.underlays[up->underlay].path_from(*link(*up).remote()))
               : std::nullopt);
}

std::vector<std::string> FallbackKeeper::troubles() const {
  std::vector<std::string> all;
  for (const Way& way : ways_)
    if (wanted_ && !way.was_up && !way.reported.empty()) all.push_back(way.reported);
  return all;
}

/// A connection behind which no gateway answers: the next endpoint's may have one.
void FallbackKeeper::leave_unanswered(Millis now, Way& way) {
  if (!way.was_up || parts_.keeper.has_session()) return;
  if (now >= way.up_since + kUnanswered)
    link(way).fail("it is connected, and no gateway answers behind it");
  else
    due_ = std::min(due_, way.up_since + kUnanswered);
}

/// Which kind of path has carried the session, and since when.
void FallbackKeeper::note_path(Millis now) {
  const std::optional<Path>& path = parts_.data_path.path();
  const bool udp = path && parts_.underlays[path->interface].tcp() == nullptr;
  if (path) {
    pathless_.reset();
    last_path_ = path;
  } else if (parts_.keeper.has_session() && !pathless_) {
    pathless_ = now;
    // The engine calls the path dead: half-open connections look like that.
    for (Way& way : ways_)
      if (last_path_ && last_path_->interface == way.underlay &&
          link(way).state() == TcpLink::State::kUp)
        link(way).fail("nothing came through it any more");
  } else if (!parts_.keeper.has_session()) {
    pathless_.reset();
  }
  if (!udp) udp_since_.reset();
  if (udp && !udp_since_) udp_since_ = now;
}

/// Is it the time to connect, or to stay connected?
bool FallbackKeeper::needed(Millis now) {
  if (!parts_.engine.policy().transport.tcp) return false;
  if (pathless_) {
    if (now >= *pathless_ + kGrace) return true;
    due_ = std::min(due_, *pathless_ + kGrace);
    return false;
  }
  if (parts_.data_path.path()) return false;
  return parts_.keeper.udp_silent(now);
}

void FallbackKeeper::follow_link(Millis now, Way& way) {
  TcpLink& tcp = link(way);
  const bool up = tcp.state() == TcpLink::State::kUp;
  if (up && !way.was_up) {
    way.up_since = now;
    way.pause = kFirstPause;
    way.reported.clear();
    spdlog::info("connected by TCP and TLS 1.3 to {} by underlay {}", to_string(*tcp.remote()),
                 parts_.underlays[way.underlay].name());
  }
  way.was_up = up;
  if (tcp.state() != TcpLink::State::kFailed) return;
  on_failure(now, way, tcp.why());
  tcp.release();
  tcp.hang_up();
}

void FallbackKeeper::dial(Millis now, Way& way) {
  const Endpoint& remote = endpoints_[way.endpoint % endpoints_.size()];
  if (const auto dialled = parts_.underlays[way.underlay].dial(remote, now + kPatience); !dialled)
    return on_failure(now, way, dialled.error().message);
  TcpLink& tcp = link(way);
  tcp.advance(now);
  if (tcp.state() == TcpLink::State::kFailed) due_ = now;  // nothing else wakes us for that
}

/// The next endpoint is due, after a while once all have failed.
void FallbackKeeper::on_failure(Millis now, Way& way, const std::string& why) {
  if (why != way.reported) spdlog::warn("{}", why);
  way.reported = why;
  const bool all = ++way.endpoint % endpoints_.size() == 0;
  way.retry = all ? now + way.pause : now;
  if (all) way.pause = std::min(kLongestPause, way.pause + way.pause);
}

/// Connections of no use any more: beside the one that carries the session, or once UDP has carried
/// it for a while. True: one of them was up.
bool FallbackKeeper::hang_up_others(Millis now) {
  const std::optional<Path>& path = parts_.data_path.path();
  const bool allowed = parts_.engine.policy().transport.tcp;
  bool changed = false;
  for (Way& way : ways_) {
    TcpLink& tcp = link(way);
    const bool carries = path && path->interface == way.underlay;
    if (tcp.state() == TcpLink::State::kIdle || (carries && allowed)) continue;
    if (allowed && !path) continue;
    if (allowed && udp_since_ && now < *udp_since_ + kLinger) {
      due_ = std::min(due_, *udp_since_ + kLinger);
      continue;
    }
    changed = changed || way.was_up;
    way.was_up = false;
    tcp.hang_up();
  }
  return changed;
}

}  // namespace jvpn::client::control
