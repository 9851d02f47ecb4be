// Simulates clusters: one seed, one life of gateways and clients (docs/CLUSTER.md, the simulation).
//   simulation [--seeds N] [--first SEED]      JVPN_SEED=N: that one, told in full
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "control/events/event_json.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/world.h"
#include "tools/jvpn/audit_check.h"

namespace jvpn::sim {
namespace {

/// After all faults every client has its data carried again within this.
constexpr TrueTime kServedWithin = 40 * kSecond;
/// Behind the last client: whatever is still unsettled shows.
constexpr TrueTime kAfterwards = 2 * kSecond;
constexpr uint64_t kEpochMs = 1'700'000'000'000;

struct Outcome {
  std::string violation;  ///< empty: none
  TrueTime simulated = 0;
  TrueTime longest_outage = 0;  ///< after the faults
  uint64_t events = 0;
  uint64_t takeovers = 0;
  uint64_t round_trips = 0;
};

/// What the logs of a cluster can't tell. A gateway that is silent goes on telling of rows: who
/// acts at once is checked in true time. One that can't reach the store may tell of an end that
/// never gets there.
bool is_known(const Checks& checks, const AuditFinding& finding) {
  if (finding.what.starts_with("dual active")) return true;
  return finding.what.find("after TERMINATED") != std::string::npos &&
         checks.went_on(finding.session);
}

/// What the operator's tool says to the nodes' logs.
std::string audit(const World& world, const Checks& checks) {
  Audit audit(Audit::Options{});
  std::map<size_t, std::pair<uint64_t, uint64_t>> latest;  // of a node: its program, a number
  for (const Told& told : world.told()) {
    auto& [run, sequence] = latest[told.node];
    if (std::exchange(run, told.run) != told.run) sequence = 0;
    ++sequence;
    const uint64_t ts_ms = kEpochMs + told.at / kMs;
    audit.add_line({static_cast<uint32_t>(told.node), static_cast<uint32_t>(sequence)},
                   events::to_json_line(told.event, sequence, ts_ms, world.name_of(told.node)));
  }
  const AuditReport report = audit.finish();
  for (const AuditFinding& finding : report.findings)
    if (finding.kind == AuditFinding::Kind::kBroken && !is_known(checks, finding))
      return "jvpn audit, session " + finding.session.substr(0, 8) + " at " + finding.node +
             " line " + std::to_string(finding.place.line) + ": " + finding.what;
  return report.skipped == 0 ? "" : "jvpn audit can't read an event";
}

void expect_served(World& world, Outcome& outcome) {
  const TrueTime mended = world.now();
  for (size_t i = 0; i < world.clients(); ++i) {
    world.run_until(mended + kServedWithin, [&] { return world.serves(i, mended); });
    if (world.checks().violation()) return;
    if (!world.serves(i, mended))
      return world.checks().fail("c" + std::to_string(i) + " isn't served " +
                                 std::to_string(kServedWithin / kSecond) +
                                 " s after the last fault");
  }
  outcome.longest_outage = world.now() - mended;
  world.run_until(world.now() + kAfterwards);
}

uint64_t present_seed = 0;

/// An assertion of the product has failed.
void on_abort(int) {
  std::printf("JVPN_SEED=%llu: aborted\n", static_cast<unsigned long long>(present_seed));
  std::fflush(stdout);
}

Outcome simulate(uint64_t seed, bool tell) {
  present_seed = seed;
  World world(seed, tell);
  Script script(world);
  Outcome outcome;
  world.run_until(script.end());
  if (!world.checks().violation()) {
    script.mend();
    expect_served(world, outcome);
  }
  outcome.violation = world.checks().violation().value_or("");
  if (outcome.violation.empty()) outcome.violation = audit(world, world.checks());
  outcome.simulated = world.now();
  outcome.events = world.told().size();
  outcome.takeovers = world.takeovers;
  for (size_t i = 0; i < world.clients(); ++i) outcome.round_trips += world.client(i).round_trips;
  if (!tell) return outcome;
  std::printf("%zu gateways, %zu clients%s\n", world.gateways(), world.clients(),
              world.calm ? ", calm" : "");
  for (const Fault& fault : script.faults()) std::printf("  %s\n", to_text(fault).c_str());
  for (const std::string& line : world.trace()) std::printf("%s\n", line.c_str());
  return outcome;
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

int fail(uint64_t seed, const std::string& violation) {
  std::printf("JVPN_SEED=%llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
  return 1;
}

int run(uint64_t first, uint64_t count) {
  const auto begun = std::chrono::steady_clock::now();
  Outcome all;
  double told = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const Outcome one = simulate(first + i, false);
    if (!one.violation.empty()) {
      simulate(first + i, true);
      return fail(first + i, one.violation);
    }
    all.simulated += one.simulated;
    all.events += one.events;
    all.takeovers += one.takeovers;
    all.round_trips += one.round_trips;
    all.longest_outage = std::max(all.longest_outage, one.longest_outage);
    const double now = seconds_since(begun);
    if (now < told + 10 && i + 1 != count) continue;
    told = now;
    std::printf(
        "%llu of %llu seeds, %.1f/s: %llu s simulated, %llu takeovers, %llu events, %llu "
        "round trips; served again within %llu ms\n",
        static_cast<unsigned long long>(i + 1), static_cast<unsigned long long>(count),
        static_cast<double>(i + 1) / now, static_cast<unsigned long long>(all.simulated / kSecond),
        static_cast<unsigned long long>(all.takeovers), static_cast<unsigned long long>(all.events),
        static_cast<unsigned long long>(all.round_trips),
        static_cast<unsigned long long>(all.longest_outage / kMs));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace jvpn::sim

int main(int argc, char** argv) {
  std::signal(SIGABRT, jvpn::sim::on_abort);
  uint64_t seeds = 100;
  uint64_t first = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const uint64_t value = std::strtoull(argv[i + 1], nullptr, 0);
    if (std::strcmp(argv[i], "--seeds") == 0) seeds = value;
    if (std::strcmp(argv[i], "--first") == 0) first = value;
  }
  if (const char* seed = std::getenv("JVPN_SEED")) {
    const uint64_t one = std::strtoull(seed, nullptr, 0);
    const jvpn::sim::Outcome outcome = jvpn::sim::simulate(one, true);
    if (!outcome.violation.empty()) return jvpn::sim::fail(one, outcome.violation);
    return 0;
  }
  return jvpn::sim::run(first, seeds);
}
