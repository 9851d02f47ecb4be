#include "perf/jvpn_perf/net_namespace.h"

#include <cerrno>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sched.h>

#include "tools/shared/file_descriptor.h"

namespace jvpn::perf {

Result<void> in_namespace(const std::string& name, const std::function<Result<void>()>& body) {
  Result<void> done;
  std::thread([&] {
    const std::string path = "/run/netns/" + name;
    const FileDescriptor ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!ns || ::setns(ns.get(), CLONE_NEWNET) != 0)
      done = Error{path + ": " + std::strerror(errno)};
    else
      done = body();
  }).join();
  return done;
}

}  // namespace jvpn::perf
