// Good profiles, mutated at random: whatever comes out is parsed or refused, never worse. Replay a
// failure by JVPN_SEED=<seed>; JVPN_RUNS says how many mutants (default 3000).
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/profile.h"
#include "tests/support/rooms.h"
#include "tests/unit/profile_checks.h"
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

template <typename Profile>
void fuzz(std::string_view good, Result<Profile> (*parse)(std::string_view, std::string_view)) {
  const uint64_t seed = from_environment("JVPN_SEED", std::random_device{}());
  const uint64_t runs = from_environment("JVPN_RUNS", 3'000);
  std::printf("replay by JVPN_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);  // it must be out before a crash
  Mutator mutator(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    const std::string text = mutator.mutate(std::string(good));
    test::expect_parsed_or_refused(parse, text);
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
    test::expect_parsed_or_refused(parse_gateway_profile, test::kGoodGateway.substr(0, length));
  }
}

TEST(ProfileFuzz, DeepNestingAndRepetition) {
  for (const char* unit :
       {"[", "{", "- ", "? ", "a: {", "&a [", "!!map ", "'", "\"", "|\n", "- - "}) {
    std::string text = "role: gateway\nnode: ";
    for (int i = 0; i < 2'000; ++i) text += unit;
    test::expect_parsed_or_refused(parse_gateway_profile, text);
  }
  test::expect_parsed_or_refused(parse_gateway_profile, "role: gateway\npeers: &p [*p, *p]\n");
  test::expect_parsed_or_refused(parse_gateway_profile,
                                 "&r\nrole: gateway\npolicy: *r\nnode: *r\n");
}

}  // namespace
}  // namespace jvpn
