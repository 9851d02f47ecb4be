// The HTTP server of `jvpn metrics`: what Prometheus reads, and the console. Read-only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/jvpn/console/console.h"

namespace jvpn::console {

class Web {
 public:
  /// What stands at /metrics; on any thread.
  using Metrics = std::function<std::string()>;

  /// Listens at `listen`, ADDRESS:PORT; answers under an address, `localhost` and `names`.
  /// `console` outlives it. Throws what says why it can't.
  Web(const std::string& listen, std::vector<std::string> names, Metrics metrics, Console& console);
  /// After Console::stop(), which ends its viewers' streams.
  ~Web();
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

/// A browser that was led here under a foreign name (DNS rebinding) would hand the answer to that
/// name's page: only addresses, `localhost` and `names` are taken, whatever their case. `host` is
/// the header's value.
bool is_own_name(std::string_view host, std::span<const std::string> names = {});

/// Has the page been here, and does it ask itself? Browsers give its cookie to no page from
/// elsewhere, and let none set it. `cookies` is the header's value.
bool has_page_cookie(std::string_view cookies);

}  // namespace jvpn::console
