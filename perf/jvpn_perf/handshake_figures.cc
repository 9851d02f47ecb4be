// The pure part of `jvpn-perf handshake`.
#include "perf/jvpn_perf/handshake_rate.h"
#include "perf/jvpn_perf/statistics.h"

namespace jvpn::perf {
namespace {

template <typename Value>
double median_of(std::span<const HandshakeSlice> slices, Value&& value) {
  std::vector<double> values;
  for (const HandshakeSlice& slice : slices) values.push_back(value(slice));
  return median(values);
}

double per_second(double seconds) {
  return seconds > 0 ? 1 / seconds : 0;
}

}  // namespace

HandshakeRun figures_of(std::span<const HandshakeSlice> slices) {
  constexpr double kMicro = 1e6;
  const auto both = [](const HandshakeSlice& s) { return s.responder + s.initiator; };
  const auto four = [](const HandshakeSlice& s) { return kDerivationsPerSide * s.product_x25519; };
  HandshakeRun run;
  run.responder_per_s =
      per_second(median_of(slices, [](const HandshakeSlice& s) { return s.responder; }));
  run.both_sides_per_s = per_second(median_of(slices, both));
  run.raw_x25519_per_s =
      per_second(median_of(slices, [](const HandshakeSlice& s) { return s.raw_x25519; }));
  run.responder_ratio = median_of(slices, [](const HandshakeSlice& s) {
    return kDerivationsPerSide * s.raw_x25519 * per_second(s.responder);
  });
  run.both_sides_ratio = median_of(slices, [&](const HandshakeSlice& s) {
    return 2 * kDerivationsPerSide * s.raw_x25519 * per_second(both(s));
  });
  run.x25519_us = kMicro * median_of(slices, four);
  run.ephemeral_us =
      kMicro * median_of(slices, [](const HandshakeSlice& s) { return s.ephemeral; });
  run.rest_us = kMicro * median_of(slices, [&](const HandshakeSlice& s) {
                  return s.responder - four(s) - s.ephemeral;
                });
  return run;
}

}  // namespace jvpn::perf
