#include "tools/jvpn/jump.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

std::string end_of(const nlohmann::json& reply, const char* end) {
  const nlohmann::json jump = reply.value("jump", nlohmann::json::object());
  const auto text = jump.is_object() ? jump.find(end) : jump.end();
  return text != jump.end() && text->is_string() ? printable(text->get_ref<const std::string&>())
                                                 : "-";
}

}  // namespace

int run_jump(const std::string& socket_path, const std::string& underlay, bool as_json) {
  const nlohmann::json request{{"command", "jump"}, {"underlay", underlay}};
  const auto reply = ask_admin_json(socket_path, request);
  if (!reply) {
    std::fprintf(stderr, "jvpn: %s\n", reply.error().message.c_str());
    return 1;
  }
  if (as_json)
    std::printf("%s\n", reply->dump().c_str());
  else
    std::printf("jumping from %s to %s\n", end_of(*reply, "from").c_str(),
                end_of(*reply, "to").c_str());
  return 0;
}

}  // namespace jvpn
