#include "tools/client/control/session_keeper.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {
namespace {

constexpr uint32_t kSilentAttempts = 5;

}  // namespace

std::optional<std::string> why_no_session(const engine::DialView& dialling) {
  const std::string remote = to_string(dialling.path.remote);
  if (dialling.unopened != 0) {
    return fmt::format(
        "{} answers, but its answer doesn't open: the preshared key differs (check "
        "gateway.preshared_key_file here and this peer's at the gateway)",
        remote);
  }
  if (dialling.attempts <= kSilentAttempts) return std::nullopt;
  if (dialling.cookies + dialling.retries == 0) {
    return fmt::format(
        "no answer from {} after {} attempts: check that it can be reached, "
        "gateway.public_key here, and this client's public key at the gateway",
        remote, kSilentAttempts);
  }
  return fmt::format(
      "no response from {} after {} attempts, but {} cookie replies and {} retries: it may be busy "
      "(see limits.handshakes_per_s there), or packets get lost on the way",
      remote, kSilentAttempts, dialling.cookies, dialling.retries);
}

SessionKeeper::SessionKeeper(underlays::Dialer dialer, SessionKeeperParts parts)
    : dialer_(std::move(dialer)), parts_(parts) {}

void SessionKeeper::follow(Millis now) {
  const bool lives = session_lives();
  if (lives != has_session_) {
    has_session_ = lives;
    if (lives)
      on_session_begun(now);
    else
      on_session_ended(now);
  }
  log_path();
  if (!lives && dialer_.due() <= now && !given_up_) dial(now);
  if (!lives) diagnose();
}

// A recovering session has no path but lives: nobody dials.
bool SessionKeeper::session_lives() const {
  bool lives = parts_.data_path.path().has_value();
  if (lives) return true;
  for_each_session(parts_.engine, [&](const engine::SessionView& session) {
    lives = lives || (session.state != session::State::kBirth &&
                      session.state != session::State::kTerminated);
  });
  return lives;
}

void SessionKeeper::on_session_begun(Millis now) {
  dialer_.attached();
  reported_.clear();
  diagnosed_ = false;
  parts_.paths.look(now);
}

void SessionKeeper::on_session_ended(Millis now) {
  given_up_ = !parts_.engine.dialling(kGateway);
  if (given_up_)
    spdlog::error("the gateway ended the session for good ({}); restart to dial it again",
                  last_end());
  else if (last_detail() == Detail::kTakenOver)
    spdlog::warn(
        "another device uses this key: it took the session over; dialling again in a few "
        "seconds (give each device a key of its own)");
  else
    spdlog::warn("no session ({}); dialling again", last_end());
  dialer_.lost(now);
}

void SessionKeeper::set_endpoints(Millis now, std::vector<Endpoint> endpoints) {
  dialer_.set_endpoints(std::move(endpoints));
  if (!has_session_ && !given_up_) dialer_.hurry(now);
}

void SessionKeeper::set_fallback(Millis now, const std::optional<Path>& path) {
  if (dialer_.set_fallback(path) && !has_session_ && !given_up_) dialer_.hurry(now);
}

std::vector<std::string> SessionKeeper::troubles() const {
  std::vector<std::string> all;
  if (has_session_) return all;
  if (given_up_) all.push_back("the gateway ended the session for good (" + last_end() + ")");
  const auto dialling = parts_.engine.dialling(kGateway);
  if (const auto why = dialling ? why_no_session(*dialling) : std::nullopt) all.push_back(*why);
  all.insert(all.end(), dialer_.findings().begin(), dialer_.findings().end());
  return all;
}

void SessionKeeper::paths_changed(Millis now) {
  if (has_session_ || !dialled_) return;
  const auto candidates = parts_.paths.candidates();
  const bool there = std::any_of(candidates.begin(), candidates.end(),
                                 [this](const auto& one) { return one.path == dialled_; });
  if (!there) dialer_.hurry(now);
}

// Why the latest session ended.
std::string SessionKeeper::last_end() const {
  std::string text;
  parts_.engine.for_each_tombstone([&](const session::Tombstone& ended) {
    text = std::string(to_string(ended.reason)) + " " + to_string(ended.detail);
  });
  return text;
}

Detail SessionKeeper::last_detail() const {
  Detail detail = Detail::kNone;
  parts_.engine.for_each_tombstone([&](const session::Tombstone& ended) { detail = ended.detail; });
  return detail;
}

// The path that the gateway has committed to. Data may leave ahead of that, on a path that turns
// out to be dead.
std::optional<Path> SessionKeeper::committed_path() const {
  const std::optional<Path>& path = parts_.data_path.path();
  if (!path || path == logged_) return path;
  bool committed = false;
  for_each_session(parts_.engine, [&](const engine::SessionView& session) {
    committed =
        committed || (session.path == *path && session.state != session::State::kRecovering);
  });
  return committed ? path : std::nullopt;
}

// People follow a session by its underlay.
void SessionKeeper::log_path() {
  const std::optional<Path> path = committed_path();
  if (path == logged_ && has_session_ == logged_session_) return;
  if (path)
    spdlog::info("{} {} by underlay {}", logged_session_ ? "jumped to" : "attached over",
                 to_string(*path), parts_.underlays[path->interface].name());
  else if (has_session_)
    spdlog::warn("no path carries the session; recovering");
  logged_ = path;
  logged_session_ = has_session_;
}

// The engine repeats its attempts on one path until it gets another.
void SessionKeeper::dial(Millis now) {
  const auto path = dialer_.next(now);
  report(dialer_.findings());
  if (!path) return;
  parts_.sockets.watch(parts_.underlays[path->interface]);
  if (dialled_ == path) return;
  dialled_ = path;
  spdlog::info("dialling {} by underlay {}", to_string(*path),
               parts_.underlays[path->interface].name());
  parts_.engine.dial(now, kGateway, *path);
}

void SessionKeeper::diagnose() {
  const auto dialling = diagnosed_ ? std::nullopt : parts_.engine.dialling(kGateway);
  const auto why = dialling ? why_no_session(*dialling) : std::nullopt;
  if (!why) return;
  diagnosed_ = true;
  spdlog::error("{}", *why);
}

// Logs each obstacle once, not at every attempt.
void SessionKeeper::report(const std::vector<std::string>& findings) {
  for (const std::string& finding : findings) {
    if (std::find(reported_.begin(), reported_.end(), finding) != reported_.end()) continue;
    spdlog::warn("{}", finding);
    reported_.push_back(finding);
  }
}

}  // namespace jvpn::client::control
