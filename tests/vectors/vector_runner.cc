// vector_runner {aead|x25519} FILE.json: runs a file in Wycheproof's JSON format.
// Exit status: 0 all passed, 1 a case missed, 2 usage, file or format.
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "common/noise.h"
#include "tests/support/rooms.h"
#include "tests/vectors/aead_case.h"

namespace jvpn::test {
namespace {

using nlohmann::json;

enum class Expected { kValid, kInvalid, kAcceptable };
enum class Outcome { kPassed, kMissed, kSkipped };

struct Tally {
  size_t passed = 0;
  size_t total = 0;
  size_t skipped = 0;
};

struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Expected expected_of(const json& test) {
  const auto result = test.at("result").get<std::string>();
  if (result == "valid") return Expected::kValid;
  if (result == "invalid") return Expected::kInvalid;
  if (result == "acceptable") return Expected::kAcceptable;
  throw FormatError("result: expected valid, invalid or acceptable, got " + result);
}

Bytes field(const json& test, const char* name) {
  auto bytes = parse_hex(test.at(name).get<std::string>());
  if (!bytes) throw FormatError(std::string(name) + ": expected hexadecimal digits");
  return std::move(*bytes);
}

Outcome passed_if(bool good) {
  return good ? Outcome::kPassed : Outcome::kMissed;
}

/// A size that the API can't take is refused by its types.
Outcome unsupported(Expected expected) {
  return expected == Expected::kInvalid ? Outcome::kPassed : Outcome::kSkipped;
}

Suite suite_of(const std::string& algorithm, size_t key_size) {
  if (algorithm == "CHACHA20-POLY1305") return Suite::kChaCha20Poly1305;
  if (algorithm == "AES-GCM") return key_size == 16 ? Suite::kAes128Gcm : Suite::kAes256Gcm;
  throw FormatError("algorithm: expected AES-GCM or CHACHA20-POLY1305, got " + algorithm);
}

Outcome run_aead(AeadCaseRunner& runner, const std::string& algorithm, const json& test) {
  const Expected expected = expected_of(test);
  const Bytes key = field(test, "key");
  const AeadCase c{.suite = suite_of(algorithm, key.size()),
                   .key = key,
                   .nonce = field(test, "iv"),
                   .aad = field(test, "aad"),
                   .plaintext = field(test, "msg"),
                   .ciphertext = field(test, "ct"),
                   .tag = field(test, "tag")};
  if (!c.supported()) return unsupported(expected);
  const bool valid = runner.seals(c) && runner.opens(c);
  if (expected == Expected::kValid) return passed_if(valid);
  const bool refused = runner.refuses(c);
  return passed_if(refused || (expected == Expected::kAcceptable && valid));
}

Outcome run_x25519(const json& group, const json& test) {
  const Expected expected = expected_of(test);
  if (group.at("curve").get<std::string>() != "curve25519") return unsupported(expected);
  const Bytes secret = field(test, "private");
  const Bytes peer = field(test, "public");
  const Bytes shared = field(test, "shared");
  if (secret.size() != kDhBytes || peer.size() != kDhBytes) return unsupported(expected);
  PublicKey result;
  const bool derived =
      x25519(SecretKey(array_of<kDhBytes>(secret)), array_of<kDhBytes>(peer), result);
  if (expected == Expected::kInvalid) return passed_if(!derived);
  const bool exact = derived && std::ranges::equal(result, shared);
  return passed_if(exact || (expected == Expected::kAcceptable && !derived));
}

void count(Tally& tally, Outcome outcome, const json& test) {
  if (outcome == Outcome::kSkipped) {
    ++tally.skipped;
    return;
  }
  ++tally.total;
  if (outcome == Outcome::kPassed) {
    ++tally.passed;
    return;
  }
  std::printf("tcId %s: missed, expected %s\n", test.value("tcId", json()).dump().c_str(),
              test.at("result").get<std::string>().c_str());
}

template <typename RunCase>
Tally run_tests(const json& file, RunCase run_case) {
  Tally tally;
  for (const json& group : file.at("testGroups"))
    for (const json& test : group.at("tests")) count(tally, run_case(group, test), test);
  return tally;
}

Tally run_file(const std::string& kind, const json& file) {
  if (kind == "x25519") return run_tests(file, run_x25519);
  auto aead = Aead::create();
  if (!aead) throw std::runtime_error(aead.error().message);
  AeadCaseRunner runner(*aead);
  const auto algorithm = file.at("algorithm").get<std::string>();
  return run_tests(
      file, [&](const json&, const json& test) { return run_aead(runner, algorithm, test); });
}

int report(const Tally& tally, const char* path) {
  if (tally.skipped > 0) std::printf("skipped %zu (unsupported parameter sizes)\n", tally.skipped);
  if (tally.total == 0) std::fprintf(stderr, "%s: no case that could be run\n", path);
  std::printf("passed %zu of %zu\n", tally.passed, tally.total);
  if (tally.total == 0) return 2;
  return tally.passed == tally.total ? 0 : 1;
}

int run(const std::string& kind, const char* path) {
  std::ifstream stream(path);
  if (!stream) {
    std::fprintf(stderr, "%s: can't be read\n", path);
    return 2;
  }
  try {
    return report(run_file(kind, json::parse(stream)), path);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: not a file in Wycheproof's format: %s\n", path, error.what());
    return 2;
  }
}

}  // namespace
}  // namespace jvpn::test

int main(int argc, char** argv) {
  const std::string kind = argc == 3 ? argv[1] : "";
  if (kind != "aead" && kind != "x25519") {
    std::fprintf(stderr, "usage: vector_runner {aead|x25519} FILE.json\n");
    return 2;
  }
  return jvpn::test::run(kind, argv[2]);
}
