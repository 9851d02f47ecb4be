// The single looks at the machine. Each appends what it finds, and nothing of what isn't needed.
#pragma once

#include "tools/jvpn/doctor/finding.h"
#include "tools/jvpn/doctor/host.h"
#include "tools/jvpn/doctor/needs.h"

namespace jvpn::doctor {

/// Reserved, free, and on the workers' NUMA node.
void check_hugepages(const Host& host, const Needs& needs, Report& report);
/// How much memory may be locked: keys stay out of swap, and vfio pins what a NIC writes to.
void check_memlock(const Host& host, const Needs& needs, Report& report);

/// The CPUs that the profile names are there, and workers don't share a physical core.
void check_cpus(const Host& host, const Needs& needs, Report& report);
/// The kernel leaves polling workers alone: isolcpus, nohz_full.
void check_isolation(const Host& host, const Needs& needs, Report& report);
/// The instructions that ciphers take.
void check_cpu_flags(const Host& host, const Needs& needs, Report& report);
/// A time stamp counter that neither stops nor changes its rate.
void check_clock(const Host& host, const Needs& needs, Report& report);

/// An IOMMU stands between NICs and memory.
void check_iommu(const Host& host, const Needs& needs, Report& report);
/// The kernel's module that hands NICs to programs.
void check_vfio(const Host& host, const Needs& needs, Report& report);
/// Each NIC of the profile: its driver, IOMMU group, link on the bus, and NUMA node.
void check_nics(const Host& host, const Needs& needs, Report& report);

/// Each port upon a kernel interface: it is there and up, its MTU, its queues, AF_XDP.
void check_kernel_ports(const Host& host, const Needs& needs, Report& report);
/// The kernel's tunnel devices.
void check_tun(const Host& host, const Needs& needs, Report& report);

}  // namespace jvpn::doctor
