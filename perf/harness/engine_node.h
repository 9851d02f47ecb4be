// Engines without a data path: what they send is kept, other effects are dropped.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "control/engine/engine.h"
#include "perf/harness/keep.h"
#include "tests/support/silent_host.h"

namespace jvpn::perf {

struct SentDatagram {
  Path path;
  std::vector<uint8_t> bytes;
};

/// One side of a session: an engine, and what it sent and nobody has taken yet.
class EngineNode : public test::SilentHost {
 public:
  explicit EngineNode(uint32_t seed = 1) : SilentHost(seed) {}
  Result<void> start(session::EngineConfig config, Millis now) {
    return keep(engine, engine::SessionEngine::create(std::move(config), *this, now));
  }
  void send(const Path& path, std::span<const uint8_t> datagram) override {
    sent.push_back({path, {datagram.begin(), datagram.end()}});
  }

  std::unique_ptr<engine::SessionEngine> engine;
  std::vector<SentDatagram> sent;
};

}  // namespace jvpn::perf
