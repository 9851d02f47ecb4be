#include "tests/support/etcd_server.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/certificates.h"

namespace jvpn::test {
namespace {

constexpr std::chrono::seconds kStartTime{60};
constexpr int kAskMs = 1000;  // one question whether a member is well
constexpr int kPauseMs = 20;  // between two
constexpr size_t kLogTail = 2000;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// The answer to `GET /health` on its port for metrics; what came of it within a second.
std::string health(int port) {
  const FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = kAskMs / 1000, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const sockaddr_in to = loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return {};
  const std::string request = "GET /health HTTP/1.0\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string answer;
  std::array<char, 1024> buffer;
  for (ssize_t got = 1; got > 0 && answer.size() < 10'000;) {
    got = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) answer.append(buffer.data(), static_cast<size_t>(got));
  }
  return answer;
}

/// The child's part: nothing between fork and exec that a lock could hold up.
[[noreturn]] void become(char* const* arguments, pid_t parent, int log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  char path[] = "PATH=/usr/bin:/bin:/usr/local/bin";  // and no ETCD_*, which etcd would follow
  char* environment[] = {path, nullptr};
  execvpe(arguments[0], arguments, environment);
  _exit(127);
}

}  // namespace

Result<std::unique_ptr<EtcdServers>> EtcdServers::start(const Options& options) {
  std::unique_ptr<EtcdServers> servers(new EtcdServers(options));
  const auto prepared = servers->prepare();
  if (!prepared) return prepared.error();
  for (size_t i = 0; i < servers->size(); ++i) {
    const auto launched = servers->launch(i);
    if (!launched) return launched.error();
  }
  for (size_t i = 0; i < servers->size(); ++i) {
    const auto well = servers->await(i);
    if (!well) return well.error();
  }
  return servers;
}

