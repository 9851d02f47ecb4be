// Hugepages and locked memory.
#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "tools/jvpn/doctor/checks.h"

namespace jvpn::doctor {
namespace {

constexpr const char* kPages = "/sys/kernel/mm/hugepages";
constexpr uint64_t kIpcLock = uint64_t{1} << 14;  // CAP_IPC_LOCK

/// What a folder of hugepages/ has of each size.
struct Pages {
  uint64_t reserved_kb = 0;
  uint64_t free_kb = 0;
  std::string smallest{};  ///< the folder of the smallest size, the easiest to reserve
  uint64_t smallest_kb = 0;
  uint64_t smallest_count = 0;
};

/// The size in a name like `hugepages-2048kB`; 0: none.
uint64_t size_of(const std::string& name) {
  constexpr std::string_view kPrefix = "hugepages-";
  if (!name.starts_with(kPrefix)) return 0;
  uint64_t kb = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), kb);
  return kb;
}

Pages pages_in(const Host& host, const std::string& folder) {
  Pages pages;
  for (const std::string& name : host.names(folder)) {
    const uint64_t kb = size_of(name);
    if (kb == 0) continue;
    const std::string at = fmt::format("{}/{}", folder, name);
    const auto count = static_cast<uint64_t>(host.number(at + "/nr_hugepages").value_or(0));
    pages.reserved_kb += count * kb;
    pages.free_kb += static_cast<uint64_t>(host.number(at + "/free_hugepages").value_or(0)) * kb;
    if (pages.smallest_kb == 0 || kb < pages.smallest_kb) {
      pages.smallest = at;
      pages.smallest_kb = kb;
      pages.smallest_count = count;
    }
  }
  return pages;
}

/// Reserves so much more, in pages of the smallest size.
Mend reserve(const Pages& pages, uint64_t more_kb) {
  const uint64_t count =
      pages.smallest_count + (more_kb + pages.smallest_kb - 1) / pages.smallest_kb;
  return write(pages.smallest + "/nr_hugepages", fmt::format("{}", count),
               fmt::format("{}", pages.smallest_count));
}

/// The NUMA node of all workers; nullopt: they are on several, or there is but one node.
std::optional<std::string> node_of_workers(const Host& host, const Needs& needs) {
  std::set<std::string> nodes;
  size_t all = 0;
  for (const std::string& name : host.names("/sys/devices/system/node")) {
    if (!name.starts_with("node")) continue;
    ++all;
    const auto cpus = cpus_of(host.line(fmt::format("/sys/devices/system/node/{}/cpulist", name)));
    for (const uint32_t worker : needs.workers)
      if (std::ranges::find(cpus, worker) != cpus.end()) nodes.insert(name);
  }
  return all > 1 && nodes.size() == 1 ? std::optional(*nodes.begin()) : std::nullopt;
}

void check_node_pages(const Host& host, const Needs& needs, Report& report) {
  const auto node = node_of_workers(host, needs);
  if (!node) return;
  const Pages pages = pages_in(host, fmt::format("/sys/devices/system/node/{}/hugepages", *node));
  const uint64_t need_kb = uint64_t{needs.huge_megabytes} * 1'024;
  Finding finding{.check = "hugepages",
                  .of = *node,
                  .what = fmt::format("{} MiB on the workers' node", pages.reserved_kb / 1'024)};
  if (pages.reserved_kb < need_kb && pages.smallest_kb != 0) {
    finding.verdict = Verdict::kBetter;
    finding.what +=
        fmt::format(" of {} MiB: workers reach for the others' memory", needs.huge_megabytes);
    finding.mend.push_back(reserve(pages, need_kb - pages.reserved_kb));
  }
  report.push_back(std::move(finding));
}

/// The soft limit of a process's locked memory; nullopt: unlimited.
std::optional<uint64_t> memlock_of(const Host& host, const std::string& process) {
  std::istringstream lines(host.text(fmt::format("/proc/{}/limits", process)));
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kName = "Max locked memory";
    if (!line.starts_with(kName)) continue;
    std::istringstream words(line.substr(kName.size()));
    uint64_t bytes = 0;
    return words >> bytes ? std::optional(bytes) : std::nullopt;
  }
  return std::nullopt;
}

/// Limits of locked memory aren't for this process.
bool may_lock(const Host& host, const std::string& process) {
  std::istringstream lines(host.text(fmt::format("/proc/{}/status", process)));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("CapEff:")) continue;
    std::istringstream words(line.substr(7));
    uint64_t capabilities = 0;
    return words >> std::hex >> capabilities && (capabilities & kIpcLock) != 0;
  }
  return false;
}

}  // namespace

void check_hugepages(const Host& host, const Needs& needs, Report& report) {
  if (needs.huge_megabytes == 0) return;
  const Pages pages = pages_in(host, kPages);
  const uint64_t need_kb = uint64_t{needs.huge_megabytes} * 1'024;
  Finding finding{
      .check = "hugepages",
      .what = fmt::format("{} MiB reserved, {} MiB free, {} MiB needed", pages.reserved_kb / 1'024,
                          pages.free_kb / 1'024, needs.huge_megabytes)};
  const bool taken = pages.free_kb < need_kb && !host.process("jvpnd");
  if (pages.smallest_kb == 0) {
    finding.verdict = Verdict::kMissing;
    finding.what = "this kernel has none";
    finding.mend.push_back(by_hand("in the profile: memory: {hugepages: false}"));
  } else if (pages.reserved_kb < need_kb || taken) {
    finding.verdict = Verdict::kMissing;
    if (pages.reserved_kb >= need_kb) finding.what += ": other programs have the rest";
    const uint64_t there_kb = taken ? pages.free_kb : pages.reserved_kb;
    const Mend mend = reserve(pages, need_kb - there_kb);
    const std::string count = mend.text;
    finding.mend.push_back(mend);
    if (pages.smallest_kb == 2'048)
      finding.mend.push_back(by_hand(fmt::format(
          "echo vm.nr_hugepages={} > /etc/sysctl.d/80-jvpn.conf   # after the next boot, too",
          count)));
  }
  report.push_back(std::move(finding));
  if (pages.reserved_kb >= need_kb) check_node_pages(host, needs, report);
}

void check_memlock(const Host& host, const Needs& needs, Report& report) {
  const char* const program = needs.gateway ? "jvpnd" : "jvpn-client";
  const auto running = host.process(program);
  const std::string process = running.value_or("self");
  const auto limit = memlock_of(host, process);
  const std::string whose = running ? fmt::format("of {}", program) : "of this shell";
  Finding finding{.check = "memlock", .what = "unlimited, " + whose};
  if (limit) {
    finding.what = fmt::format("{} KiB, {}", *limit / 1'024, whose);
    if (may_lock(host, process)) {
      finding.what += "; CAP_IPC_LOCK lifts it";
    } else {
      finding.verdict = Verdict::kBetter;
      finding.what +=
          fmt::format(": keys may get into swap{}; {}'s unit has no such limit",
                      needs.nics.empty() ? "" : ", and vfio can't pin the NIC's memory", program);
      finding.mend.push_back(by_hand("ulimit -l unlimited"));
    }
  }
  report.push_back(std::move(finding));
}

}  // namespace jvpn::doctor
