#include "control/gateway/profile_reader.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include <rte_lcore.h>
#include <sys/resource.h>

#include "control/gateway/peer_reload.h"

namespace jvpn::gateway {
namespace {

constexpr int kGivesWay = 10;  // to control, on a CPU that they share

}  // namespace

struct ProfileReader::Job {
  const Load& load;
  std::optional<Reading> reading;  ///< the thread's until `done` and from `used` on
  std::atomic<bool> done{false};
  std::atomic<bool> used{false};
  const Millis begun;
};

ProfileReader::ProfileReader() = default;

ProfileReader::~ProfileReader() {
  if (!job_) return;
  release();
  pthread_join(thread_, nullptr);
}

uint64_t ProfileReader::want() {
  wanted_ = given_ + (job_ && !lent_ ? 2 : 1);
  return wanted_;
}

ProfileReader::Reading* ProfileReader::poll(Millis now) {
  if (job_ && !lent_) {
    if (!job_->done.load(std::memory_order_acquire)) return nullptr;
    lent_ = true;
    ++given_;
    return &*job_->reading;
  }
  if (job_) {
    // It ends when it has the CPU for that, which control has the first right to.
    if (pthread_tryjoin_np(thread_, nullptr) != 0) return nullptr;
    job_.reset();
    lent_ = false;
  }
  if (given_ >= wanted_ || !can_read()) return nullptr;
  const auto begun = begin(now);
  if (begun) return nullptr;
  ++given_;
  failed_.emplace(Reading{now, begun.error()});
  return &*failed_;
}

void ProfileReader::release() {
  if (!job_) return;
  job_->used.store(true, std::memory_order_release);
  job_->used.notify_one();
}

Result<void> ProfileReader::begin(Millis now) {
  job_.reset(new Job{.load = load_, .reading = {}, .begun = now});
  const int error = rte_ctrl_thread_create(&thread_, "jvpn-reload", nullptr, read, job_.get());
  if (error == 0) return {};
  job_.reset();
  return Error{std::string("can't start a thread that reads the profile: ") +
               std::strerror(std::abs(error))};
}

void* ProfileReader::read(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  (void)setpriority(PRIO_PROCESS, 0, kGivesWay);  // of this thread alone, in Linux
  job.reading.emplace(Reading{job.begun, job.load()});
  Reading& reading = *job.reading;
  if (reading.found) {
    reading.named = named_routes(reading.found->profile);
    reading.own = public_key_of(reading.found->private_key);
    reading.peers = std::make_unique<admin::FreshPeers>(admin::take_peers(*reading.found));
    reading.comparison = std::make_unique<admin::PeerComparison>(*reading.peers, kMaxPeers);
  }
  job.done.store(true, std::memory_order_release);
  job.used.wait(false, std::memory_order_acquire);
  job.reading.reset();
  return nullptr;
}

}  // namespace jvpn::gateway
