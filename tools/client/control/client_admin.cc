#include "tools/client/control/client_admin.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/drop.h"
#include "common/printable.h"
#include "control/admin/admin_socket.h"
#include "control/admin/event_admin.h"
#include "control/admin/profile_file.h"
#include "control/admin/show_sessions.h"
#include "control/session/system_sources.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/control/gateway_peer.h"
#include "tools/client/control/show_gateways.h"
#include "tools/client/underlays/candidates.h"

namespace jvpn::client::control {
namespace {

constexpr Millis kLongestWait{3'000};  // of an order, until policy lets it begin

}  // namespace

ClientAdmin::ClientAdmin(ClientIdentity identity, ClientAdminParts parts)
    : identity_(std::move(identity)), parts_(parts) {}

nlohmann::json ClientAdmin::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  if (command != request.end() && *command == "show") return show();
  if (command != request.end() && *command == "jump") return jump(request);
  if (command != request.end() && *command == "reload") return reload();
  const bool named = command != request.end() && command->is_string();
  return {{"error", admin::not_answered("jvpn-client", named ? command->get<std::string>() : "",
                                        "show, jump and reload")}};
}

nlohmann::json ClientAdmin::reload() {
  const Millis now = session::boottime_now();
  const admin::RunningClient& running = identity_.running;
  const Result<admin::LoadedClient> fresh = admin::load_client(running.path);
  std::optional<Error> refusal;
  if (!fresh)
    refusal = fresh.error();
  else
    refusal = admin::refuse_version(parts_.engine.policy(), fresh->profile.policy, fresh->path,
                                    fresh->profile.policy_version);
  if (refusal) {
    spdlog::error("reload refused, no new session until a valid profile is loaded:\n{}",
                  refusal->message);
    return reloaded_.refuse(parts_.engine, now, refusal->message);
  }
  nlohmann::json answer = reloaded_.accept(parts_.engine, now, fresh->profile.policy,
                                           admin::keys_for_restart(running, *fresh));
  parts_.data_path.hold().set_limits(dataplane::hold_limits(fresh->profile.policy));
  parts_.data_path.note_hold_drops();
  spdlog::info("reloaded: {}", answer["reloaded"].dump());
  return answer;
}

// A planned jump: the old path carries everything until the new one is committed. The answer to the
// order has its number; what became of it is asked for by that.
nlohmann::json ClientAdmin::jump(const nlohmann::json& request) {
  if (const auto number = request.find("order"); number != request.end())
    return jump_outcome(*number);
  const auto name = request.find("underlay");
  if (name == request.end() || !name->is_string())
    return {{"error", "jump: expected an underlay's name in \"underlay\""}};
  const auto& all = parts_.underlays;
  const auto underlay = std::find_if(
      all.begin(), all.end(), [&wanted = name->get_ref<const std::string&>()](const auto& one) {
        return one.name() == wanted;
      });
  if (underlay == all.end()) {
    std::string names;
    for (const auto& one : all) names += (names.empty() ? "" : ", ") + one.name();
    return {{"error", "jump: expected one of the underlays " + names + ", got " +
                          printable(name->get<std::string>().substr(0, 64))}};
  }
  const std::optional<Path> active = parts_.data_path.path();
  const auto target = underlays::jump_target(parts_.paths.candidates(), underlay->number(), active);
  if (!target) return {{"error", "jump: " + target.error().message}};
  return order_jump(*active, *target);
}

nlohmann::json ClientAdmin::order_jump(const Path& from, const Path& to) {
  const Millis now = session::boottime_now();
  const Millis begins = parts_.engine.jump_begins(kGateway);
  if (begins > now + kLongestWait) {
    parts_.engine.deny_jump(now, kGateway, to);
    const uint64_t seconds = (begins.value - now.value + 999) / 1'000;
    return {{"error", "jump: the policy allows the next switch in " + std::to_string(seconds) +
                          " s (switching.max_switches_per_min, switching.switch_cooldown_ms)"}};
  }
  (void)parts_.host.take_refusal();
  order_ = {order_.number + 1, from, to, switches().value_or(0), "pending", {}};
  parts_.engine.jump(now, kGateway, to);
  return {{"jump", {{"from", to_string(from)}, {"to", to_string(to)}, {"order", order_.number}}}};
}

std::optional<uint64_t> ClientAdmin::switches() const {
  std::optional<uint64_t> committed;
  for_each_session(parts_.engine,
                   [&](const engine::SessionView& session) { committed = session.switches; });
  return committed;
}

// What became of the order, once that is known.
void ClientAdmin::follow_order() {
  if (order_.state != "pending") return;
  const auto fail = [&](std::string why) {
    order_.state = "failed";
    order_.why = std::move(why);
  };
  const std::optional<uint64_t> committed = switches();
  if (!committed) return fail("the session ended");
  if (*committed != order_.switches) {
    if (parts_.data_path.path() == order_.to)
      order_.state = "jumped";
    else
      fail("the session jumped elsewhere meanwhile");
    return;
  }
  if (parts_.engine.jumps(kGateway)) return;
  const auto refusal = parts_.host.take_refusal();
  fail(refusal ? std::string("the gateway refused: ") + to_string(refusal->reason) + " " +
                     to_string(refusal->detail)
               : "nobody answered on that path");
}

nlohmann::json ClientAdmin::jump_outcome(const nlohmann::json& number) {
  if (order_.number == 0 || number != order_.number)
    return {{"error", "jump: another order has taken that one's place"}};
  follow_order();
  nlohmann::json answer{{"from", to_string(order_.from)},
                        {"to", to_string(order_.to)},
                        {"order", order_.number},
                        {"state", order_.state}};
  if (!order_.why.empty()) answer["why"] = order_.why;
  return {{"jump", std::move(answer)}};
}

/// Who listens there; nullopt when only one gateway is known.
std::optional<std::string> ClientAdmin::gateway_at(const Endpoint& remote) const {
  if (gateway().cluster.empty()) return std::nullopt;
  return gateway_name(gateway(), identity_.running.profile.fallback, remote);
}

/// With the addresses that are known now.
const PeerProfile& ClientAdmin::gateway() const {
  return parts_.attendant != nullptr ? parts_.attendant->gateway()
                                     : identity_.running.profile.gateway;
}

/// Why there is no session, and what of the profile the host doesn't have.
nlohmann::json ClientAdmin::show_troubles() const {
  std::vector<std::string> all = parts_.keeper.troubles();
  for (std::string& each : parts_.fallback.troubles()) all.push_back(std::move(each));
  if (parts_.attendant != nullptr)
    for (std::string& each : parts_.attendant->troubles()) all.push_back(std::move(each));
  return all;
}

/// Which gateway has the session, beside what every program shows of one.
void ClientAdmin::add_gateways(nlohmann::json& sessions) const {
  size_t place = 0;
  for_each_session(parts_.engine, [&](const engine::SessionView& session) {
    if (const auto gateway = gateway_at(session.path.remote); gateway && place < sessions.size())
      sessions[place]["gateway"] = *gateway;
    ++place;
  });
}

nlohmann::json ClientAdmin::show_hold() const {
  const dataplane::Hold& hold = parts_.data_path.hold();
  return {{"packets", hold.packets()},
          {"bytes", hold.bytes()},
          {"waiting", hold.waiting()},
          {"most_bytes", hold.limits().bytes},
          {"longest_ms", hold.limits().longest.value},
          {"resent", hold.counts().resent},
          {"unsettled", hold.counts().unsettled},
          {"crowded", hold.counts().crowded}};
}

nlohmann::json ClientAdmin::show_paths() const {
  nlohmann::json paths = nlohmann::json::array();
  for (const underlays::Candidate& candidate : parts_.paths.candidates()) {
    const std::string& name = parts_.underlays[candidate.underlay].name();
    const std::string prefix = "underlay " + name + ": ";
    nlohmann::json path{{"underlay", name},
                        {"remote", to_string(candidate.remote)},
                        {"state", underlays::state_of(candidate, parts_.data_path.path())}};
    if (const auto gateway = gateway_at(candidate.remote)) path["gateway"] = *gateway;
    if (candidate.path)
      path["local"] = to_string(candidate.path->local);
    else
      path["why"] = candidate.why.substr(candidate.why.starts_with(prefix) ? prefix.size() : 0);
    paths.push_back(std::move(path));
  }
  return paths;
}

nlohmann::json ClientAdmin::show_interface() const {
  nlohmann::json addresses = nlohmann::json::array();
  for (const Prefix& address : parts_.tunnel.addresses()) addresses.push_back(to_string(address));
  return {{"name", parts_.tunnel.tun().name()},
          {"mtu", parts_.tunnel.mtu()},
          {"addresses", std::move(addresses)},
          {"refused", parts_.tunnel.tun().refused()},
          {"kill_switch", identity_.running.profile.kill_switch},
          {"dns", parts_.attendant != nullptr ? parts_.attendant->dns() : "none"}};
}

nlohmann::json ClientAdmin::show() {
  const Millis now = session::boottime_now();
  const auto name = [this](PeerId) { return identity_.running.profile.gateway.name; };
  nlohmann::json out = admin::show_header(identity_.running.profile.node, "client",
                                          now - identity_.started, parts_.engine.policy().version);
  out["key_log"] = admin::show_key_log(identity_.running.profile.crypto);
  out["denies_new_sessions"] = parts_.engine.admission(now).denies_new_sessions;
  out["reload"] = reloaded_.show(now);
  out["totals"] = admin::show_totals(parts_.engine.counters().totals, 1);
  admin::add_sessions(out, nlohmann::json::object(), parts_.engine, parts_.host, name, now);
  add_gateways(out["sessions"]);
  for (nlohmann::json& session : out["sessions"]) session["hold"] = show_hold();
  out["terminated"] = admin::show_terminated(parts_.engine, now);
  if (nlohmann::json gateways = show_gateways(
          parts_.engine, gateway(), identity_.running.profile.fallback, parts_.underlays, now);
      !gateways.empty())
    out["gateways"] = std::move(gateways);
  out["paths"] = show_paths();
  out["troubles"] = show_troubles();
  out["control"] = admin::show_counters(parts_.engine.counters());
  out["events"] = admin::show_events(parts_.events.status());
  nlohmann::json& drops = out["drops"] = nlohmann::json::object();
  for (size_t i = 0; i < kDropCount; ++i)
    drops[kDropInfo[i].name] = parts_.data_path.counters().drops[i];
  out["interface"] = show_interface();
  return out;
}

}  // namespace jvpn::client::control
