#include "perf/harness/script.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

/// Returns only when that failed.
void become(const std::string& path, std::vector<std::string> words) {
  words.insert(words.begin(), {"python3", "-B", JVPN_SOURCE_ROOT "/" + path});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  ::setenv("JVPN_BUILD", self.parent_path().parent_path().c_str(), 1);
  ::setenv("PYTHONPATH", JVPN_SOURCE_ROOT "/lab:" JVPN_SOURCE_ROOT "/perf/harness", 1);
  ::execvp("python3", arguments.data());
}

[[noreturn]] void become_child(const std::string& path, const std::string& options, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(number, SIG_DFL);
  ::dup2(out, 1);
  become(path, {options});
  ::_exit(127);
}

}  // namespace

Command add_script(CLI::App& app, const std::string& name, const char* help, const char* path,
                   Json (*facts)()) {
  CLI::App* parser = app.add_subcommand(name, help)->prefix_command();
  parser->set_help_flag();
  return {parser, [=] {
            std::vector<std::string> words = parser->remaining();
            if (facts != nullptr) {
              Json all = facts();
              all.update({{"command", name}, {"environment", describe_environment()}});
              words.insert(words.begin(), all.dump());
            }
            become(path, std::move(words));
            const Error error = errno_error("python3");
            std::fprintf(stderr, "jvpn-perf %s: %s\n", name.c_str(), error.message.c_str());
            return kExitFailed;
          }};
}

Result<std::unique_ptr<Script>> Script::start(const std::string& name, const Json& options) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe");
  FileDescriptor from(ends[0]);
  const FileDescriptor to(ends[1]);
  const std::string words = options.dump();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) become_child(name, words, to.get());
  return std::unique_ptr<Script>(new Script(name, pid, std::move(from)));
}

Script::~Script() {
  if (!alive()) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

Result<Json> Script::answer() {
  std::string text;
  std::array<char, 4096> buffer;
  for (bool passed_on = false; !text.ends_with('\n');) {
    if (interrupted() && !std::exchange(passed_on, true)) ::kill(pid_, SIGINT);
    pollfd wait{out_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 100) <= 0) continue;
    const ssize_t bytes = ::read(out_.get(), buffer.data(), buffer.size());
    if (bytes <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(bytes));
  }
  Json said = Json::parse(text, nullptr, false);
  if (!said.is_object()) return Error{name_ + " ended without an answer"};
  return said;
}

bool Script::alive() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

}  // namespace jvpn::perf
