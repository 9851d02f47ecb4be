// Every sink with a whole event log behind it: what it gets, and what happens when it is dead,
// stalls or goes.
#include "control/events/event_sink.h"

#include <csignal>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {
namespace {

constexpr uint64_t kManyEvents = 4'000;

class EventSinkTest : public EventFolder {
 protected:
  static bool ends_with_event(const std::string& text, uint64_t sequence) {
    return text.ends_with('\n') &&
           text.find("\"seq\":" + std::to_string(sequence) + ",") != std::string::npos;
  }
};

TEST_F(EventSinkTest, AFileIsAppendedToAndForTheGroupToRead) {
  umask(022);
  for (int i = 0; i < 2; ++i) {
    EventLog log(options_with({file("log")}));
    log.add(some_event());
    log.close();
  }
  EXPECT_EQ(lines_of("log").size(), 2U);
  struct stat status {};
  ASSERT_EQ(stat(path("log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
}

TEST_F(EventSinkTest, AFileThatIsGoneIsMadeAnew) {
  EventLog log(options_with({file("log")}));
  log.start();
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return lines_of("log").size() == 1; }));
  std::filesystem::rename(path("log"), path("log.1"));
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return lines_of("log").size() == 1; }));
  std::filesystem::remove(path("log"));
  log.add(some_event());
  log.close();
  ASSERT_EQ(lines_of("log").size(), 1U);
  EXPECT_EQ(lines_of("log")[0]["seq"], 3);
  ASSERT_EQ(lines_of("log.1").size(), 1U);
  EXPECT_EQ(lines_of("log.1")[0]["seq"], 1);
}

TEST_F(EventSinkTest, ALineNeverContinuesATornOne) {
  std::ofstream(path("log")) << "{\"ts_ms\":12";
  EventLog log(options_with({file("log")}));
  log.add(some_event());
  log.close();
  const auto lines = lines_of("log");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["seq"], 1);
}

TEST_F(EventSinkTest, AFullDiskIsShownAndNobodyElseMinds) {
  EventLog log(options_with({{EventSinkKind::kFile, "/dev/full"}, file("log")}));
  log.start();
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return !log.status().healthy; }));
  EXPECT_EQ(log.status().sinks[0].why, "No space left on device");
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return log.status().sinks[1].written == 2; }));
}

