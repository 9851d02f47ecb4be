// What `jvpn-perf pipeline`, `publish` and `scale` were asked for. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/profile.h"
#include "common/types.h"

namespace CLI {
class App;
}

namespace jvpn::perf {

/// kSeal: from the inside port to the outside port; kOpen: the way back.
enum class Direction : uint8_t { kSeal, kOpen };
const char* to_string(Direction direction);

/// What all three share.
struct BenchOptions {
  Suite suite = Suite::kAes128Gcm;
  double seconds = 10;
  unsigned runs = 5;
  uint32_t batch = 512;      ///< packets that lie in a ring at once
  unsigned batches = 4;      ///< of a slice
  uint64_t seed = 0;         ///< of sessions, sizes and the slices' order; 0: a fresh one
  bool small_pages = false;  ///< no 2 MB pages, even if there are any
  bool json = false;
  WorkerTuning tuning{};
};

/// What `pipeline` and `publish` share.
struct TrafficOptions : BenchOptions {
  std::string direction = "both";
  std::string size = "64";  ///< of inner IP packets, or `imix`
  uint32_t sessions = 1'000;
};

struct PipelineOptions : TrafficOptions {
  uint16_t workers = 1;
  uint16_t lanes = 0;  ///< of a session; 0: one for each worker
};
void add_pipeline_options(CLI::App& parser, PipelineOptions& options);

struct PublishOptions : TrafficOptions {
  uint32_t updates_per_second = 100'000;
  unsigned slice_ms = 50;
};
void add_publish_options(CLI::App& parser, PublishOptions& options);

struct ScaleOptions : BenchOptions {
  ScaleOptions() { seconds = 60; }
  std::vector<uint32_t> sessions{1, 10, 100, 1'000, 10'000, 100'000};
  std::vector<std::string> sizes{"64", "1420"};
};
void add_scale_options(CLI::App& parser, ScaleOptions& options);

/// Directions of `seal`, `open` or `both`.
std::vector<Direction> directions_of(const std::string& text);
/// Inner packet sizes in equal shares; `imix` is 7 of 64, 4 of 570 and 1 of 1420 bytes.
std::vector<uint16_t> sizes_of(const std::string& text);

}  // namespace jvpn::perf
