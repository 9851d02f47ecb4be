#include "tools/jvpn/client_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/printable.h"
#include "common/scalar_kind.h"
#include "control/admin/profile_file.h"
#include "control/files/whole_file.h"
#include "tools/shared/run_command.h"

namespace jvpn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProfiles = "/etc/jvpn";
constexpr const char* kRunning = "/run/jvpn";
constexpr std::chrono::seconds kCommandPatience{30};  // for systemctl, and for --release
constexpr size_t kLongestName = 63;
constexpr mode_t kOwnersAlone = 0600;

bool systemd_runs() {
  std::error_code ignored;
  return fs::is_directory("/run/systemd/system", ignored);
}

/// The program that is installed beside this one, else by PATH.
std::string client_program() {
  std::error_code failed;
  const fs::path own = fs::read_symlink("/proc/self/exe", failed);
  const fs::path beside = own.parent_path() / "jvpn-client";
  return !failed && access(beside.c_str(), X_OK) == 0 ? beside.string() : "jvpn-client";
}

/// A process, told from a later one of the same number.
struct Known {
  pid_t pid = 0;
  std::string begun;  ///< field 22 of /proc/PID/stat
  bool zombie = false;
};

/// nullopt: there is no such process.
std::optional<Known> process(pid_t pid) {
  const auto stat = admin::read_text_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  std::istringstream words(stat->substr(stat->rfind(')') + 1));
  std::vector<std::string> fields;
  for (std::string word; words >> word;) fields.push_back(word);
  constexpr size_t kState = 0;
  constexpr size_t kBegun = 19;
  if (fields.size() <= kBegun) return std::nullopt;
  return Known{pid, fields[kBegun], fields[kState] == "Z"};
}

/// The one that a pid file names, while it runs.
std::optional<Known> running(const std::string& pid_file) {
  const auto text = admin::read_text_file(pid_file);
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  pid_t pid = 0;
  std::string begun;
  if (!(words >> pid >> begun) || pid <= 0) return std::nullopt;
  auto found = process(pid);
  if (!found || found->zombie || found->begun != begun) return std::nullopt;
  return found;
}

/// Starts a program that outlives this one, in a session of its own.
Result<pid_t> spawn_detached(std::vector<std::string> words, const std::string& log) {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // Events go where the profile says; what is for people is kept.
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, kOwnersAlone);
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> raw;
  raw.reserve(words.size() + 1);
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, raw[0], &files, &attributes, raw.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return Error{words[0] + ": " + std::strerror(failed)};
  return pid;
}

bool ended(int process, std::chrono::seconds patience) {
  pollfd one{process, POLLIN, 0};
  const std::chrono::milliseconds wait = patience;
  return poll(&one, 1, static_cast<int>(wait.count())) > 0;
}

}  // namespace

Result<ClientName> find_client(const std::string& word) {
  const bool path = word.find('/') != std::string::npos || word.ends_with(".yaml");
  ClientName who;
  who.name = path ? fs::path(word).stem().string() : word;
  if (!is_name(who.name, kLongestName))
    return Error{printable(word) +
                 ": expected a name of letters, digits, '_', '-' or '.', or a profile's path"};
  std::error_code ignored;
  const std::string usual = fmt::format("{}/{}.yaml", kProfiles, who.name);
  who.profile = path ? fs::absolute(word, ignored).lexically_normal().string() : usual;
  who.by_systemd = who.profile == usual && systemd_runs();
  who.key = who.profile == usual ? who.name : who.profile.substr(1);
  std::ranges::replace(who.key, '/', '-');
  return who;
}

std::string ClientProcess::pid_file() const {
  return fmt::format("{}/{}.pid", kRunning, who_.key);
}

std::string ClientProcess::log_file() const {
  return fmt::format("{}/{}.log", kRunning, who_.key);
}

bool ClientProcess::runs() const {
  if (!who_.by_systemd) return running(pid_file()).has_value();
  return run_command({{"systemctl", "is-active", "--quiet", unit()}}, kCommandPatience).ok();
}

Result<void> ClientProcess::start() {
  if (!who_.by_systemd) return start_process();
  const auto done = run_command({{"systemctl", "start", unit()}}, kCommandPatience);
  return done ? Result<void>{} : Result<void>(done.error());
}

Result<void> ClientProcess::start_process() {
  if (mkdir(kRunning, 0755) != 0 && errno != EEXIST) return errno_error(kRunning);
  const auto pid = spawn_detached({client_program(), who_.profile}, log_file());
  if (!pid) return pid.error();
  const auto begun = process(*pid);
  if (!begun) return Error{"jvpn-client ended at once"};
  auto noted = files::write_whole(pid_file(), fmt::format("{} {}\n", *pid, begun->begun),
                                  kOwnersAlone, files::Existing::kReplace);
  if (!noted) kill(*pid, SIGTERM);  // nobody could end it later
  return noted;
}

Result<bool> ClientProcess::stop(std::chrono::seconds patience) {
  if (!who_.by_systemd) return stop_process(patience);
  const bool ran = runs();
  const auto done = run_command({{"systemctl", "stop", unit()}}, kCommandPatience);
  if (!done) return done.error();
  return ran;
}

Result<bool> ClientProcess::stop_process(std::chrono::seconds patience) {
  const auto known = running(pid_file());
  if (!known) {
    (void)files::remove_file(pid_file());
    return false;
  }
  const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, known->pid, 0)));
  if (process && running(pid_file())) {  // the descriptor is the very process
    syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0);
    if (!ended(process.get(), patience)) {
      syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
      if (!ended(process.get(), patience))
        return Error{fmt::format("jvpn-client {}: process {} does not end", who_.name, known->pid)};
    }
  }
  (void)waitpid(known->pid, nullptr, WNOHANG);  // when it is ours, as after an `up` that failed
  (void)files::remove_file(pid_file());
  return true;
}

Result<std::string> ClientProcess::release() const {
  return run_command({{client_program(), "--release", who_.profile}}, kCommandPatience);
}

std::vector<std::string> ClientProcess::last_lines(size_t count) const {
  std::string text;
  if (who_.by_systemd) {
    const auto said =
        run_command({{"journalctl", "--unit", unit(), "--lines", std::to_string(count), "--output",
                      "cat", "--no-pager", "--quiet"}},
                    kCommandPatience);
    if (said) text = *said;
  } else if (const auto said = admin::read_text_file(log_file())) {
    text = *said;
  }
  std::deque<std::string> latest;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('{')) continue;  // events, for programs
    latest.push_back(printable(line));
    if (latest.size() > count) latest.pop_front();
  }
  return {latest.begin(), latest.end()};
}

}  // namespace jvpn
