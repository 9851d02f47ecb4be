#include "perf/jump/lab_driver.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kLockLimit{600};
constexpr seconds kUpLimit{120};
constexpr seconds kFaultLimit{20};
constexpr seconds kDownLimit{60};
constexpr size_t kMessageLines = 30;

Error lab_error(const char* what) {
  return Error{fmt::format("lab driver: {}: {}", what, std::strerror(errno))};
}

std::string build_directory() {
  std::array<char, 4096> path{};
  const ssize_t bytes = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  std::string program(path.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
  for (int up = 0; up < 2; ++up) program.resize(std::min(program.rfind('/'), program.size()));
  return program;
}

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return lab_error("pipe");
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

[[noreturn]] void become_driver(const std::string& build, int in, int out, int err) {
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::setenv("JVPN_BUILD", build.c_str(), 1);
  ::setenv("NO_COLOR", "1", 1);
  ::setenv("PYTHONPATH", JVPN_SOURCE_ROOT "/lab", 1);
  ::execlp("python3", "python3", "-m", "jvpn_lab.driver", static_cast<char*>(nullptr));
  ::_exit(127);
}

/// Empty when the text isn't what the driver says.
std::optional<LabFacts> facts_of(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  LabFacts facts;
  facts.logs = json.value("logs", "");
  facts.gateway_socket = json.value("gateway_socket", "");
  facts.client_socket = json.value("client_socket", "");
  facts.server4 = json.value("server4", "");
  facts.client4 = json.value("client4", "");
  facts.driver = json.value("driver", "");
  facts.workers = json.value("workers", 0U);
  facts.links = json.value("links", std::vector<std::string>());
  return facts;
}

}  // namespace

LabDriver::LabDriver(pid_t pid, FileDescriptor commands, FileDescriptor answers,
                     FileDescriptor messages)
    : pid_(pid),
      commands_(std::move(commands)),
      answers_(std::move(answers)),
      messages_(std::move(messages)) {}

Result<std::unique_ptr<LabDriver>> LabDriver::start() {
  auto commands = make_pipe();
  auto answers = make_pipe();
  FileDescriptor messages(::memfd_create("jvpn-perf-lab", MFD_CLOEXEC));
  if (!commands || !answers || !messages) return lab_error("pipes");
  const std::string build = build_directory();
  const pid_t pid = ::fork();
  if (pid < 0) return lab_error("fork");
  if (pid == 0) become_driver(build, commands->read.get(), answers->write.get(), messages.get());
  return std::unique_ptr<LabDriver>(new LabDriver(pid, std::move(commands->write),
                                                  std::move(answers->read), std::move(messages)));
}

LabDriver::~LabDriver() {
  commands_.reset();
  ::kill(pid_, SIGTERM);
  const auto deadline = steady_clock::now() + kDownLimit;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (steady_clock::now() >= deadline) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      return;
    }
    ::poll(nullptr, 0, 20);
  }
}

Result<std::string> LabDriver::ask(const std::string& command, seconds limit) {
  const std::string line = command + "\n";
  if (::write(commands_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return Error{fmt::format("the lab ended: {}", last_messages())};
  const auto deadline = steady_clock::now() + limit;
  std::array<char, 1024> buffer;
  for (;;) {
    if (const size_t end = pending_.find('\n'); end != std::string::npos) {
      const std::string answer = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return answer.starts_with("ok ") ? answer.substr(3) : std::string();
    }
    if (interrupted()) return Error{"interrupted"};
    if (steady_clock::now() >= deadline)
      return Error{fmt::format("the lab did not do `{}` within {} s: {}", command, limit.count(),
                               last_messages())};
    pollfd wait{answers_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 100) <= 0) continue;
    const ssize_t bytes = ::read(answers_.get(), buffer.data(), buffer.size());
    if (bytes == 0)
      return Error{fmt::format("the lab failed at `{}`: {}", command, last_messages())};
    if (bytes > 0) pending_.append(buffer.data(), static_cast<size_t>(bytes));
  }
}

std::string LabDriver::last_messages() const {
  std::string text(65'536, '\0');
  const off_t size = ::lseek(messages_.get(), 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
  const ssize_t bytes = ::pread(messages_.get(), text.data(), text.size(), from);
  text.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
  size_t start = text.size();
  for (size_t lines = 0; start != 0 && lines <= kMessageLines; ++lines)
    start = text.rfind('\n', start - 1) == std::string::npos ? 0 : text.rfind('\n', start - 1);
  return text.substr(start);
}

Result<LabFacts> LabDriver::up(const std::string& policy, double rtt_ms) {
  if (auto done = ask(fmt::format("lock {}", kLockLimit.count()), kLockLimit); !done)
    return done.error();
  if (auto done = ask("policy " + policy, kFaultLimit); !done) return done.error();
  const auto answer = ask(fmt::format("up {}", rtt_ms), kUpLimit);
  if (!answer) return answer.error();
  auto facts = facts_of(*answer);
  if (!facts) return Error{"the lab's answer is not understood: " + *answer};
  return *std::move(facts);
}

Result<void> LabDriver::cut(const std::string& link, const std::string& how) {
  const auto done = ask(fmt::format("cut {} {}", link, how), kFaultLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> LabDriver::heal(const std::string& link) {
  const auto done = ask("heal " + link, kFaultLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> LabDriver::rebind(const std::string& link) {
  const auto done = ask(fmt::format("rebind {} port", link), kFaultLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<double> LabDriver::ping_ms(const std::string& link) {
  const auto answer = ask(fmt::format("ping {} 10", link), kFaultLimit);
  if (!answer) return answer.error();
  return std::strtod(answer->c_str(), nullptr);
}

Result<std::string> LabDriver::missing_packages(const std::string& peer) {
  auto answer = ask("installed " + peer, kFaultLimit);
  if (answer && *answer == "yes") answer->clear();
  return answer;
}

Result<void> LabDriver::prepare() {
  if (auto done = ask(fmt::format("lock {}", kLockLimit.count()), kLockLimit); !done)
    return done.error();
  const auto done = ask("prepare", kUpLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> LabDriver::tunnel(const std::string& peer) {
  const auto done = ask("tunnel " + peer, kUpLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<void> LabDriver::end_tunnel(const std::string& peer) {
  const auto done = ask("end_tunnel " + peer, kUpLimit);
  return done ? Result<void>() : Result<void>(done.error());
}

Result<LabDriver::Stream> LabDriver::stream(const std::string& peer, unsigned length_s) {
  const auto answer =
      ask(fmt::format("stream {} {}", peer, length_s), kUpLimit + seconds(length_s));
  if (!answer) return answer.error();
  Stream stream;
  std::istringstream words(*answer);
  if (!(words >> stream.gbps >> stream.cpu_s))
    return Error{"the stream's answer is not understood: " + *answer};
  return stream;
}

}  // namespace jvpn::perf
