// What the control loop answers at the operator's socket: `show`, page by page, `reload` and
// `terminate`.
#include <utility>

#include <nlohmann/json.hpp>

#include "common/assert.h"
#include "control/admin/event_admin.h"
#include "control/admin/show_sessions.h"
#include "control/gateway/control_loop.h"
#include "control/gateway/show_gateway.h"

namespace jvpn::gateway {

admin::AdminSocket::Answer ControlLoop::answer(const nlohmann::json& request) {
  const auto command = request.find("command");
  const std::string name =
      command != request.end() && command->is_string() ? command->get<std::string>() : "";
  if (name == "show") return show(request);
  if (name == "reload") return reloads_->answer();
  if (name == "terminate") return terminate(request);
  return nlohmann::json{
      {"error", admin::not_answered("jvpnd", name, "show, terminate and reload")}};
}

/// A page of sessions; the first one with everything else.
nlohmann::json ControlLoop::show(const nlohmann::json& request) {
  const Millis now = clock_.now();
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
  all["denies_new_sessions"] = engine_->denies_new_sessions();
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
  control["slow_path"] = show_slow_path(slow_path_.counters());
  control["inject"] = show_injector(injector_.counters());
  control["turns"] = show_turns(turns_);
  all["control"] = std::move(control);
  all["events"] = admin::show_events(events_.status());
  return all;
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
