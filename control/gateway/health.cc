#include "control/gateway/health.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <rte_mempool.h>

namespace jvpn::gateway {
namespace {

double seconds_since(uint64_t since_ms, Millis now) {
  return static_cast<double>(now.value - std::min(now.value, since_ms)) / 1'000;
}

void look_at_threads(HealthFlags& flags, const StallWatch* stalls, Millis now) {
  if (stalls == nullptr) return;
  for (size_t number = 0; number < stalls->threads().size(); ++number) {
    const uint64_t since = stalls->stalled_since_ms(number);
    if (since == 0) continue;
    const WatchedThread& thread = stalls->threads()[number];
    flags.raise("thread_stalled", Severity::kFailed,
                fmt::format("{} has stood still for {:.1f} s: {}", thread.name,
                            seconds_since(since, now), thread.harm));
  }
}

/// Without any port of a role nothing can pass; without some, sessions have fewer paths.
void look_at_links(HealthFlags& flags, const DataplaneView& view, PortRole role, const char* name) {
  std::string down;
  size_t ports = 0;
  size_t up = 0;
  for (const PortInfo& port : view.ports) {
    if (port.role != role) continue;
    ++ports;
    if (view.link_up(port.number))
      ++up;
    else
      down += (down.empty() ? "" : ", ") + port.name;
  }
  if (up == ports) return;
  if (up == 0)
    flags.raise("no_link", Severity::kFailed, fmt::format("no {} port has a link: {}", name, down));
  else
    flags.raise("port_down", Severity::kDegraded,
                fmt::format("{} ports without a link: {}", name, down));
}

/// Packets that are left of a pool.
void look_at_pool(HealthFlags& flags, const rte_mempool* pool, const char* flag,
                  const char* lacks) {
  static constexpr unsigned kLowShare = 16;
  const unsigned left = rte_mempool_avail_count(pool);
  if (left > pool->size / kLowShare) return;
  flags.raise(flag, Severity::kDegraded, fmt::format(fmt::runtime(lacks), left, pool->size));
}

void look_at_events(HealthFlags& flags, const events::EventLogStatus& status) {
  for (const events::EventSinkStatus& sink : status.sinks) {
    if (!sink.healthy)
      flags.raise("sink_failing", Severity::kDegraded,
                  fmt::format("events don't reach {} {}: {}; lost so far: {}", sink.kind,
                              sink.target, sink.why, sink.lost));
  }
}

}  // namespace

HealthFlags look_at_health(const HealthSources& sources, Millis now) {
  HealthFlags flags;
  look_at_threads(flags, sources.stalls, now);
  look_at_links(flags, sources.view, PortRole::kOutside, "outside");
  look_at_links(flags, sources.view, PortRole::kInside, "inside");
  if (sources.unproven_since)
    flags.raise(
        "ownership_unproven", Severity::kFailed,
        fmt::format("the store hasn't proven for {:.1f} s that the sessions are ours; none "
                    "is carried: {}",
                    seconds_since(sources.unproven_since->value, now), sources.store_trouble));
  else if (!sources.store_trouble.empty())
    flags.raise("store_trouble", Severity::kDegraded, sources.store_trouble);
  if (sources.admission.denies_new_sessions)
    flags.raise(
        "reload_refused", Severity::kDegraded,
        "the profile was refused at the latest reload: no new session begins, those that live "
        "go on by the former one; `jvpn reload` tells why");
  if (sources.admission.draining)
    flags.raise("draining", Severity::kDegraded,
                fmt::format("drains by order, {} sessions are left; `jvpn drain --undo` ends it",
                            sources.admission.left));
  look_at_pool(flags, sources.view.control_pool, "control_pool_low",
               "control has {} of {} packets left to send with: raise limits.control_mbufs");
  look_at_pool(flags, sources.view.data_pool, "data_pool_low",
               "ports have {} of {} packets left to receive into: raise limits.mbufs");
  if (sources.exhaustion != nullptr) sources.exhaustion->look(flags);
  if (sources.silent != nullptr)
    sources.silent->look(flags, now, [&](size_t port) { return sources.view.ports[port].name; });
  look_at_events(flags, sources.events);
  if (!sources.key_log.empty())
    flags.raise("keys_logged", Severity::kDegraded,
                fmt::format("keys are written to {}: whoever reads it reads all traffic; take "
                            "crypto.key_log_file out of the profile and restart to end it",
                            sources.key_log));
  return flags;
}

nlohmann::json show_health(const HealthFlags& flags) {
  nlohmann::json all = nlohmann::json::array();
  for (const HealthFlag& flag : flags.all())
    all.push_back({{"flag", flag.name},
                   {"severity", flag.severity == Severity::kFailed ? "failed" : "degraded"},
                   {"what", flag.what}});
  return all;
}

}  // namespace jvpn::gateway
