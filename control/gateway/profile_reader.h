// Reads the profile beside the control loop: some 0.1 ms a peer, in which sessions begin and jump
// as ever; or one peer's own file. What takes its time with many peers is the thread's, too:
// finding them, and freeing them. One thread for each reading, one reading at a time, on DPDK's
// CPUs for such threads: not a worker's, and control's only when there is no other. All calls on
// the control thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <pthread.h>

#include "common/result.h"
#include "common/route_table.h"
#include "common/types.h"
#include "control/admin/peer_diff.h"
#include "control/admin/profile_file.h"

namespace jvpn::gateway {

class ProfileReader {
 public:
  /// Runs on the reader's thread: what it touches is nobody else's meanwhile.
  using Load = std::function<Result<admin::LoadedGateway>()>;
  /// One peer's file.
  struct OnePeer {
    std::string directory;
    std::string name;
    PublicKey own{};  ///< this node's
    /// nullopt: there is no such file. But for the peer itself, once it is in `peers`.
    Result<std::optional<admin::ConfiguredPeer>> found = std::optional<admin::ConfiguredPeer>();
    std::unique_ptr<admin::FreshPeers> peers{};  ///< one, or none
  };
  struct Reading {
    Millis begun;
    Result<admin::LoadedGateway> found;  ///< but for its peers
    PublicKey own{};                     ///< this node's, by its private key
    std::unique_ptr<admin::FreshPeers> peers{};
    std::unique_ptr<admin::PeerComparison> comparison{};
    RouteTable::Sizes named{};     ///< routes
    std::optional<OnePeer> one{};  ///< in the place of all that: only this was read
  };

  ProfileReader();
  /// Waits for a reading to end.
  ~ProfileReader();
  ProfileReader(const ProfileReader&) = delete;
  ProfileReader& operator=(const ProfileReader&) = delete;

  void set_load(Load load) { load_ = std::move(load); }
  /// Without one nothing is ever read.
  bool can_read() const { return load_ != nullptr; }
  /// The number of the reading that answers whoever asks now. It has not begun, as the file may
  /// have changed since the last one began.
  uint64_t want();
  /// The peer's file is read before the next profile is, once, in the order of these calls.
  void want_peer(std::string directory, std::string name, const PublicKey& own);
  /// Begins the next reading when one is wanted. Gives what one has found, once: the caller's until
  /// release(). nullptr: nothing new.
  Reading* poll(Millis now);
  /// The thread frees what poll() gave; the next reading may begin.
  void release();

 private:
  struct Job;
  Result<void> begin(Millis now, std::optional<OnePeer> one);
  static void run(Job& job);
  static void read_profile(const Load& load, Reading& reading);
  static void read_peer(OnePeer& one);

  Load load_;
  std::unique_ptr<Job> job_;  ///< while a thread reads, or what it has read is in use
  std::optional<Reading> failed_;
  pthread_t thread_{};
  bool lent_ = false;  ///< job_'s reading was given
  uint64_t wanted_ = 0;
  uint64_t given_ = 0;
  std::deque<OnePeer> asked_;
};

}  // namespace jvpn::gateway
