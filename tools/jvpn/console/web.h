// The HTTP server of `jvpn metrics`: what Prometheus reads, and the console. Read-only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tools/jvpn/console/console.h"

namespace jvpn::console {

class Web {
 public:
  /// What stands at /metrics; on any thread.
  using Metrics = std::function<std::string()>;

  /// Listens at `listen`, ADDRESS:PORT. `console` outlives it. Throws what says why it can't.
  Web(const std::string& listen, Metrics metrics, Console& console);
  /// After Console::stop(), which ends its viewers' streams.
  ~Web();
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

/// A browser that was led here under a foreign name (DNS rebinding) would hand the answer to that
/// name's page: only addresses and `localhost` are taken. `host` is the header's value.
bool is_own_name(std::string_view host);

}  // namespace jvpn::console
