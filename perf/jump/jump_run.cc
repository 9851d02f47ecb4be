#include "perf/jump/jump_run.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "perf/harness/interrupt.h"
#include "perf/harness/keep.h"
#include "tools/jvpn/admin_client.h"

namespace jvpn::perf {
namespace {

using std::chrono::milliseconds;

constexpr uint16_t kGatewayPort = 51'900;
constexpr uint16_t kUpPort = 7'101;
constexpr uint16_t kDownPort = 7'102;
constexpr uint16_t kTcpPort = 7'103;
constexpr const char* kClientSide = "jvpn-client";
constexpr const char* kServerSide = "jvpn-lan";

constexpr milliseconds kSettleLimit{30'000};
constexpr milliseconds kJumpLimit{15'000};  // after the span in which silence becomes death
constexpr milliseconds kTcpLimit{20'000};
constexpr milliseconds kDrainLimit{2'000};
constexpr milliseconds kAskStep{25};  // asking costs both programs a little
constexpr milliseconds kLogStep{2};
constexpr size_t kFlowing = 50;                // packets in a row
constexpr Nanos kArrives = 20 * kMillisecond;  // on top of the round trip
constexpr Nanos kAround = 5 * kMillisecond;

/// Two of these go with every switch, and say nothing about its course.
bool invariant_held(const LoggedEvent& event) {
  return event.fields.value("event", "") == "AUDIT_EVENT" &&
         event.fields.value("result", "") == "ok";
}

}  // namespace

JumpResults JumpRun::run() {
  ProgressLine line;
  line.show(0, options_.count, "bringing the lab up");
  auto done = prepare();
  if (done) done = measure(line);
  finish();
  if (!done && !interrupted()) results_.failure = done.error().message;
  return results_;
}

Result<void> JumpRun::prepare() {
  auto done = keep(results_.policy, lab_policy(options_));
  if (done) done = keep(policy_, policy_facts(results_.policy, options_.fault));
  if (done) done = keep(lab_, LabDriver::start());
  if (done) done = keep(results_.facts, lab_->up(results_.policy, options_.rtt_ms));
  if (!done) return done;
  logs_.emplace_back("gateway", results_.facts.logs + "/jvpnd.log");
  logs_.emplace_back("client", results_.facts.logs + "/jvpn-client.log");

  for (const std::string& link : results_.facts.links) {
    const auto rtt = lab_->ping_ms(link);
    if (!rtt) return rtt.error();
    results_.rtt_ms = std::max(results_.rtt_ms, *rtt);
  }
  results_.bound = bound_of(options_, results_.rtt_ms, policy_.transport_dead_ms);
  const EndView client = ask_end(results_.facts.client_socket);
  session_id_ = client.session_id;
  active_ = client.active;
  return start_traffic();
}

Result<void> JumpRun::start_traffic() {
  const LabFacts& facts = results_.facts;
  const TrafficEnds up{kClientSide, kServerSide, facts.server4, kUpPort};
  const TrafficEnds down{kServerSide, kClientSide, facts.client4, kDownPort};
  const TrafficEnds tcp{kClientSide, kServerSide, facts.server4, kTcpPort};
  auto done = keep(tap_, ControlTap::start(kClientSide, facts.links, kGatewayPort));
  if (done) done = keep(up_, ProbeStream::start(up, options_.rate, options_.bytes));
  if (done) done = keep(down_, ProbeStream::start(down, options_.rate, options_.bytes));
  if (done) done = keep(tcp_, TcpKeeper::start(tcp));
  return done;
}

Result<void> JumpRun::measure(const ProgressLine& line) {
  for (unsigned number = 0; number < options_.count; ++number) {
    if (auto settled = settle(); !settled) return settled;
    if (!results_.jumps.empty()) measure(results_.jumps.back());
    line.show(results_.jumps.size(), options_.count, "jumping");
    JumpRecord& record = results_.jumps.emplace_back();
    auto jumped = jump(record);
    if (interrupted() && !jumped) results_.jumps.pop_back();  // cut short, not failed
    if (!jumped) return jumped;
    if (auto healed = heal(record.from); !healed) return healed;
  }
  return {};
}

Result<void> JumpRun::settle() {
  return await("settled", kSettleLimit, kAskStep, [this] { return not_settled(); });
}

Result<void> JumpRun::jump(JumpRecord& record) {
  record.from = active_;
  record.fault_at = wall_clock();
  const uint64_t echoed_before = tcp_->echoed();
  if (auto applied = apply_fault(); !applied) return applied;
  const milliseconds limit =
      kJumpLimit + milliseconds(static_cast<long>(policy_.transport_dead_ms));
  auto done = await("jumped", limit, kLogStep, [&] { return not_switched(record.fault_at); });
  if (done)
    done = await("flows again", kJumpLimit, kLogStep, [this] { return not_flowing(bound_at_); });
  record.done_at = wall_clock();
  if (!done) return done;
  done = await("attached", kJumpLimit, kAskStep, [this] { return not_attached(); });
  if (!done) return done;
  record.to = active_;
  record.session_kept = true;
  const uint64_t echoed = std::max(tcp_->echoed(), echoed_before);
  const auto tcp = wait_until([&] { return tcp_->broken() || tcp_->echoed() > echoed; }, kTcpLimit);
  record.tcp_kept = tcp == Waited::kHolds && !tcp_->broken();
  return {};
}

Result<void> JumpRun::apply_fault() {
  switch (options_.fault) {
    case Fault::kLinkDown:
      return lab_->cut(active_, "down");
    case Fault::kBlackhole:
      return lab_->cut(active_, "silent");
    case Fault::kNatRebind:
      return lab_->rebind(active_);
    case Fault::kPlanned: {
      const auto asked = ask_admin_json(results_.facts.client_socket,
                                        {{"command", "jump"}, {"underlay", next_link()}});
      return asked ? Result<void>() : Result<void>(asked.error());
    }
  }
  return {};
}

Result<void> JumpRun::heal(const std::string& link) {
  if (options_.fault == Fault::kPlanned || options_.fault == Fault::kNatRebind) return {};
  if (auto healed = lab_->heal(link); !healed) return healed;
  // A candidate that isn't validated in advance still has to be known to both ends' neighbours.
  if (!options_.cold) return {};
  const auto reached = lab_->ping_ms(link);
  return reached ? Result<void>() : Result<void>(reached.error());
}

std::string JumpRun::next_link() const {
  const auto& links = results_.facts.links;
  const auto at = std::ranges::find(links, active_);
  return at == links.end() || at + 1 == links.end() ? links.front() : *(at + 1);
}

/// Until nothing is missing. The error says what was.
Result<void> JumpRun::await(const char* what, milliseconds limit, milliseconds step,
                            const std::function<std::optional<std::string>()>& missing) {
  std::optional<std::string> left;
  const auto waited = wait_until(
      [&] {
        left = missing();
        return !left || lost_;
      },
      limit, step);
  if (lost_) return Error{*lost_};
  if (waited == Waited::kHolds) return {};
  if (waited == Waited::kInterrupted) return Error{"interrupted"};
  return Error{fmt::format("jump {}: not {} within {} ms: {}", results_.jumps.size(), what,
                           limit.count(), left.value_or(""))};
}

std::optional<std::string> JumpRun::not_settled() {
  if (!policy_allows()) return "the policy's cooldown and switch rate";
  if (auto missing = not_flowing(0)) return missing;
  if (auto missing = not_validated()) return missing;
  if (auto missing = not_attached()) return missing;
  const size_t usable = ask_end(results_.facts.client_socket).usable_paths;
  const size_t links = results_.facts.links.size();
  if (usable != links) return fmt::format("the client can use {} of {} links", usable, links);
  return std::nullopt;
}

/// Both ends have the session that the run began with, on one binding.
std::optional<std::string> JumpRun::not_attached() {
  const EndView gateway = ask_end(results_.facts.gateway_socket);
  const EndView client = ask_end(results_.facts.client_socket);
  for (const EndView* end : {&gateway, &client})
    for (const std::string& ended : end->ended)
      if (ended.starts_with(session_id_)) lost_ = "the session ended, " + ended;
  if (gateway.session_id != session_id_) return "the gateway hasn't got the session";
  if (client.session_id != session_id_) return "the client hasn't got the session";
  if (gateway.state != "ATTACHED") return "the gateway is " + gateway.state;
  if (client.state != "ATTACHED") return "the client is " + client.state;
  if (gateway.binding_version != client.binding_version)
    return fmt::format("the gateway has binding {}, the client {}", gateway.binding_version,
                       client.binding_version);
  if (client.active.empty()) return "the client uses none of the links";
  active_ = client.active;
  return std::nullopt;
}

std::optional<std::string> JumpRun::not_validated() const {
  if (options_.cold) return std::nullopt;
  const auto& links = results_.facts.links;
  for (size_t link = 0; link < links.size(); ++link)
    if (links[link] != active_ && !tap_->validated(link, bound_at_))
      return links[link] + " is no validated candidate";
  return std::nullopt;
}

std::optional<std::string> JumpRun::not_switched(Nanos since) {
  Nanos latest = 0;
  for (EventFollower& log : logs_) {
    log.follow();
    const auto switched = log.switched(since);
    if (!switched) return "no switch in the log of the " + log.who();
    latest = std::max(latest, *switched);
  }
  bound_at_ = latest + kMillisecond;  // logs tell whole milliseconds
  return std::nullopt;
}

std::optional<std::string> JumpRun::not_flowing(Nanos since) const {
  const Nanos age = kArrives + static_cast<Nanos>(results_.rtt_ms * double{kMillisecond});
  if (!up_->flows(kFlowing, age, since)) return "packets from the client are lost";
  if (!down_->flows(kFlowing, age, since)) return "packets to the client are lost";
  return std::nullopt;
}

/// One more jump now would meet neither the cooldown nor the switch rate.
bool JumpRun::policy_allows() const {
  if (results_.jumps.empty()) return true;
  const double interval_ms = 60'000 / policy_.jumps_per_min;
  const Nanos now = wall_clock();
  return to_ms(now - results_.jumps.back().fault_at) >= interval_ms &&
         to_ms(now - bound_at_) >= policy_.switch_cooldown_ms;
}

/// Packets that were on their way when the fault came belong to the jump.
Delivery JumpRun::delivery(const ProbeStream& stream, const JumpRecord& record) const {
  const auto on_the_way = static_cast<Nanos>(results_.rtt_ms * double{kMillisecond});
  return stream.delivery(record.fault_at - on_the_way, record.done_at);
}

void JumpRun::measure(JumpRecord& record) const {
  const auto blocked = [&](const ProbeStream& stream) {
    const Delivery found = delivery(stream, record);
    return Blocked{found.lost, static_cast<double>(found.lost) * 1'000 / options_.rate,
                   to_ms(found.longest_gap)};
  };
  record.up = blocked(*up_);
  record.down = blocked(*down_);
}

/// Ends the traffic and counts it.
void JumpRun::finish() {
  if (!up_ || !down_) return;
  up_->stop_sending();
  down_->stop_sending();
  wait_until([this] { return up_->flows(1, 0) && down_->flows(1, 0); }, kDrainLimit);
  for (JumpRecord& record : results_.jumps) {
    measure(record);
    results_.lost_in_jumps += record.up.lost + record.down.lost;
  }
  for (const auto* stream : {up_.get(), down_.get()}) {
    const Delivery all = stream->delivery(0, wall_clock());
    results_.offered += all.offered;
    results_.lost_between += all.lost;
    results_.duplicates += stream->duplicates();
  }
  results_.lost_between -= results_.lost_in_jumps;
}

std::vector<CourseLine> JumpRun::course(const JumpRecord& jump) {
  const Nanos from = jump.fault_at - kAround;
  const Nanos to = jump.done_at + kAround;
  std::vector<CourseLine> lines{{jump.fault_at, "lab", "fault asked for"},
                                {jump.done_at, "lab", "traffic flows both ways"}};
  EventFollower faults("lab", results_.facts.logs + "/faults.log");
  faults.follow();
  const auto add_events = [&](const EventFollower& log) {
    for (const LoggedEvent& event : log.events())
      if (event.at >= from && event.at < to && !invariant_held(event))
        lines.push_back({event.at, log.who(), describe(event)});
  };
  add_events(faults);
  for (EventFollower& log : logs_) {
    log.follow();
    add_events(log);
  }
  for (const TappedMessage& message : tap_->between(from, to))
    lines.push_back({message.at, results_.facts.links[message.link],
                     fmt::format("{} {}", message.outbound ? "->" : "<-", describe(message))});
  const auto add_losses = [&](const ProbeStream& stream, const char* way) {
    const Delivery found = delivery(stream, jump);
    if (found.lost == 0) return;
    lines.push_back({found.first_lost, "probe", fmt::format("{}: first packet lost", way)});
    lines.push_back(
        {found.last_lost, "probe", fmt::format("{}: last of {} lost", way, found.lost)});
  };
  add_losses(*up_, "up");
  add_losses(*down_, "down");
  std::ranges::stable_sort(lines, {}, &CourseLine::at);
  return lines;
}

Result<void> JumpRun::keep_logs(const std::string& folder) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error)
    std::filesystem::copy(results_.facts.logs, folder,
                          std::filesystem::copy_options::overwrite_existing |
                              std::filesystem::copy_options::recursive,
                          error);
  if (error) return Error{fmt::format("--keep-logs: {}: {}", folder, error.message())};
  return {};
}

}  // namespace jvpn::perf
