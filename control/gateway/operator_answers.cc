// What the control loop answers at the operator's socket: `show`, page by page, `health`, `reload`,
// `terminate`, `drain`, `trace` and `routes`.
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/assert.h"
#include "control/admin/event_admin.h"
#include "control/admin/show_sessions.h"
#include "control/gateway/control_loop.h"
#include "control/gateway/health.h"
#include "control/gateway/show_gateway.h"
#include "control/gateway/show_peers.h"

namespace jvpn::gateway {
namespace {

constexpr Millis kAdminEager{20};  ///< after a page that isn't the last

nlohmann::json drain_json(const engine::Admission& view) {
  return {{"draining", view.draining}, {"left", view.left}};
}

}  // namespace

admin::AdminSocket::Answer ControlLoop::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  const std::string name =
      command != request.end() && command->is_string() ? command->get<std::string>() : "";
  if (name == "show") return show(request);
  if (name == "health") return nlohmann::json{{"health", show_health(health(clock_.now()))}};
  if (name == "reload") return reloads_->answer();
  if (name == "peers") {
    nlohmann::json page = show_peers(request, peers_, limit_);
    if (page.contains("next")) admin_eager_until_ = clock_.now() + kAdminEager;
    return page;
  }
  if (name == "enrol") return enrol(request);
  if (name == "peer") {
    const auto whose = request.find("name");
    const bool named = whose != request.end() && whose->is_string();
    return reloads_->answer_peer(named ? whose->get<std::string>() : "");
  }
  if (name == "terminate") return terminate(request);
  if (name == "drain") return drain(request);
  if (name == "trace")
    return tracing_.answer(request, [this](const std::string& each) { return peers_.named(each); });
  if (name == "routes") return routes_.open(request.value("follow", nlohmann::json()) == true);
  return nlohmann::json{
      {"error",
       admin::not_answered(
           "jvpnd", name,
           "show, health, peers, routes, trace, terminate, drain, enrol, peer and reload")}};
}

/// A page of sessions; the first one with everything else. Who asks with `"sessions": false` gets
/// that alone.
nlohmann::json ControlLoop::show(const nlohmann::json& request) {
  const Millis now = clock_.now();
  if (request.value("sessions", nlohmann::json()) == false) return show_gateway(now);
  nlohmann::json all;
  if (!request.contains("from")) all = show_gateway(now);
  const admin::PeerName name = [this](PeerId id) { return peers_.name(id); };
  admin::add_page(all, request, *engine_, host_, name, now);
  if (all.contains("next")) admin_eager_until_ = now + kAdminEager;
  return all;
}

nlohmann::json ControlLoop::show_gateway(Millis now) {
  nlohmann::json all =
      admin::show_header(profile_.node, "gateway", now - started_, engine_->policy().version);
  const engine::Admission admission = engine_->admission(now);
  all["health"] = show_health(health(now));
  all["key_log"] = admin::show_key_log(profile_.crypto);
  all["denies_new_sessions"] = admission.denies_new_sessions;
  all["drain"] = drain_json(admission);
  all["totals"] = admin::show_totals(engine_->counters().totals, peers_.count());
  all["ownership"] = show_ownership(ownership_->store(), ownership_->silent_since(), now);
  all["ownership"]["sessions"] = admission.left;
  all["ownership"]["parked"] = engine_->counters().parked;
  all["ownership"]["resumed"] = engine_->counters().resumes;
  all["ownership"]["refused"] = engine_->counters().resumes_refused;
  all["reload"] = reloads_->show(now);
  all["terminated"] = nlohmann::json::array();
  all["drops"] = show_drops(view_);
  all["ports"] = show_ports(view_);
  all["workers"] = show_workers(view_);
  nlohmann::json control = admin::show_counters(engine_->counters());
  control["malformed"] = malformed_;
  control["unroutable"] = host_.unroutable();
  control["install_failures"] = publisher_->failures();
  control["reclaim_pending"] = reclaimer_->pending();
  control["neighbors"] = show_neighbors(neighbors_);
  control["answers_for_peers"] = show_lan(lan_);
  control["handed_over"] = show_handed_over(handed_over_);
  control["slow_path"] = show_slow_path(slow_path_.counters());
  control["inject"] = show_injector(injector_.counters());
  control["turns"] = show_turns(turns_);
  all["control"] = std::move(control);
  all["events"] = admin::show_events(events_.status());
  return all;
}

HealthFlags ControlLoop::health(Millis now) {
  const session::Ownership* const store = ownership_->store();
  return look_at_health({.view = view_,
                         .stalls = stalls_,
                         .admission = engine_->admission(now),
                         .unproven_since = ownership_->silent_since(),
                         .store_trouble = store != nullptr ? store->status().trouble : "",
                         .events = events_.status(),
                         .key_log = profile_.crypto.key_log_file.path,
                         .exhaustion = &exhaustion_,
                         .silent = &silent_},
                        now);
}

/// Where peers are configured, and an address that nobody has of each family in the pools that the
/// request names; null when none is left.
admin::AdminSocket::Answer ControlLoop::enrol(const nlohmann::json& request) {
  std::vector<IpAddress> own;
  for (const PortProfile& port : profile_.ports)
    for (const Prefix& address : port.addresses) own.push_back(address.address);
  auto choice = AddressChoice::from(request, own);
  if (!choice) return nlohmann::json{{"error", choice.error().message}};
  admin_eager_until_ = clock_.now() + kAdminEager;
  return [this, choice = std::move(*choice)]() mutable -> std::optional<nlohmann::json> {
    if (!choice.go_on(peers_.addresses())) return std::nullopt;
    return nlohmann::json{{"enrol",
                           {{"profile", profile_path_},
                            {"directory", std::filesystem::absolute(reloads_->directory())},
                            {"free", choice.found()}}}};
  };
}

/// Begins it, unless the request says `undo` or `look`; tells how far it is.
nlohmann::json ControlLoop::drain(const nlohmann::json& request) {
  const auto says = [&](const char* name) { return request.value(name, nlohmann::json()) == true; };
  const engine::DrainOrder order = says("undo")   ? engine::DrainOrder::kEnd
                                   : says("look") ? engine::DrainOrder::kNone
                                                  : engine::DrainOrder::kBegin;
  const engine::Admission view = engine_->admission(clock_.now(), order);
  if (!view.may_drain) {
    return {{"error",
             "drain: this gateway shares its sessions with no other, so they have nowhere to go: "
             "ownership.etcd in its profile makes it one of a cluster; to stop it, end jvpnd"}};
  }
  return {{"drain", drain_json(view)}};
}

nlohmann::json ControlLoop::terminate(const nlohmann::json& request) {
  const auto name = request.find("peer");
  if (name == request.end() || !name->is_string())
    return {{"error", "peer: expected the name of a configured peer"}};
  const auto id = peers_.named(name->get<std::string>());
  if (!id) return {{"error", "peer: no peer is named " + name->get<std::string>()}};
  JVPN_ASSERT(engine_ != nullptr, "the socket is opened after the engine is there");
  engine_->terminate(clock_.now(), *id, Detail::kOperator);
  return {{"terminated", peers_.name(*id)}};
}

}  // namespace jvpn::gateway
