#include "tools/client/control/interface_name.h"

#include <optional>

#include <net/if.h>

#include "common/yaml_reader.h"
#include "control/admin/profile_file.h"

namespace jvpn::client::control {
namespace {

std::optional<YamlValue> take_key(const std::optional<YamlValue>& map, const char* key,
                                  Findings& unseen) {
  if (!map || !map->node.IsMap()) return std::nullopt;
  return YamlMap(*map, unseen).take(key, Need::kOptional, "");
}

}  // namespace

Result<void> check_interface_name(const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ) return {};
  return Error{"interface name: expected 1 to 15 characters, got " + std::to_string(name.size())};
}

Result<std::string> read_interface_name(const std::string& profile_path) {
  const auto text = admin::read_text_file(profile_path);
  if (!text) return text.error();
  Findings unseen(profile_path);
  const auto root = load_yaml(*text, unseen);
  const auto name = take_key(take_key(root, "interface", unseen), "name", unseen);
  if (!name || !name->node.IsScalar())
    return Error{profile_path + ": expected interface.name, got nothing; name it by --interface"};
  std::string value = name->node.Scalar();
  if (const auto checked = check_interface_name(value); !checked) return checked.error();
  return value;
}

}  // namespace jvpn::client::control
