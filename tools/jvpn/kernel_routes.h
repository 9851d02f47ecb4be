// The routes that a gateway carries, in a routing table of this host's kernel, from where a routing
// daemon takes them: unreachable ones, because packets to them go to the gateway's inside port, not
// through the kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "common/file_descriptor.h"
#include "tools/jvpn/route_book.h"
#include "tools/shared/netlink/netlink.h"

namespace jvpn {

class KernelRoutes final : public RouteSink {
 public:
  /// Of what the table holds, only routes of netlink::kCarriedProtocol are ours. An Error also when
  /// another program has the table.
  static Result<std::unique_ptr<KernelRoutes>> open(uint32_t table);

  /// Somebody else's route to that prefix stays, and is complained of.
  Result<void> add(const Prefix& prefix, const std::string& peer) override;
  Result<void> withdraw(const Prefix& prefix, const std::string& peer) override;
  /// Takes away what an earlier program has left and nobody carries now.
  Result<void> synced(size_t count) override;
  Result<void> lost(const std::string& why) override;
  /// Removes all routes of ours, whoever set them.
  Result<void> release();

 private:
  KernelRoutes(FileDescriptor lock, std::unique_ptr<netlink::Netlink> kernel, uint32_t table)
      : lock_(std::move(lock)), kernel_(std::move(kernel)), table_(table) {}
  Result<void> remove_all_but(const std::set<Prefix>& kept);

  FileDescriptor lock_;
  std::unique_ptr<netlink::Netlink> kernel_;
  uint32_t table_;
  std::set<Prefix> left_;  ///< by an earlier program, and not added yet
  std::set<Prefix> added_;
  std::string refusal_;  ///< the kernel's latest
};

}  // namespace jvpn
