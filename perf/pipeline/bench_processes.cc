#include "perf/pipeline/bench_processes.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

constexpr timeval kPatience{60, 0};  ///< setting up a million sessions takes less

bool send_all(int socket, const void* from, size_t bytes) {
  const char* at = static_cast<const char*>(from);
  while (bytes != 0) {
    const ssize_t sent = ::send(socket, at, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    bytes -= static_cast<size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, void* to, size_t bytes) {
  char* at = static_cast<char*>(to);
  while (bytes != 0) {
    const ssize_t got = ::recv(socket, at, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

/// In memory that processes forked from now on share with this one, as long as it lives.
SpinBarrier* shared_barrier(unsigned parties) {
  void* memory = ::mmap(nullptr, sizeof(SpinBarrier), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) SpinBarrier(parties);
}

Error failed(const char* what) {
  return Error{std::string("processes of one worker: ") + what + ": " + std::strerror(errno)};
}
Error ended() {
  return Error{"a process of one worker ended early, or hangs"};
}

/// In the forked process.
[[noreturn]] void be_child(const BenchLink& link,
                           const std::function<Result<void>(const BenchLink&)>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto done = body(link);
  if (!done && !interrupted())
    std::fprintf(stderr, "process %u of one worker: %s\n", unsigned{link.number},
                 done.error().message.c_str());
  std::fflush(stderr);
  ::_exit(done ? 0 : 1);
}

}  // namespace

bool BenchLink::await(BenchPhase& phase) const {
  const char ready = 1;
  return send_all(socket.get(), &ready, sizeof ready) &&
         receive_all(socket.get(), &phase, sizeof phase);
}

bool BenchLink::send(const std::vector<BenchSlice>& slices) const {
  return send_all(socket.get(), slices.data(), slices.size() * sizeof(BenchSlice));
}

Result<std::unique_ptr<BenchProcesses>> BenchProcesses::start(
    uint16_t count, const std::function<Result<void>(const BenchLink&)>& body) {
  std::unique_ptr<BenchProcesses> processes(new BenchProcesses);
  SpinBarrier* barrier = shared_barrier(count);
  if (barrier == nullptr) return failed("shared memory");
  for (uint16_t number = 0; number < count; ++number) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return failed("socket");
    FileDescriptor ours(ends[0]);
    BenchLink link{number, FileDescriptor(ends[1]), barrier};
    ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    const pid_t pid = ::fork();
    if (pid < 0) return failed("fork");
    if (pid == 0) {
      ours.reset();
      be_child(link, body);
    }
    processes->children_.push_back({pid, std::move(ours)});
    // One after the other: each looks how many hugepages there are.
    link.socket.reset();
    if (auto ready = processes->await_ready(processes->children_.back()); !ready)
      return ready.error();
  }
  return processes;
}

BenchProcesses::~BenchProcesses() {
  for (const Child& child : children_) ::kill(child.pid, SIGKILL);
  for (const Child& child : children_) ::waitpid(child.pid, nullptr, 0);
}

Result<void> BenchProcesses::await_ready(const Child& child) {
  char ready = 0;
  if (receive_all(child.socket.get(), &ready, sizeof ready)) return {};
  return ended();
}

Result<void> BenchProcesses::begin(const BenchPhase& phase) {
  for (const Child& child : children_)
    if (!send_all(child.socket.get(), &phase, sizeof phase)) return ended();
  return {};
}

Result<void> BenchProcesses::collect(uint16_t process, std::vector<BenchSlice>& slices) {
  const Child& child = children_[process];
  if (!receive_all(child.socket.get(), slices.data(), slices.size() * sizeof(BenchSlice)))
    return ended();
  return await_ready(child);
}

Result<void> BenchProcesses::end() {
  bool sound = true;
  while (!children_.empty()) {  // the last first: later ones hold copies of earlier sockets
    Child& child = children_.back();
    child.socket.reset();
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    sound = sound && status == 0;
    children_.pop_back();
  }
  if (!sound) return ended();
  return {};
}

}  // namespace jvpn::perf
