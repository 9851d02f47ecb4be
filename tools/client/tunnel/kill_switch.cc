#include "tools/client/tunnel/kill_switch.h"

#include <chrono>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/files/whole_file.h"
#include "tools/shared/run_command.h"

namespace jvpn::client::tunnel {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr const char* kFolder = "/run/jvpn";
constexpr mode_t kAllMayRead = 0644;

std::string mark_file(const std::string& interface) {
  return fmt::format("{}/closed.{}", kFolder, interface);
}

}  // namespace

std::string kill_switch_rules(const std::string& interface, uint32_t mark) {
  // Made first, so that there is one to delete.
  return fmt::format(
      "table inet jvpn-{0}\n"
      "delete table inet jvpn-{0}\n"
      "table inet jvpn-{0} {{\n"
      "  chain out {{\n"
      "    type filter hook output priority 100; policy drop;\n"
      "    oifname {{ \"lo\", \"{0}\" }} accept\n"
      "    meta mark {1} accept\n"
      "    udp sport 68 udp dport 67 accept\n"
      "    udp sport 546 udp dport 547 accept\n"
      "    icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, "
      "mld-listener-report, mld2-listener-report }} accept\n"
      "    reject with icmpx type admin-prohibited\n"
      "  }}\n"
      "  chain forwarded {{\n"
      "    type filter hook forward priority 100; policy drop;\n"
      "    oifname \"{0}\" accept\n"
      "    iifname \"{0}\" accept\n"
      "    reject with icmpx type admin-prohibited\n"
      "  }}\n"
      "}}\n",
      interface, mark);
}

Result<void> set_kill_switch(const std::string& interface, uint32_t mark) {
  (void)mkdir(kFolder, 0755);
  if (auto marked =
          files::write_whole(mark_file(interface), "nft\n", kAllMayRead, files::Existing::kReplace);
      !marked)
    return marked;
  const auto done =
      run_command({{"nft", "-f", "-"}, kill_switch_rules(interface, mark)}, kPatience);
  if (done) return {};
  return Error{"kill_switch: " + done.error().message +
               " (it takes the package nftables, and a kernel with it)"};
}

Result<bool> remove_kill_switch(const std::string& interface) {
  if (access(mark_file(interface).c_str(), F_OK) != 0) return false;
  const auto done =
      run_command({{"nft", "-f", "-"},
                   fmt::format("table inet jvpn-{0}\ndelete table inet jvpn-{0}\n", interface)},
                  kPatience);
  if (!done) return Error{"kill_switch: it isn't taken away: " + done.error().message};
  (void)files::remove_file(mark_file(interface));
  return true;
}

}  // namespace jvpn::client::tunnel
