#include "control/gateway/exhaustion_watch.h"

#include <fmt/format.h>

namespace jvpn::gateway {
namespace {

struct About {
  const char* flag;
  const char* lacks;  ///< for the operator: what was refused, and what mends it
};

constexpr std::array<About, kBounded> kAbout{{
    {"transmit_full",
     "packets found a port's transmit ring full and were dropped (tx_full): the link takes less "
     "than is sent, or ports.NAME.tx_descriptors is small"},
    {"control_rings_full",
     "packets for control found its ring full and were dropped (control_ring_full): somebody "
     "floods, or control has too little of its core; `jvpn events` names the cause"},
    {"worker_rings_full",
     "packets of control found a worker's ring full and were dropped: that worker stands still or "
     "is overloaded; `jvpn show workers`"},
    {"control_packets_out",
     "messages of control were not sent for want of a packet: raise limits.control_mbufs"},
    {"waiting_full",
     "packets had no room to wait for their neighbour's address: hosts don't answer, or somebody "
     "scans"},
    {"neighbors_full",
     "neighbours had no room in the table: somebody scans, or claims addresses in masses"},
    {"events_lost",
     "events will be missing in a sink: it is too slow, or policy.observability.event_ring is "
     "small; `jvpn show` names it"},
    {"control_busy",
     "seconds lately, in which control's core was busy throughout: handshakes, jumps and answers "
     "are late; `jvpn events` names floods, cores.control should be a core of its own"},
}};

}  // namespace

void ExhaustionWatch::take(Millis now, const Totals& totals) {
  for (size_t i = 0; i < kBounded; ++i) {
    State& state = states_[i];
    if (totals[i] != state.seen) {
      if (!state.exhausted) state.before = state.seen;
      state.seen = totals[i];
      state.exhausted = true;
      state.until = now + kQuiet;
    } else if (now >= state.until) {
      state.exhausted = false;
    }
  }
}

void ExhaustionWatch::look(HealthFlags& flags) const {
  for (size_t i = 0; i < kBounded; ++i) {
    const State& state = states_[i];
    if (!state.exhausted) continue;
    flags.raise(kAbout[i].flag, Severity::kDegraded,
                fmt::format("{} {}", state.seen - state.before, kAbout[i].lacks),
                state.seen - state.before);
  }
}

}  // namespace jvpn::gateway
