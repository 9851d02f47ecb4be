#include "tools/jvpn/kernel_routes.h"

#include <cerrno>
#include <cstddef>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

/// Held while the program runs: an abstract socket's name, which belongs to this network namespace
/// as the table does, and goes with the program however that ends.
Result<FileDescriptor> lock_table(uint32_t table) {
  FileDescriptor lock(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("jvpn routes, table {}", table);
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(lock.get(), reinterpret_cast<const sockaddr*>(&address), bytes) == 0) return lock;
  if (errno == EADDRINUSE)
    return Error{fmt::format(
        "table {}: another `jvpn routes` fills it; end that one, or give each gateway a table",
        table)};
  return errno_error(fmt::format("table {}: lock", table));
}

}  // namespace

Result<std::unique_ptr<KernelRoutes>> KernelRoutes::open(uint32_t table) {
  auto lock = lock_table(table);
  if (!lock) return lock.error();
  auto kernel = netlink::Netlink::open(netlink::kCarriedProtocol);
  if (!kernel) return kernel.error();
  const auto left = (*kernel)->our_routes(table);
  if (!left) return left.error();
  std::unique_ptr<KernelRoutes> routes(
      new KernelRoutes(std::move(*lock), std::move(*kernel), table));
  for (const netlink::Route& route : *left) routes->left_.insert(route.to);
  return routes;
}

Result<void> KernelRoutes::add(const Prefix& prefix, const std::string&) {
  const netlink::Route route{.to = prefix, .table = table_};
  const bool ours = left_.erase(prefix) != 0;
  if (auto set = ours ? kernel_->replace_route(route) : kernel_->add_route(route); set)
    added_.insert(prefix);
  else if (const std::string why = set.error().message; std::exchange(refusal_, why) != why)
    complain(fmt::format("table {}: {}", table_, why));
  return {};
}

Result<void> KernelRoutes::withdraw(const Prefix& prefix, const std::string&) {
  if (added_.erase(prefix) == 0) return {};
  return kernel_->remove_route({.to = prefix, .table = table_});
}

Result<void> KernelRoutes::synced(size_t count) {
  if (added_.empty() && count != 0)
    return Error{fmt::format("table {} takes no route: {}", table_, refusal_)};
  print_text(fmt::format("table {} has {} of {} routes\n", table_, added_.size(), count));
  return remove_all_but(added_);
}

Result<void> KernelRoutes::lost(const std::string& why) {
  print_text(fmt::format("table {} is empty: {}\n", table_, why));
  return release();
}

Result<void> KernelRoutes::release() {
  added_.clear();
  return remove_all_but({});
}

Result<void> KernelRoutes::remove_all_but(const std::set<Prefix>& kept) {
  left_.clear();
  const auto routes = kernel_->our_routes(table_);
  if (!routes) return routes.error();
  for (const netlink::Route& route : *routes) {
    if (kept.contains(route.to)) continue;
    if (auto removed = kernel_->remove_route(route); !removed) return removed;
  }
  return {};
}

}  // namespace jvpn
