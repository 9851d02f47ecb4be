// A long recorded life of two engines: handshakes, jumps, rekeys, reloads and faults from fixed
// seeds. The recording holds digests of all that both engines said, slice by slice: datagrams,
// installs and events, byte for byte and in order. What they are told follows from what they said,
// so a digest that holds vouches for the inputs, too.
//
// A change of behaviour that is meant is recorded anew: JVPN_RECORD=1 control_tests
//   --gtest_filter='EngineRecording.*', then the file goes into the commit with the reason.
#include <cstdio>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tests/support/engine_storm.h"
#include "tests/support/rooms.h"

namespace jvpn {
namespace {

using namespace test;

constexpr uint64_t kFirstSeed = 20'261'128;
constexpr int kChapters = 150;
constexpr int kTurns = 100;  // of a chapter
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kPlayed = 9;  // unoptimised, and slowed down further
#else
constexpr int kPlayed = kChapters;
#endif

class Digest {
 public:
  Digest() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string hex() {
    std::array<unsigned char, 32> sum{};
    EVP_DigestFinal_ex(context_.get(), sum.data(), nullptr);
    std::string text;
    char pair[3];
    for (const unsigned char byte : sum) {
      std::snprintf(pair, sizeof pair, "%02x", byte);
      text += pair;
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   &EVP_MD_CTX_free};
};

struct Chapter {
  uint64_t inputs = 0;
  uint64_t words = 0;
  std::string digest;
  bool operator==(const Chapter&) const = default;
};

/// What the whole recording has seen, to show that it is worth something.
struct Seen {
  std::map<unsigned, uint64_t> control_types;
  std::map<unsigned, uint64_t> message_types;
  std::map<std::string, uint64_t> rows;
  uint64_t inputs = 0;
};

Chapter play(uint64_t seed, Seen& seen) {
  Storm storm(seed);
  Digest digest;
  Chapter chapter;
  const auto listen = [&](size_t node, const char* what, std::string_view words) {
    ++chapter.words;
    digest.add(std::to_string(node) + " " + std::to_string(storm.world.now.value) + " ");
    digest.add(what);
    digest.add(words);
    digest.add("\n");
  };
  for (const size_t node : {size_t{0}, size_t{1}}) storm.world.node(node).on_word = listen;
  for (int turn = 0; turn < kTurns; ++turn) {
    storm.go_on();
    for (const Datagram& datagram : storm.world.sent) {
      ++seen.message_types[static_cast<unsigned>(datagram.type())];
    }
    storm.world.sent.clear();
  }
  for (const size_t node : {size_t{0}, size_t{1}}) {
    for (const std::string& row : storm.world.node(node).changes()) ++seen.rows[row];
  }
  for (const auto& [type, count] : storm.world.control_types) seen.control_types[type] += count;
  chapter.inputs = storm.inputs();
  chapter.digest = digest.hex();
  seen.inputs += chapter.inputs;
  return chapter;
}

std::string recording_path() {
  return std::string(std::getenv("JVPN_SOURCE_ROOT")) + "/tests/unit/engine_recording.txt";
}

std::vector<Chapter> read_recording() {
  std::ifstream file(recording_path());
  std::vector<Chapter> chapters;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    Chapter chapter;
    words >> chapter.inputs >> chapter.words >> chapter.digest;
    chapters.push_back(chapter);
  }
  return chapters;
}

void write_recording(const std::vector<Chapter>& chapters, const Seen& seen) {
  std::ofstream file(recording_path());
  file << "# What two engines said in " << kChapters << " chapters from seed " << kFirstSeed
       << " on; " << seen.inputs << " inputs. Made by engine_recording_test.cc.\n"
       << "# Rows of the state machine, how often:\n";
  for (const auto& [row, count] : seen.rows) file << "#   " << row << ": " << count << "\n";
  file << "# Control messages delivered, by type:";
  for (const auto& [type, count] : seen.control_types) file << " " << type << ":" << count;
  file << "\n# inputs, words, SHA-256 of the words\n";
  for (const Chapter& each : chapters) {
    file << each.inputs << " " << each.words << " " << each.digest << "\n";
  }
}

TEST(EngineRecording, EveryWordIsAsItWas) {
  ASSERT_NE(std::getenv("JVPN_SOURCE_ROOT"), nullptr) << "set it to the repository's root";
  const bool record = std::getenv("JVPN_RECORD") != nullptr;
  const std::vector<Chapter> recorded = read_recording();
  if (!record) {
    ASSERT_EQ(recorded.size(), size_t{kChapters});
  }
  Seen seen;
  std::vector<Chapter> chapters;
  for (int i = 0; i < (record ? kChapters : kPlayed); ++i) {
    chapters.push_back(play(kFirstSeed + static_cast<uint64_t>(i), seen));
    if (record) continue;
    const Chapter& before = recorded[static_cast<size_t>(i)];
    ASSERT_EQ(chapters.back().digest, before.digest)
        << "chapter " << i << ": " << chapters.back().inputs << " inputs and "
        << chapters.back().words << " words; recorded: " << before.inputs << ", " << before.words;
  }
  if (record) write_recording(chapters, seen);
  std::printf("%lu inputs\n", static_cast<unsigned long>(seen.inputs));
  if (kPlayed != kChapters) return;
  EXPECT_GE(seen.inputs, 1'000'000U);
  for (unsigned type = 1; type <= static_cast<unsigned>(wire::ControlType::kTerminate); ++type) {
    EXPECT_GT(seen.control_types[type], 0U) << "no control message of type " << type;
  }
  for (unsigned type = 1; type <= static_cast<unsigned>(wire::MessageType::kControl); ++type) {
    EXPECT_GT(seen.message_types[type], 0U) << "no message of type " << type;
  }
}

}  // namespace
}  // namespace jvpn
