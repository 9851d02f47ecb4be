#include "tests/simulation/checks.h"

#include <algorithm>

namespace jvpn::sim {

using cluster::KeyValue;
using session::State;

namespace {

constexpr size_t kShown = 8;

}  // namespace

Checks::Checks(const cluster::Keys& keys, const cluster::RecordKey& mac)
    : mac_(mac), epochs_(keys.epoch("")), sessions_(keys.session({})) {
  sessions_.resize(sessions_.size() - PublicKey{}.size());
}

void Checks::fail(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

std::string brief(const SessionId& id) {
  return to_string(id).substr(0, kShown);
}

void Checks::on_write(const KeyValue* before, const KeyValue& after) {
  if (cluster::Keys::name_in(sessions_, after.key)) return on_session(before, after);
  const auto node = cluster::Keys::name_in(epochs_, after.key);
  if (!node) return;
  const auto record = cluster::read_epoch(mac_, after);
  if (!record) return fail("an epoch's record isn't readable");
  const auto ended = open_epoch(std::string(*node));
  if (ended && on_over) on_over(std::string(*node), *ended);
  if (on_record)
    on_record("store: " + std::string(*node) + (record->open ? " begins " : " ends ") +
              std::to_string(after.modified));
  if (record->open)
    open_[std::string(*node)] = static_cast<uint64_t>(after.modified);
  else
    open_.erase(std::string(*node));
}

std::optional<uint64_t> Checks::open_epoch(const std::string& node) const {
  const auto at = open_.find(node);
  return at == open_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<SessionId> Checks::kept(const PublicKey& peer) const {
  const auto at = of_peer_.find(peer);
  return at == of_peer_.end() ? std::nullopt : std::optional(at->second);
}

void Checks::on_session(const KeyValue* before, const KeyValue& after) {
  const auto now = cluster::read_session(mac_, after);
  const auto was = before == nullptr ? std::nullopt : cluster::read_session(mac_, *before);
  if (!now) return fail("a session's record isn't readable");
  const session::StoredSession& s = now->session;
  const std::string name = "session " + brief(s.id);
  if (on_record)
    on_record("store: " + name + (s.ended ? " has ended" : " is of " + now->node) + " epoch " +
              std::to_string(s.epoch) + " binding " + std::to_string(s.binding_version.value) +
              " ceiling " + std::to_string(s.ceiling.value));
  const auto live = [&](const std::string& node, uint64_t epoch) {
    return open_epoch(node) == std::optional(epoch);
  };
  const bool fenced =
      std::ranges::any_of(open_, [&](const auto& each) { return each.second == now->token_epoch; });
  if (!fenced)
    return fail(name + " is written by epoch " + std::to_string(now->token_epoch) +
                ", which is over");
  const bool taken = was && !was->session.ended && was->session.epoch != 0 &&
                     (was->session.epoch != s.epoch || was->node != now->node);
  const bool by_owner = s.epoch == 0 && was && now->handed_by == was->session.epoch;
  if (taken && !by_owner && live(was->node, was->session.epoch))
    return fail(name + " is taken from epoch " + std::to_string(was->session.epoch) +
                ", which isn't over");
  if (was && was->session.id == s.id && was->session.ended && !s.ended)
    return fail(name + " had ended in the store, and lives there again");
  if (was && was->session.id != s.id) ended_.insert(was->session.id);
  auto& [binding, ceiling] = kept_[s.id];
  // An end that finds another session's record knows no versions: it only keeps a late beginning
  // out.
  if (s.binding_version < binding && !s.ended)
    return fail("binding_version of " + name + " falls in the store");
  if (s.ceiling < ceiling && !s.ended)
    return fail("the ceiling of " + name + " falls in the store");
  binding = std::max(binding, s.binding_version);
  ceiling = std::max(ceiling, s.ceiling);
  if (s.ended) {
    ended_.insert(s.id);
    of_peer_.erase(s.peer);
  } else {
    of_peer_[s.peer] = s.id;
  }
}

void Checks::on_event(uint64_t run, bool acts, const session::Event& event) {
  if (event.result != nullptr && std::string_view(event.result) == "violated")
    return fail("a gateway finds an invariant violated");
  const bool row = event.kind == session::EventKind::kStateChange &&
                   event.end == session::SessionEnd::kResponder;
  if (row) on_row(run, acts, event);
}

void Checks::on_row(uint64_t run, bool acts, const session::Event& event) {
  Told& told = told_[event.session];
  const uint64_t version = event.state_version.value;
  const std::string name =
      "state_version " + std::to_string(version) + " of session " + brief(event.session);
  if (told.versions.contains(version)) return fail(name + " is used twice");
  if (version <= told.latest[run]) return fail(name + " isn't higher than this run's latest");
  const bool falls = !told.versions.empty() && version < *told.versions.rbegin();
  if (acts && falls) return fail(name + " is lower than one that was told before");
  told.versions.insert(version);
  told.latest[run] = version;
  const bool again = event.to == State::kAttached && told_ended_.contains(event.session);
  if (again) went_on_.insert(to_string(event.session));
  if (again && ended_.contains(event.session))
    return fail("session " + brief(event.session) + " was told to have ended, and attaches");
  if (event.to == State::kTerminated) told_ended_.insert(event.session);
}

void Checks::on_data(uint64_t run, const RawKey& key, uint16_t lane, uint64_t sequence) {
  const auto [at, fresh] = lanes_.try_emplace({key, lane}, run, sequence);
  if (fresh) return;
  if (at->second.first != run) return fail("two programs seal data under one key");
  if (sequence <= at->second.second) return fail("a nonce of a data key is used twice");
  at->second.second = sequence;
}

void Checks::on_control(const RawKey& key, ReceiverIndex receiver, uint64_t counter) {
  if (!control_[key].insert({receiver.value, counter}).second)
    fail("a nonce of a control key is used twice");
}

}  // namespace jvpn::sim
