// Inbound, on the client's one thread:
//   1. receive a batch of datagrams              (udp_socket)
//   2. classify: data is gathered, all else goes to the engine, in order
//   3. open, judge replays and inner sources     (data_path)
//   4. join TCP segments into super-packets      (coalescer)
//   5. write them to the TUN                     (tun)
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "common/path.h"
#include "common/types.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/tunnel/coalescer.h"
#include "tools/client/tunnel/tun.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::dataplane {

class Inbound {
 public:
  /// Takes a message that is no data; may change the data path's tables.
  using ControlSink = std::function<void(const Path& from, std::span<uint8_t> message)>;

  /// All of it outlives this object.
  Inbound(tunnel::Tun& tun, DataPath& data_path, ControlSink control)
      : tun_(tun), data_path_(data_path), control_(std::move(control)) {}

  /// Takes what one socket has, within a budget; the caller comes again while it stays readable.
  void pump(underlays::Underlay& underlay, Family family, Millis now);

 private:
  void deliver(Millis now);

  tunnel::Tun& tun_;
  DataPath& data_path_;
  ControlSink control_;
  underlays::ReceiveBatch batch_;
  tunnel::Coalescer coalescer_;
  std::vector<std::span<uint8_t>> data_;
  std::vector<std::span<uint8_t>> inner_;
};

}  // namespace jvpn::client::dataplane
