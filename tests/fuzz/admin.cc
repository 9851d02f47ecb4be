// Bytes that arrive at the operator's socket of a running gateway, in pieces, and clients that
// leave early. Every answer is whole lines of JSON, and nobody holds the socket up.
#include <string>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tests/fuzz/dpdk.h"
#include "tests/fuzz/fuzz.h"
#include "tests/matrix/gateway_node.h"
#include "tests/support/unix_client.h"

namespace jvpn::fuzz {
namespace {

class Operator {
 public:
  void ask(Draw& draw) {
    const int client = test::dial(gateway_.admin_socket());
    for (int piece = 0; piece < 4 && !draw.empty(); ++piece) {
      const auto bytes = draw.take(draw.flip() ? draw.number() : SIZE_MAX);
      if (send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) break;
      turn();
    }
    shutdown(client, SHUT_WR);
    turn();
    check(answer_to(client));
    close(client);
    turn();
  }

 private:
  void turn() {
    clock_.advance(Millis{5});
    gateway_.turn();
  }
  static std::string answer_to(int client) {
    std::string answer;
    std::array<char, 4'096> buffer;
    for (ssize_t got = 1; got > 0;) {
      got = recv(client, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) answer.append(buffer.data(), static_cast<size_t>(got));
    }
    return answer;
  }
  static void check(const std::string& answer) {
    size_t begin = 0;
    for (size_t end = answer.find('\n'); end != std::string::npos; end = answer.find('\n', begin)) {
      const auto line = nlohmann::json::parse(answer.substr(begin, end - begin), nullptr, false);
      EXPECT_FALSE(line.is_discarded()) << answer;
      begin = end + 1;
    }
  }
  static test::GatewaySpec spec() {
    test::GatewaySpec made;
    made.private_key.bytes().fill(1);
    SecretKey key;
    key.bytes().fill(3);
    made.peers = {{"laptop", public_key_of(key), {}, {}}};
    return made;
  }

  test::VirtualClock clock_{Millis{10'000'000}};
  test::GatewayNode gateway_{clock_, spec()};
};

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jvpn::fuzz::need_dpdk();
  static jvpn::fuzz::Operator someone;
  jvpn::fuzz::Draw draw(data, size);
  someone.ask(draw);
  return 0;
}
