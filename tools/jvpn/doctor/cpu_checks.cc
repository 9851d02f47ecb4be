// CPUs: which there are, who else uses them, what they can do, and their clock.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "tools/jvpn/doctor/checks.h"

namespace jvpn::doctor {
namespace {

bool contains(const std::vector<uint32_t>& all, uint32_t one) {
  return std::ranges::find(all, one) != all.end();
}

std::vector<uint32_t> missing_from(const std::vector<uint32_t>& all,
                                   const std::vector<uint32_t>& wanted) {
  std::vector<uint32_t> missing;
  for (const uint32_t cpu : wanted)
    if (!contains(all, cpu)) missing.push_back(cpu);
  return missing;
}

/// Workers, or a worker and control, on two threads of one core.
std::string shared_core(const Host& host, const Needs& needs) {
  std::vector<uint32_t> ours = needs.workers;
  ours.push_back(needs.control);
  std::ranges::sort(ours);
  ours.erase(std::unique(ours.begin(), ours.end()), ours.end());
  for (const uint32_t cpu : ours) {
    const auto siblings = cpus_of(
        host.line(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu)));
    std::vector<uint32_t> together;
    for (const uint32_t each : ours)
      if (contains(siblings, each)) together.push_back(each);
    if (together.size() > 1) return to_list(together);
  }
  return {};
}

/// The kernel's command line takes these CPUs from everybody else.
std::string isolating(const std::string& cpus) {
  return fmt::format("isolcpus={0} nohz_full={0} rcu_nocbs={0}", cpus);
}

}  // namespace

void check_cpus(const Host& host, const Needs& needs, Report& report) {
  if (needs.workers.empty()) return;
  const std::string online = host.line("/sys/devices/system/cpu/online");
  std::vector<uint32_t> ours = needs.workers;
  ours.push_back(needs.control);
  const auto missing = missing_from(cpus_of(online), ours);
  Finding finding{.check = "cpus", .of = to_list(ours), .what = "online"};
  if (!missing.empty()) {
    finding.verdict = Verdict::kMissing;
    finding.what = fmt::format("{} not online; online are {}", to_list(missing), online);
    finding.mend.push_back(by_hand("in the profile: cores: control and workers of " + online));
  } else if (const std::string together = shared_core(host, needs); !together.empty()) {
    finding.verdict = Verdict::kBetter;
    finding.what = fmt::format("{} are threads of one core, and share what it does", together);
    finding.mend.push_back(
        by_hand("in the profile: cores: one CPU of each core; lscpu -e=CPU,CORE,NODE lists them"));
  }
  report.push_back(std::move(finding));
}

void check_isolation(const Host& host, const Needs& needs, Report& report) {
  if (!needs.polls || needs.workers.empty()) return;
  const std::string workers = to_list(needs.workers);
  const auto isolated = cpus_of(host.line("/sys/devices/system/cpu/isolated"));
  const auto tickless = cpus_of(host.line("/sys/devices/system/cpu/nohz_full"));
  const auto scheduled = missing_from(isolated, needs.workers);
  const auto ticking = missing_from(tickless, needs.workers);
  Finding finding{.check = "isolation", .of = workers, .what = "isolcpus, nohz_full"};
  if (!scheduled.empty() || !ticking.empty()) {
    finding.verdict = Verdict::kBetter;
    finding.what.clear();
    if (!scheduled.empty())
      finding.what = fmt::format("other programs may run on {} (isolcpus)", to_list(scheduled));
    if (!ticking.empty())
      finding.what += fmt::format("{}the kernel's tick interrupts {} (nohz_full)",
                                  finding.what.empty() ? "" : ", ", to_list(ticking));
    finding.mend.push_back(at_boot(isolating(workers)));
  }
  report.push_back(std::move(finding));
}

void check_cpu_flags(const Host& host, const Needs& needs, Report& report) {
  Finding finding{.check = "cpu flags"};
  const auto lacking = [&](std::initializer_list<const char*> flags) {
    std::string names;
    for (const char* const flag : flags)
      if (!host.has_cpu_flag(flag)) names += fmt::format("{}{}", names.empty() ? "" : ", ", flag);
    return names;
  };
  const Mend from_host = by_hand("in a VM, give it the CPU of its host (QEMU: -cpu host)");
  const std::string basic = lacking({"ssse3", "sse4_1", "sse4_2"});
  const std::string gcm = needs.gcm ? lacking({"aes", "pclmulqdq"}) : std::string();
  const std::string wide = needs.gcm
                               ? lacking({"vaes", "vpclmulqdq", "avx512f", "avx512bw", "avx512vl"})
                               : lacking({"avx512f", "avx512bw", "avx512vl"});
  if (!basic.empty() && needs.gateway) {
    finding.verdict = Verdict::kMissing;
    finding.what = "without " + basic + " DPDK doesn't start";
    finding.mend.push_back(from_host);
  } else if (!gcm.empty()) {
    finding.verdict = Verdict::kMissing;
    finding.what = "without " + gcm + " AES-GCM is emulated, and slow";
    finding.mend = {from_host, by_hand("in the profile: crypto: {suites: [chacha20-poly1305]}")};
  } else if (!wide.empty() && needs.gateway) {
    finding.verdict = Verdict::kBetter;
    finding.what = fmt::format("{}without {}: ciphers go one block at a time",
                               needs.gcm ? "AES-NI, but " : "", wide);
    finding.mend.push_back(by_hand("another machine (Ice Lake or Zen 4 on); in a VM, -cpu host"));
  } else {
    finding.what = needs.gateway ? "AES-NI, VAES, AVX-512" : "AES-NI";
  }
  report.push_back(std::move(finding));
}

void check_clock(const Host& host, const Needs& needs, Report& report) {
  if (!needs.gateway) return;
  constexpr const char* kSources = "/sys/devices/system/clocksource/clocksource0";
  const std::string current = host.line(fmt::format("{}/current_clocksource", kSources));
  const std::string others =
      ' ' + host.line(fmt::format("{}/available_clocksource", kSources)) + ' ';
  const bool invariant = host.has_cpu_flag("constant_tsc") && host.has_cpu_flag("nonstop_tsc");
  Finding finding{.check = "clock", .what = "invariant TSC, which the kernel uses"};
  if (!invariant) {
    finding.verdict = Verdict::kMissing;
    finding.what = "the TSC isn't invariant: workers measure ends of sessions and ownership by it";
    finding.mend.push_back(by_hand("in a VM, tell it of the host's (QEMU: -cpu host,+invtsc)"));
  } else if (current != "tsc") {
    finding.verdict = Verdict::kBetter;
    finding.what = fmt::format("the kernel uses {}, which may take a system call", current);
    const bool offered = others.find(" tsc ") != std::string::npos;
    finding.mend.push_back(
        offered ? write(fmt::format("{}/current_clocksource", kSources), "tsc", current)
                : at_boot("tsc=reliable clocksource=tsc"));
  }
  report.push_back(std::move(finding));
}

}  // namespace jvpn::doctor
