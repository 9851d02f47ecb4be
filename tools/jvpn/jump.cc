#include "tools/jvpn/jump.h"

#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

constexpr std::chrono::milliseconds kPause{20};
constexpr std::chrono::seconds kLongest{10};

std::string end_of(const nlohmann::json& reply, const char* end) {
  return text_of(field(reply, "jump"), end);
}

/// Asks until the order's outcome is known; every answer names its order.
Result<nlohmann::json> wait_for_outcome(const std::string& socket_path, nlohmann::json reply) {
  const auto give_up = std::chrono::steady_clock::now() + kLongest;
  while (end_of(reply, "state") == "-" || end_of(reply, "state") == "pending") {
    const nlohmann::json order = field(field(reply, "jump"), "order");
    if (order.is_null()) return Error{"the answer names no order"};
    if (std::chrono::steady_clock::now() >= give_up)
      return Error{"jump: no outcome within 10 s; `jvpn show` tells where the session is"};
    std::this_thread::sleep_for(kPause);
    auto next = ask_admin_json(socket_path, {{"command", "jump"}, {"order", order}});
    if (!next) return next.error();
    reply = std::move(next).value();
  }
  return reply;
}

}  // namespace

int run_jump(const std::string& socket_path, const std::string& underlay, bool as_json) {
  auto reply = ask_admin_json(socket_path, {{"command", "jump"}, {"underlay", underlay}});
  if (reply) reply = wait_for_outcome(socket_path, std::move(reply).value());
  if (!reply) return complain(reply.error().message);
  const bool jumped = end_of(*reply, "state") == "jumped";
  if (as_json)
    std::printf("%s\n", reply->dump().c_str());
  else if (jumped)
    std::printf("jumped from %s to %s\n", end_of(*reply, "from").c_str(),
                end_of(*reply, "to").c_str());
  else
    std::fprintf(stderr, "jvpn: no jump from %s to %s: %s\n", end_of(*reply, "from").c_str(),
                 end_of(*reply, "to").c_str(), end_of(*reply, "why").c_str());
  return jumped ? 0 : 1;
}

}  // namespace jvpn
