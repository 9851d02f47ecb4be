#include "dataplane/eal.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_pdump.h>

#include "dataplane/af_packet.h"

namespace jvpn {
namespace {

constexpr const char* kHugepages = "/sys/kernel/mm/hugepages";
constexpr const char* kOnlineCpus = "/sys/devices/system/cpu/online";
constexpr unsigned long kMostCpus = 8'192;  // of one range

/// `0@2,1@4,2@5`: lcore 0 is control, the others are workers; several may share a CPU.
std::string lcore_map(const CoresProfile& cores) {
  std::string map = "0@" + std::to_string(cores.control);
  for (size_t worker = 0; worker < cores.workers.size(); ++worker) {
    map +=
        "," + std::to_string(lcore_of_worker(worker)) + "@" + std::to_string(cores.workers[worker]);
  }
  return map;
}

/// Only the devices of the profile are probed; without any on PCI the bus is left alone, and
/// virtual addresses serve as IO addresses, which keeps a mempool in one piece for AF_XDP.
void add_devices(const std::vector<PortProfile>& ports, std::vector<std::string>& arguments) {
  for (const PortProfile& port : ports) {
    if (!port.pci.empty()) {
      arguments.insert(arguments.end(), {"-a", port.pci});
    } else {
      arguments.push_back("--vdev=" + port.vdev);
    }
  }
  const bool pci = std::any_of(ports.begin(), ports.end(),
                               [](const PortProfile& port) { return !port.pci.empty(); });
  if (!pci) arguments.insert(arguments.end(), {"--no-pci", "--iova-mode=va"});
}

uint64_t number_in(const std::filesystem::path& file) {
  uint64_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

/// The size in a name like `hugepages-2048kB`, in kilobytes; 0: none.
uint64_t page_kb(const std::string& name) {
  constexpr std::string_view kPrefix = "hugepages-";
  return name.starts_with(kPrefix) ? std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10) : 0;
}

}  // namespace

std::string lacking_hugepages(const std::string& folder, uint32_t megabytes) {
  constexpr const char* kWithout =
      "memory: {hugepages: false} in the profile does without: slower, and no NIC";
  std::map<uint64_t, std::filesystem::path> sizes;
  std::error_code unreadable;
  for (const auto& each : std::filesystem::directory_iterator(folder, unreadable))
    if (const uint64_t kb = page_kb(each.path().filename().string()); kb != 0)
      sizes[kb] = each.path();
  if (sizes.empty()) return "this kernel has no hugepages (" + folder + "): " + kWithout;
  uint64_t free_kb = 0;
  for (const auto& [kb, path] : sizes) free_kb += kb * number_in(path / "free_hugepages");
  const uint64_t need_kb = uint64_t{megabytes} * 1'024;
  if (free_kb >= need_kb) return {};
  const auto& [kb, smallest] = *sizes.begin();
  const std::filesystem::path file = smallest / "nr_hugepages";
  const uint64_t pages = number_in(file) + (need_kb - free_kb + kb - 1) / kb;
  return "hugepages: " + std::to_string(megabytes) + " MiB needed (memory.megabytes), " +
         std::to_string(free_kb / 1'024) + " MiB free in " + folder +
         ": `jvpn setup PROFILE` reserves them, or `echo " + std::to_string(pages) + " > " +
         file.string() + "`; `jvpn doctor PROFILE` names what else is missing; " + kWithout;
}

std::string lacking_cpus(const CoresProfile& cores, const std::string& online) {
  std::set<unsigned long> there;
  std::istringstream ranges(online);
  for (std::string range; std::getline(ranges, range, ',');) {
    char* end = nullptr;
    const unsigned long first = std::strtoul(range.c_str(), &end, 10);
    const unsigned long last = *end == '-' ? std::strtoul(end + 1, nullptr, 10) : first;
    for (unsigned long cpu = first; cpu <= std::min(last, first + kMostCpus); ++cpu)
      there.insert(cpu);
  }
  std::vector<unsigned long> used(cores.workers.begin(), cores.workers.end());
  used.push_back(cores.control);
  for (const unsigned long cpu : used)
    if (!there.contains(cpu))
      return "cores: CPU " + std::to_string(cpu) + " isn't online; online are " + online +
             ": name others in the profile";
  return {};
}

std::vector<std::string> eal_arguments(const GatewayProfile& profile) {
  std::vector<std::string> arguments{
      "jvpnd", "--lcores=" + lcore_map(profile.cores),  "--main-lcore=0", "--proc-type=primary",
      "-m",    std::to_string(profile.memory.megabytes)};
  // What nobody is to attach to leaves no files behind; the EAL refuses --in-memory without
  // hugepages.
  if (profile.memory.attachable)
    arguments.push_back("--file-prefix=" + profile.node);
  else if (profile.memory.hugepages)
    arguments.emplace_back("--in-memory");
  else
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
  add_devices(profile.ports, arguments);
  arguments.insert(arguments.end(), profile.eal_args.begin(), profile.eal_args.end());
  return arguments;
}

Result<Eal> Eal::start(const GatewayProfile& profile) {
  std::string online;
  std::getline(std::ifstream(kOnlineCpus), online);
  // DPDK's answer to one that isn't there is the list of its options.
  if (const std::string lacking = lacking_cpus(profile.cores, online);
      !online.empty() && !lacking.empty())
    return Error{lacking};
  const std::vector<std::string> arguments = eal_arguments(profile);
  std::vector<std::string> texts = arguments;  // the EAL reorders the pointers and may edit texts
  std::vector<char*> pointers;
  pointers.reserve(texts.size());
  for (std::string& text : texts) pointers.push_back(text.data());
  keep_fragments_apart();
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0) {
    Eal started;
    if (!profile.memory.attachable || rte_pdump_init() == 0) return started;
    return Error{std::string("DPDK can't serve packet captures: ") + rte_strerror(rte_errno) +
                 "; memory.attachable: false does without"};
  }

  // Of missing hugepages DPDK says no more than "Permission denied".
  const std::string why(rte_strerror(rte_errno));
  if (profile.memory.hugepages)
    if (const std::string lacking = lacking_hugepages(kHugepages, profile.memory.megabytes);
        !lacking.empty())
      return Error{"DPDK can't start: " + lacking};
  std::string line;
  for (const std::string& argument : arguments) line += " " + argument;
  return Error{"DPDK can't start: " + why +
               "; its own lines above say why, `jvpn doctor PROFILE` what the machine lacks. "
               "Arguments:" +
               line};
}

Eal::~Eal() {
  if (running_) rte_eal_cleanup();
}

}  // namespace jvpn
