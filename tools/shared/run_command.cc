#include "tools/shared/run_command.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/printable.h"

namespace jvpn {
namespace {

constexpr size_t kMostOutput = size_t{16} * 1'024;

/// posix_spawn's two objects, freed whatever happens.
class Spawning {
 public:
  Spawning(int input, int output) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_adddup2(&files_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, output, STDERR_FILENO);
    posix_spawnattr_init(&attributes_);
    // What we ignore or block is ours alone.
    sigset_t none;
    sigset_t usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) sigaddset(&usual, signal);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;
  ~Spawning() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  int spawn(pid_t& pid, char* const* words) {
    return posix_spawnp(&pid, words[0], &files_, &attributes_, words, environ);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

/// A file in memory that holds `text`, to be read from its beginning.
Result<FileDescriptor> file_of(std::string_view text) {
  FileDescriptor file(memfd_create("jvpn", MFD_CLOEXEC));
  if (!file) return errno_error("memfd_create");
  while (!text.empty()) {
    const ssize_t bytes = write(file.get(), text.data(), text.size());
    if (bytes <= 0) return errno_error("memfd");
    text.remove_prefix(static_cast<size_t>(bytes));
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string output_of(int file) {
  std::string text(kMostOutput, '\0');
  const ssize_t bytes = pread(file, text.data(), text.size(), 0);
  text.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

/// False: it still runs.
bool ends_within(pid_t pid, std::chrono::milliseconds patience) {
  const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return true;  // waitpid() waits
  pollfd ended{process.get(), POLLIN, 0};
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    const int ready = poll(&ended, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready >= 0 || errno != EINTR) return ready != 0;
  }
}

}  // namespace

std::string to_string(const Command& command) {
  std::string text;
  for (const std::string& word : command.words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

bool is_installed(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string file; std::getline(folders, file, ':');) {
    if (file.empty()) continue;
    file += '/';
    file += program;
    if (access(file.c_str(), X_OK) == 0) return true;
  }
  return false;
}

Result<std::string> run_command(const Command& command, std::chrono::milliseconds patience) {
  const std::string called = to_string(command);
  const auto input = file_of(command.input);
  if (!input) return input.error();
  const FileDescriptor output(memfd_create("jvpn", MFD_CLOEXEC));
  if (!output) return errno_error("memfd_create");
  std::vector<char*> words;
  words.reserve(command.words.size() + 1);
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  if (const int failed = Spawning(input->get(), output.get()).spawn(pid, words.data()); failed != 0)
    return Error{called + ": " + std::strerror(failed)};
  const bool ended = ends_within(pid, patience);
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  pid_t waited = 0;
  do {
    waited = waitpid(pid, &status, 0);
  } while (waited < 0 && errno == EINTR);
  if (waited != pid) return Error{called + ": how it ended isn't known"};  // SIGCHLD is ignored
  if (!ended) return Error{called + ": no end within " + std::to_string(patience.count()) + " ms"};
  std::string text = output_of(output.get());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  const std::string how = WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                            : "signal " + std::to_string(WTERMSIG(status));
  return Error{called + ": " + how + (text.empty() ? "" : ": ") + printable_lines(text)};
}

}  // namespace jvpn
