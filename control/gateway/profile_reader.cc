#include "control/gateway/profile_reader.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include <rte_lcore.h>
#include <sys/resource.h>

namespace jvpn::gateway {
namespace {

constexpr int kGivesWay = 10;  // to control, on a CPU that they share

}  // namespace

struct ProfileReader::Job {
  const Load& load;
  Millis begun;
  std::optional<Result<admin::LoadedGateway>> found{};  ///< the thread's, until done
  std::atomic<bool> done{false};
};

ProfileReader::ProfileReader() = default;

ProfileReader::~ProfileReader() {
  if (job_) pthread_join(thread_, nullptr);
}

uint64_t ProfileReader::want() {
  wanted_ = given_ + (job_ ? 2 : 1);
  return wanted_;
}

std::optional<ProfileReader::Reading> ProfileReader::poll(Millis now) {
  if (job_) {
    if (!job_->done.load(std::memory_order_acquire)) return std::nullopt;
    pthread_join(thread_, nullptr);
    ++given_;
    const std::unique_ptr<Job> job = std::exchange(job_, nullptr);
    return Reading{std::move(*job->found), job->begun};
  }
  if (given_ >= wanted_ || !can_read()) return std::nullopt;
  const auto begun = begin(now);
  if (begun) return std::nullopt;
  ++given_;
  return Reading{begun.error(), now};
}

Result<void> ProfileReader::begin(Millis now) {
  job_.reset(new Job{load_, now});
  const int error = rte_ctrl_thread_create(&thread_, "jvpn-reload", nullptr, read, job_.get());
  if (error == 0) return {};
  job_.reset();
  return Error{std::string("can't start a thread that reads the profile: ") +
               std::strerror(std::abs(error))};
}

void* ProfileReader::read(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  (void)setpriority(PRIO_PROCESS, 0, kGivesWay);  // of this thread alone, in Linux
  job.found.emplace(job.load());
  job.done.store(true, std::memory_order_release);
  return nullptr;
}

}  // namespace jvpn::gateway