TEST_F(EventSinkTest, AStalledSocketLosesEventsAndNobodyElseDoes) {
  Collector collector(path("socket"));
  EventLog log(options_with({unix_socket("socket"), file("log")}, 1'024));
  log.start();
  for (uint64_t i = 1; i <= kManyEvents; ++i) {  // a blocked producer would never get through
    log.add(some_event(i));
    if (i % 500 != 0) continue;
    ASSERT_TRUE(comes_true([&] { return log.status().sinks[1].written == i; }));
  }
  collector.accept_one();
  ASSERT_TRUE(comes_true([&] { return log.status().sinks[0].lost != 0; }));
  EXPECT_FALSE(log.status().healthy);
  EXPECT_EQ(log.status().sinks[1].lost, 0U);
  EXPECT_EQ(lines_of("log").size(), kManyEvents);

  const std::string text = collector.read_until(
      [](const std::string& all) { return ends_with_event(all, kManyEvents); });
  uint64_t lost = 0;
  expect_complete(parse_lines(text), kManyEvents, lost);
  EXPECT_GT(lost, 0U);
  ASSERT_TRUE(comes_true([&] { return log.status().healthy; }));
  EXPECT_EQ(log.status().sinks[0].lost, lost);
  EXPECT_EQ(log.status().sinks[0].written + lost, kManyEvents);
  EXPECT_EQ(log.status().lost, lost);
}

TEST_F(EventSinkTest, ASocketIsDialledUntilSomebodyListens) {
  EventLog log(options_with({unix_socket("socket")}));
  log.start();
  log.add(some_event());
  ASSERT_TRUE(comes_true([&] { return !log.status().healthy; }));
  EXPECT_EQ(log.status().sinks[0].why, "No such file or directory");
  Collector collector(path("socket"));
  collector.accept_one();
  const std::string text =
      collector.read_until([](const std::string& all) { return ends_with_event(all, 1); });
  EXPECT_EQ(parse_lines(text).size(), 1U);
  ASSERT_TRUE(comes_true([&] { return log.status().healthy; }));
}

TEST_F(EventSinkTest, AReaderThatWentIsDialledAgain) {
  Collector collector(path("socket"));
  EventLog log(options_with({unix_socket("socket")}));
  log.start();
  log.add(some_event());
  collector.accept_one();
  collector.read_until([](const std::string& all) { return ends_with_event(all, 1); });
  collector.hang_up();
  log.add(some_event());
  collector.accept_one();
  const std::string text =
      collector.read_until([](const std::string& all) { return ends_with_event(all, 2); });
  EXPECT_EQ(parse_lines(text)[0]["seq"], 2);
}

TEST_F(EventSinkTest, AnEndWithAStalledSinkComes) {
  Collector collector(path("socket"));  // never accepts, never reads
  EventLog log(options_with({unix_socket("socket"), file("log")}));
  for (uint64_t i = 1; i <= kManyEvents; ++i) log.add(some_event(i));
  log.start();
  ASSERT_TRUE(comes_true([&] { return log.status().sinks[1].written == kManyEvents; }));
  log.close();
  EXPECT_FALSE(log.status().sinks[0].healthy);
}

/// Runs `body` in a process of its own whose standard output is `write_end`; gives its exit status.
int in_child(int write_end, const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (write_end >= 0) dup2(write_end, STDOUT_FILENO);
    _exit(body());
  }
  if (write_end >= 0) close(write_end);
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

/// The first write that goes over the limit writes a part of its line.
int write_beyond_a_limit(const EventSinkProfile& sink) {
  rlimit limit{1'000, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &limit);
  EventLog log(options_with({sink}));
  log.start();
  for (uint64_t i = 1; i <= 9; ++i) log.add(some_event(i));
  if (!comes_true([&] { return log.status().sinks[0].why == "File too large"; })) return 1;
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_FSIZE, &limit);
  return comes_true([&] { return log.status().sinks[0].written == 9; }) ? 0 : 2;
}

TEST_F(EventSinkTest, ALineThatFitsInPartIsWrittenToItsEndLater) {
  EXPECT_EQ(in_child(-1, [this] { return write_beyond_a_limit(file("log")); }), 0);
  uint64_t lost = 0;
  expect_complete(lines_of("log"), 9, lost);
  EXPECT_EQ(lost, 0U);
}

enum class Reader { kReads, kDoesNot };

int write_to_stdout(uint64_t events, Reader reader) {
  EventLog log(options_with({EventSinkProfile{}}));
  log.start();
  for (uint64_t i = 1; i <= events; ++i) log.add(some_event(i));
  if (reader == Reader::kReads) comes_true([&] { return log.status().sinks[0].written == events; });
  log.close();
  return 0;
}

TEST_F(EventSinkTest, StandardOutputGetsEveryLine) {
  const std::string out = path("out");
  const int target = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  EXPECT_EQ(in_child(target, [] { return write_to_stdout(kManyEvents, Reader::kReads); }), 0);
  uint64_t lost = 0;
  expect_complete(lines_of("out"), kManyEvents, lost);
  EXPECT_EQ(lost, 0U);
}

TEST_F(EventSinkTest, AProgramOutlivesAReaderOfItsOutputThatStallsOrGoes) {
  int stalled[2];
  ASSERT_EQ(pipe2(stalled, O_CLOEXEC), 0);
  EXPECT_EQ(in_child(stalled[1], [] { return write_to_stdout(kManyEvents, Reader::kDoesNot); }), 0);
  close(stalled[0]);
  int gone[2];
  ASSERT_EQ(pipe2(gone, O_CLOEXEC), 0);
  close(gone[0]);
  EXPECT_EQ(in_child(gone[1], [] { return write_to_stdout(10, Reader::kDoesNot); }), 0);
}

constexpr int kNotAllowed = 77;

/// With a log daemon of its own: the datagram that comes must hold the event.
int write_to_syslog() {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return kNotAllowed;
  if (mount("tmpfs", "/dev", "tmpfs", 0, nullptr) != 0) return kNotAllowed;
  const int daemon = socket(AF_UNIX, SOCK_DGRAM, 0);
  const sockaddr_un address{AF_UNIX, "/dev/log"};
  if (bind(daemon, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 1;
  EventLog log(options_with({{EventSinkKind::kSyslog, {}}}));
  log.add(some_event());
  log.close();
  char bytes[4'096];
  const ssize_t got = recv(daemon, bytes, sizeof bytes, MSG_DONTWAIT);
  const std::string text(bytes, got > 0 ? static_cast<size_t>(got) : 0);
  const bool whole = text.find("jvpn-test[") != std::string::npos &&
                     text.find("{\"ts_ms\":") != std::string::npos &&
                     text.find("\"boot_ms\":1}") != std::string::npos;
  return whole && log.status().sinks[0].written == 1 ? 0 : 2;
}

TEST_F(EventSinkTest, SyslogGetsTheLine) {
  const int status = in_child(-1, write_to_syslog);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) GTEST_SKIP() << "needs root";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace jvpn::test
