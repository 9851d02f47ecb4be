// Outbound, on the client's one thread:
//   1. read super-packets from the TUN       (tun)
//   2. admit: allowed, bound, small enough   (data_path); without a path it waits  (hold), and
//      behind what waits; that goes at its own pace  (hold_pace)
//   3. cut them into packets of the batch    (tun_offload → seal_batch)
//   4. seal the batch in place               (data_path); a copy of each stays     (hold)
//   5. send it in runs of equal size         (udp_socket)
// When the socket would block, the rest of the batch waits and nothing more is read from the TUN,
// so that congestion shows in the TUN's queue.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/path.h"
#include "tools/client/dataplane/data_path.h"
#include "tools/client/dataplane/hold_pace.h"
#include "tools/client/dataplane/seal_batch.h"
#include "tools/client/tunnel/tun.h"
#include "tools/client/underlays/underlay.h"

namespace jvpn::client::dataplane {

class Outbound {
 public:
  /// All of it outlives this object.
  Outbound(tunnel::Tun& tun, DataPath& data_path, std::vector<underlays::Underlay>& underlays)
      : tun_(tun), data_path_(data_path), underlays_(underlays) {}

  /// Takes what the TUN has, within a budget; the caller comes again while it stays readable.
  /// Must not be called while blocked().
  void pump(Millis now);
  /// Sends what is held and waits for a path, if there is one, as far as its pace allows: before
  /// anything that is read. Call it when that may have changed, and at release_due().
  void release(Millis now);
  /// When more of what waits may go; kNever: none waits for that.
  Millis release_due() const { return release_due_; }
  /// The TUN is not to be read: what came from it would push out what waits its turn.
  bool crowded() const;
  /// The path of packets that wait until its socket can take them; nullopt: none wait.
  const std::optional<Path>& blocked() const { return blocked_; }
  /// Tries the waiting packets again, on the path that they were sealed for: no lane and no index
  /// is ever used on two.
  void resume();
  /// The same when their connection has sent meanwhile what was before them, with another message:
  /// nothing wakes for that.
  void resume_drained();
  /// Drops the waiting packets under a name: the session has left their path.
  void abandon(Drop reason);
  /// Since the last call: were packets larger than the kernel knows the path to take?
  bool take_too_big();

 private:
  void read_one(Millis now, const tunnel::Tun::Read& read);
  bool release_batch(Millis now);
  void wait_in_hold(Millis now, const tunnel::Tun::Read& read);
  bool add_held(std::span<const uint8_t> packet);
  void flush(Millis now, Source source = Source::kTun);
  void send_rest();
  void drop_rest(Drop reason);

  tunnel::Tun& tun_;
  DataPath& data_path_;
  std::vector<underlays::Underlay>& underlays_;
  SealBatch batch_;
  std::optional<Path> sealed_for_;  ///< where the batch goes, whatever is in use since
  size_t sent_ = 0;
  std::optional<Path> blocked_;
  HoldPace pace_;
  Millis release_due_ = kNever;
  bool too_big_ = false;
};

}  // namespace jvpn::client::dataplane
