// Which sockets of the underlays wake the event loop, and for what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "tools/client/control/event_loop.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::control {

class SocketWatch {
 public:
  /// The sockets' tags in the event loop begin here; smaller ones are free for other descriptors.
  static constexpr uint64_t kFirstTag = 16;

  struct Source {
    size_t underlay = 0;
    Family family = Family::kIpv4;
  };

  /// Both outlive this object.
  SocketWatch(EventLoop& loop, std::vector<underlays::Underlay>& underlays)
      : loop_(loop), underlays_(underlays) {}

  /// Whose socket woke the loop with that tag, which is kFirstTag or more.
  static Source source(uint64_t tag);

  /// Wakes when one of the underlay's open sockets is readable. Repeatable: call it whenever a
  /// socket may have been opened.
  void watch(underlays::Underlay& underlay);
  /// Wakes also, or no longer, when the socket of `path` takes packets.
  void watch_writable(const Path& path, bool writable);
  /// Wakes for what the connection of an underlay that goes by TCP waits for.
  void follow(underlays::Underlay& underlay);

 private:
  EventLoop& loop_;
  std::vector<underlays::Underlay>& underlays_;
  struct Told {
    uint64_t dials = 0;  ///< which socket of the link's
    bool writable = false;
    bool operator==(const Told&) const = default;
  };
  std::vector<Told> told_;  ///< to the loop, by the underlay's number
};

}  // namespace jvpn::client::control