EtcdServers::~EtcdServers() {
  for (size_t i = 0; i < size(); ++i) kill(i);
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string EtcdServers::endpoint(size_t member) const {
  return fmt::format("{}://127.0.0.1:{}", options_.tls ? "https" : "http",
                     members_[member].client.number);
}

std::vector<std::string> EtcdServers::endpoints() const {
  std::vector<std::string> all;
  for (size_t i = 0; i < size(); ++i) all.push_back(endpoint(i));
  return all;
}

std::chrono::nanoseconds EtcdServers::cpu_time() const {
  std::chrono::nanoseconds all{};
  for (const Member& member : members_) {
    clockid_t clock{};
    timespec used{};
    const bool known = member.pid > 0 && clock_getcpuclockid(member.pid, &clock) == 0 &&
                       clock_gettime(clock, &used) == 0;
    if (known) all += std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
  return all;
}

void EtcdServers::kill(size_t member) {
  const pid_t pid = std::exchange(members_[member].pid, 0);
  if (pid <= 0) return;
  ::kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

void EtcdServers::stop(size_t member) {
  const pid_t pid = members_[member].pid;
  ::kill(pid, SIGSTOP);
  while (waitpid(pid, nullptr, WUNTRACED) < 0 && errno == EINTR) continue;
}

void EtcdServers::proceed(size_t member) {
  ::kill(members_[member].pid, SIGCONT);
}

Result<void> EtcdServers::restart(size_t member) {
  kill(member);
  const auto launched = launch(member);
  if (!launched) return launched.error();
  return await(member);
}

/// Two sockets with SO_REUSEADDR share a port as long as one of them alone listens.
Result<EtcdServers::Port> EtcdServers::hold_port() {
  Port port;
  port.holder = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(port.holder.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(port.holder.get(), raw, length) != 0 ||
      getsockname(port.holder.get(), raw, &length) != 0) {
    return errno_error("a free port on loopback");
  }
  port.number = ntohs(address.sin_port);
  return port;
}

Result<void> EtcdServers::prepare() {
  std::string pattern = (std::filesystem::temp_directory_path() / "jvpn-etcd-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return errno_error(pattern);
  directory_ = pattern;
  for (size_t i = 0; i < options_.members; ++i) {
    Member member;
    for (Port* port : {&member.client, &member.peer, &member.metrics}) {
      auto held = hold_port();
      if (!held) return held.error();
      *port = *std::move(held);
    }
    members_.push_back(std::move(member));
  }
  if (options_.tls) return make_certificates();
  return {};
}

Result<void> EtcdServers::make_certificates() const {
  const auto own = Authority::make("test authority", directory_ + "/ca.pem");
  if (!own) return own.error();
  const auto other = Authority::make("other authority", directory_ + "/other-ca.pem");
  if (!other) return other.error();
  const auto server = own->issue(directory_ + "/server", "server", options_.names);
  if (!server) return server.error();
  const auto client = own->issue(directory_ + "/client", "gateway", "");
  if (!client) return client.error();
  return other->issue(directory_ + "/stranger", "stranger", "");
}

std::vector<std::string> EtcdServers::arguments(size_t member) const {
  const auto url = [](const Port& port) { return fmt::format("http://127.0.0.1:{}", port.number); };
  std::string cluster;
  for (size_t i = 0; i < size(); ++i) {
    cluster += fmt::format("{}m{}={}", i == 0 ? "" : ",", i, url(members_[i].peer));
  }
  const Member& own = members_[member];
  std::vector<std::string> all = {"etcd",
                                  fmt::format("--name=m{}", member),
                                  fmt::format("--data-dir={}/m{}", directory_, member),
                                  "--listen-client-urls=" + endpoint(member),
                                  "--advertise-client-urls=" + endpoint(member),
                                  "--listen-peer-urls=" + url(own.peer),
                                  "--initial-advertise-peer-urls=" + url(own.peer),
                                  "--listen-metrics-urls=" + url(own.metrics),
                                  "--initial-cluster=" + cluster,
                                  "--initial-cluster-state=new",
                                  "--initial-cluster-token=" + directory_,
                                  "--logger=zap",
                                  "--log-level=warn"};
  if (options_.tls) {
    for (const char* each :
         {"--cert-file=server.pem", "--key-file=server.key", "--trusted-ca-file=ca.pem"}) {
      std::string option = each;
      all.push_back(option.insert(option.find('=') + 1, directory_ + "/"));
    }
    all.emplace_back("--client-cert-auth");
  }
  return all;
}

Result<void> EtcdServers::launch(size_t member) {
  std::vector<std::string> texts = arguments(member);
  std::vector<char*> pointers;
  for (std::string& each : texts) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  const FileDescriptor log(
      open(log_file(member).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return errno_error(log_file(member));
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return errno_error("fork");
  if (child == 0) become(pointers.data(), parent, log.get());
  members_[member].pid = child;
  return {};
}

/// Until it answers, by way of the cluster's leader.
Result<void> EtcdServers::await(size_t member) {
  Member& own = members_[member];
  const auto end = std::chrono::steady_clock::now() + kStartTime;
  while (std::chrono::steady_clock::now() < end) {
    if (health(own.metrics.number).find(R"("health":"true")") != std::string::npos) return {};
    if (waitpid(own.pid, nullptr, WNOHANG) == own.pid) {
      own.pid = 0;
      return failure(member, "ended at once; is Debian's etcd-server installed?");
    }
    poll(nullptr, 0, kPauseMs);
  }
  return failure(member, "didn't answer within 60 s");
}

std::string EtcdServers::log_file(size_t member) const {
  return fmt::format("{}/m{}.log", directory_, member);
}

Error EtcdServers::failure(size_t member, const std::string& what) const {
  std::ifstream file(log_file(member));
  std::string log{std::istreambuf_iterator<char>(file), {}};
  if (log.size() > kLogTail) log.erase(0, log.size() - kLogTail);
  return Error{fmt::format("etcd member {} {}\n{}", member, what, log)};
}

}  // namespace jvpn::test
