#include "control/gateway/profile_reader.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include <rte_lcore.h>
#include <rte_thread.h>
#include <rte_version.h>
#include <sys/resource.h>

#include "control/admin/peer_directory.h"
#include "control/gateway/peer_reload.h"

namespace jvpn::gateway {
namespace {

constexpr int kGivesWay = 10;  // to control, on a CPU that they share

#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
using ThreadEnd = uint32_t;
#else
using ThreadEnd = void*;
#endif

/// On DPDK's CPUs for threads that are no workers. 0, or an error number.
int create_control_thread(pthread_t& thread, const char* name, ThreadEnd (*run)(void*),
                          void* argument) {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
  rte_thread_t made{};
  const int error = rte_thread_create_control(&made, name, run, argument);
  thread = made.opaque_id;
#else
  const int error = rte_ctrl_thread_create(&thread, name, nullptr, run, argument);
#endif
  return std::abs(error);
}

}  // namespace

struct ProfileReader::Job {
  const Load& load;
  std::optional<Reading> reading;  ///< the thread's until `done` and from `used` on
  std::atomic<bool> done{false};
  std::atomic<bool> used{false};
  const bool of_peer;
};

ProfileReader::ProfileReader() = default;

ProfileReader::~ProfileReader() {
  if (!job_) return;
  release();
  pthread_join(thread_, nullptr);
}

uint64_t ProfileReader::want() {
  const bool reads = job_ && !lent_ && !job_->of_peer;
  wanted_ = given_ + (reads ? 2 : 1);
  return wanted_;
}

void ProfileReader::want_peer(std::string directory, std::string name, const PublicKey& own) {
  asked_.push_back({std::move(directory), std::move(name), own});
}

ProfileReader::Reading* ProfileReader::poll(Millis now) {
  if (job_ && !lent_) {
    if (!job_->done.load(std::memory_order_acquire)) return nullptr;
    lent_ = true;
    if (!job_->of_peer) ++given_;
    return &*job_->reading;
  }
  if (job_) {
    // It ends when it has the CPU for that, which control has the first right to.
    if (pthread_tryjoin_np(thread_, nullptr) != 0) return nullptr;
    job_.reset();
    lent_ = false;
  }
  if (asked_.empty() && (given_ >= wanted_ || !can_read())) return nullptr;
  std::optional<OnePeer> one;
  if (!asked_.empty()) {
    one = std::move(asked_.front());
    asked_.pop_front();
  }
  const bool profile = !one;
  const auto begun = begin(now, std::move(one));
  if (begun) return nullptr;
  if (profile) ++given_;
  failed_.emplace(Reading{now, begun.error()});
  if (!profile) {
    failed_->one = OnePeer{};
    failed_->one->found = begun.error();
  }
  return &*failed_;
}

void ProfileReader::release() {
  if (!job_) return;
  job_->used.store(true, std::memory_order_release);
  job_->used.notify_one();
}

Result<void> ProfileReader::begin(Millis now, std::optional<OnePeer> one) {
  job_.reset(new Job{.load = load_, .reading = {}, .of_peer = one.has_value()});
  job_->reading.emplace(Reading{now, Error{}}).one = std::move(one);
  const auto entry = [](void* job) {
    run(*static_cast<Job*>(job));
    return ThreadEnd{};
  };
  const int error = create_control_thread(thread_, "jvpn-reload", entry, job_.get());
  if (error == 0) return {};
  job_.reset();
  return Error{std::string("can't start a thread that reads the profile: ") + std::strerror(error)};
}

void ProfileReader::read_profile(const Load& load, Reading& reading) {
  reading.found = load();
  if (!reading.found) return;
  reading.named = named_routes(reading.found->profile);
  reading.own = public_key_of(reading.found->private_key);
  reading.peers = std::make_unique<admin::FreshPeers>(admin::take_peers(*reading.found));
  reading.comparison = std::make_unique<admin::PeerComparison>(*reading.peers, kMaxPeers);
}

void ProfileReader::read_peer(OnePeer& one) {
  one.found = admin::load_peer(one.directory, one.name, one.own);
  std::vector<admin::ConfiguredPeer> peers;
  if (one.found && *one.found) peers.push_back(std::move(**one.found));
  one.peers = std::make_unique<admin::FreshPeers>(std::move(peers));
}

void ProfileReader::run(Job& job) {
  (void)setpriority(PRIO_PROCESS, 0, kGivesWay);  // of this thread alone, in Linux
  Reading& reading = *job.reading;
  if (reading.one)
    read_peer(*reading.one);
  else
    read_profile(job.load, reading);
  job.done.store(true, std::memory_order_release);
  job.used.wait(false, std::memory_order_acquire);
  job.reading.reset();
}

}  // namespace jvpn::gateway
