// Orders workers to note what becomes of one session's packets, and tells the operator. One order
// at a time, bounded by packets and time. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "common/dataplane_view.h"
#include "common/types.h"

namespace jvpn::gateway {

/// Whoever has that name.
using PeerNamed = std::function<std::optional<PeerId>(const std::string&)>;

class PacketTracing {
 public:
  explicit PacketTracing(const DataplaneView& view) : view_(view) {}

  /// `{"peer", "count", "for_ms"}` begins an order, in the place of any other, and gives its
  /// number.
  /// `{"order"}` gives `{"order", "packets", "done"}`: what was noted since the last such question;
  /// with `"end": true` nothing more is noted.
  nlohmann::json answer(const nlohmann::json& request, const PeerNamed& named);

 private:
  nlohmann::json begin(const nlohmann::json& request, const PeerNamed& named);
  nlohmann::json go_on(const nlohmann::json& request);
  void end();
  nlohmann::json packet_json(const TracedPacket& packet) const;

  const DataplaneView& view_;
  uint32_t number_ = 0;  ///< of the latest order
  bool on_ = false;
  uint64_t begun_tsc_ = 0;
  uint64_t until_tsc_ = 0;
  uint64_t left_ = 0;  ///< packets that may still be told
};

}  // namespace jvpn::gateway
