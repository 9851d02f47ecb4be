#include "perf/harness/child_process.h"

#include <csignal>
#include <filesystem>
#include <thread>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace jvpn::perf {
namespace {

constexpr std::chrono::seconds kEndLimit{60};
constexpr std::chrono::milliseconds kEndStep{20};

[[noreturn]] void become(char* const* words, int out, int err) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(number, SIG_DFL);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::execvp(words[0], words);
  ::_exit(127);
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(std::vector<std::string> words, int out,
                                                          int err) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) become(pointers.data(), out, err);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() {
  signal(SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kEndLimit;
  while (alive() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(kEndStep);
  if (!alive()) return;
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool ChildProcess::alive() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

void ChildProcess::signal(int number) {
  if (alive()) ::kill(pid_, number);
}

std::string build_folder() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path().parent_path().string();
}

}  // namespace jvpn::perf
