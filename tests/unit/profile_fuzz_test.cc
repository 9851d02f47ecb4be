// Good profiles, mutated at random: whatever comes out is parsed or refused, never worse. Replay a
// failure by JVPN_SEED=<seed>; JVPN_RUNS says how many mutants (default 3000).
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/profile.h"
#include "tests/support/rooms.h"
#include "tests/unit/profile_texts.h"

namespace jvpn {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

/// One mutant of a text; the same for the same generator state on every machine.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string mutate(std::string text) {
    for (size_t rounds = 1 + below(4); rounds > 0; --rounds) once(text);
    return text;
  }

 private:
  size_t below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void once(std::string& text) {
    const size_t at = below(text.size());
    const size_t length = below(std::min<size_t>(text.size() - at, 40) + 1);
    switch (below(7)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(below(text.size()), text.substr(at, length));
        break;
      case 3:
        text.insert(at, token());
        break;
      case 4:
        text.replace(at, length, token());
        break;
      case 5:
        move_line(text, at);
        break;
      default:
        if (!text.empty()) text[at] = static_cast<char>(below(256));
    }
  }

  /// Takes the line at `at` to another place: maps change their parents.
  void move_line(std::string& text, size_t at) {
    const size_t start = text.rfind('\n', at) + 1;  // npos + 1 is 0
    const size_t end = std::min(text.find('\n', start), text.size() - 1);
    if (start > end) return;
    const std::string line = text.substr(start, end - start + 1);
    text.erase(start, line.size());
    const size_t to = text.empty() ? std::string::npos : text.rfind('\n', below(text.size()));
    text.insert(to + 1, line);
  }

  std::string_view token() {
    static constexpr std::string_view tokens[] = {": ",
                                                  ":",
                                                  "- ",
                                                  "? ",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ",",
                                                  "&a ",
                                                  "*a",
                                                  "!!int ",
                                                  "!",
                                                  "| ",
                                                  "> ",
                                                  "'",
                                                  "\"",
                                                  "#",
                                                  "%YAML",
                                                  "---\n",
                                                  "...",
                                                  "\n",
                                                  "\t",
                                                  "  ",
                                                  "~",
                                                  "null",
                                                  "true",
                                                  "-1",
                                                  "0",
                                                  "1e999",
                                                  ".nan",
                                                  "99999999999999999999",
                                                  "0x10",
                                                  "\\x",
                                                  "\xef\xbb\xbf",
                                                  "\xff",
                                                  "<<: ",
                                                  "10.0.0.1/8",
                                                  "::/0",
                                                  "role: client\n",
                                                  "@",
                                                  "`",
                                                  std::string_view("\0", 1)};
    return tokens[below(std::size(tokens))];
  }

  std::mt19937_64 random_;
};

/// Takes `<number from 1>:` off the front.
bool take_number(std::string_view& line) {
  const size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  const bool valid = digits > 0 && line[0] != '0' && line.substr(digits).starts_with(':');
  line.remove_prefix(std::min(digits + 1, line.size()));
  return valid;
}

/// `p:line:column: key: expected … got …`, the form that the operator's tools rely on.
bool is_finding(std::string_view line) {
  if (!line.starts_with("p:")) return false;
  line.remove_prefix(2);
  const bool has_line = take_number(line);
  const bool has_column = take_number(line);
  const size_t expected = line.find(": expected ");
  return has_line && has_column && line.starts_with(' ') && expected > 1 &&
         expected != std::string_view::npos &&
         line.find(" got ", expected) != std::string_view::npos;
}

void expect_findings(const std::string& message) {
  ASSERT_FALSE(message.empty());
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(is_finding(line)) << line;
}

void expect_sound(const GatewayProfile& p) {
  EXPECT_FALSE(p.node.empty());
  EXPECT_FALSE(p.cores.workers.empty());
  EXPECT_GE(p.ports.size(), 2u);
  for (const PortProfile& port : p.ports) {
    EXPECT_NE(port.pci.empty(), port.vdev.empty());
    EXPECT_FALSE(port.addresses.empty());
  }
  EXPECT_LE(p.peers.size(), p.limits.sessions);
  EXPECT_FALSE(p.crypto.suites.empty());
  EXPECT_FALSE(p.crypto.private_key_file.path.empty());
  EXPECT_LT(p.policy.volatility.heartbeat_volatile, p.policy.volatility.transport_dead);
}

void expect_sound(const ClientProfile& p) {
  EXPECT_FALSE(p.underlays.empty());
  EXPECT_FALSE(p.gateway.endpoints.empty());
  EXPECT_FALSE(p.gateway.allowed_ips.empty());
  EXPECT_NE(p.gateway.public_key, PublicKey{});
}

template <typename Profile>
void expect_parsed_or_refused(Result<Profile> (*parse)(std::string_view, std::string_view),
                              std::string_view text) {
  const auto first = parse(text, "p");
  if (first) {
    expect_sound(*first);
    return;
  }
  expect_findings(first.error().message);
  const auto again = parse(text, "p");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, first.error().message);
}

template <typename Profile>
void fuzz(std::string_view good, Result<Profile> (*parse)(std::string_view, std::string_view)) {
  const uint64_t seed = from_environment("JVPN_SEED", std::random_device{}());
  const uint64_t runs = from_environment("JVPN_RUNS", 3'000);
  std::printf("replay by JVPN_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);  // it must be out before a crash
  Mutator mutator(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    const std::string text = mutator.mutate(std::string(good));
    expect_parsed_or_refused(parse, text);
    if (testing::Test::HasFailure()) {
      FAIL() << "JVPN_SEED=" << seed << ", mutant " << run << ":\n" << text;
    }
  }
}

TEST(ProfileFuzz, MutatedGateways) {
  fuzz(test::kGoodGateway, parse_gateway_profile);
}
TEST(ProfileFuzz, MutatedClients) {
  fuzz(test::kGoodClient, parse_client_profile);
}

TEST(ProfileFuzz, EveryTruncation) {
  for (size_t length = 0; length <= test::kGoodGateway.size(); ++length) {
    expect_parsed_or_refused(parse_gateway_profile, test::kGoodGateway.substr(0, length));
  }
}

TEST(ProfileFuzz, DeepNestingAndRepetition) {
  for (const char* unit :
       {"[", "{", "- ", "? ", "a: {", "&a [", "!!map ", "'", "\"", "|\n", "- - "}) {
    std::string text = "role: gateway\nnode: ";
    for (int i = 0; i < 2'000; ++i) text += unit;
    expect_parsed_or_refused(parse_gateway_profile, text);
  }
  expect_parsed_or_refused(parse_gateway_profile, "role: gateway\npeers: &p [*p, *p]\n");
  expect_parsed_or_refused(parse_gateway_profile, "&r\nrole: gateway\npolicy: *r\nnode: *r\n");
}

}  // namespace
}  // namespace jvpn
