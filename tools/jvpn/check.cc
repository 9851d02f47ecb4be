#include "tools/jvpn/check.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "control/admin/profile_file.h"
#include "tools/jvpn/output.h"
#include "tools/shared/cluster_files.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

/// The role of a sound profile, and its node.
struct Checked {
  const char* role;
  std::string node;
  std::string warning{};
};

Result<Checked> check(const std::string& path) {
  const auto text = admin::read_text_file(path);
  if (!text) return text.error();
  const auto role = profile_role(*text, path);
  if (!role) return role.error();
  if (*role == ProfileRole::kClient) {
    const auto loaded = admin::load_client(path);
    if (!loaded) return loaded.error();
    return Checked{"client", loaded->profile.node};
  }
  const auto loaded = admin::load_gateway(path);
  if (!loaded) return loaded.error();
  if (const auto reaches = check_cluster(*loaded); !reaches) return reaches.error();
  return Checked{"gateway", loaded->profile.node, admin::warning(loaded->profile)};
}

}  // namespace

int run_check(const std::string& path, bool as_json) {
  const auto checked = check(path);
  if (as_json) {
    nlohmann::json result{{"sound", checked.ok()}};
    if (checked)
      result.update({{"role", checked->role},
                     {"node", checked->node},
                     {"warning", checked->warning.empty() ? nlohmann::json()
                                                          : nlohmann::json(checked->warning)}});
    else
      result["findings"] = printable_lines(checked.error().message);
    if (const int printed = print_text(result.dump() + '\n'); printed != 0) return printed;
  } else if (checked) {
    print_text(fmt::format("{}: sound, {} {}\n", path, checked->role, checked->node));
    if (!checked->warning.empty())
      std::fprintf(stderr, "%s: warning: %s\n", path.c_str(), checked->warning.c_str());
  } else {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
  }
  return checked ? 0 : kBadProfile;
}

}  // namespace jvpn
