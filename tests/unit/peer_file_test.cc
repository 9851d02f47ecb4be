// A peer's own file: the plain reader and yaml-cpp find the same, and what is wrong has its place.
#include "common/peer_file.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/random.h"
#include "tests/support/seed.h"

namespace jvpn {
namespace {

constexpr std::string_view kBobKey = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

/// The same text as YAML alone reads it: a remark behind blanks isn't plain.
Result<PeerFile> by_yaml(const std::string& text) {
  const std::string more = text + (text.ends_with('\n') ? "" : "\n") + "  # remark\n";
  EXPECT_FALSE(read_plain_peer(more, "bob"));
  return parse_peer_file(more, "bob.yaml", "bob");
}

bool same(const PeerFile& a, const PeerFile& b) {
  const auto same_place = [](Place x, Place y) { return x.line == y.line && x.column == y.column; };
  bool places = same_place(a.key, b.key) && a.prefixes.size() == b.prefixes.size();
  for (size_t i = 0; places && i < a.prefixes.size(); ++i)
    places = same_place(a.prefixes[i], b.prefixes[i]);
  const auto& file_a = a.peer.preshared_key_file;
  const auto& file_b = b.peer.preshared_key_file;
  return places && a.peer == b.peer &&
         (!file_a || (file_a->key == file_b->key && same_place(file_a->place, file_b->place)));
}

/// Texts that are near to being a peer, some of them one.
std::string random_text(test::Random& random) {
  const std::vector<std::string> words{std::string(kBobKey),
                                       "\"" + std::string(kBobKey) + "\"",
                                       "10.77.0.2/32",
                                       "\"fd77::2/128\"",
                                       "fd77::2/128",
                                       "10.77.0.2/16",
                                       "bob.psk",
                                       "keys/bob.psk",
                                       "true",
                                       "false",
                                       "\"true\"",
                                       "null",
                                       "~",
                                       "[]",
                                       "- x",
                                       "",
                                       "'a'",
                                       "/a+b",
                                       "+/AAAA",
                                       "1.5",
                                       "a b",
                                       "a:b",
                                       "a: b",
                                       "a#b",
                                       "\"a:b\"",
                                       "\"a\\n\"",
                                       "&a",
                                       "*a",
                                       "!x",
                                       "-x",
                                       "=",
                                       "\"\"",
                                       "[10.77.0.2/32",
                                       "10.77.0.3/32]",
                                       "NULL",
                                       "0.0.0.0/0",
                                       "\"::/0\"",
                                       std::string(kBobKey.substr(0, 43))};
  const auto word = [&] { return words[random.below(words.size())]; };
  const auto mostly = [&](std::string usual) { return random.chance(0.85) ? usual : word(); };
  const auto blank = [&] { return std::string(random.below(6) == 0 ? "  " : ""); };
  std::string text;
  for (uint64_t line = 0; line < 2 + random.below(4); ++line) {
    if (random.chance(0.1)) text += random.chance(0.5) ? "# remark\n" : "\n";
    switch (line < 2 ? line : random.below(5)) {
      case 0:
        text += "public_key: " + blank() + mostly(std::string(kBobKey));
        break;
      case 1:
        text += "allowed_ips: [" + blank() + mostly("10.77.0.2/32") + blank() + "," + blank() +
                mostly("\"fd77::2/128\"") + "]";
        break;
      case 2:
        text += "preshared_key_file: " + mostly("bob.psk");
        break;
      case 3:
        text += "enabled: " + mostly("false");
        break;
      default:
        text += mostly("endpoints: [\"192.0.2.1:51900\"]");
    }
    text += random.chance(0.1) ? " # remark\n" : random.chance(0.02) ? "\r\n" : "\n";
  }
  if (random.chance(0.2)) text.pop_back();
  return text;
}

TEST(PeerFile, PlainTextIsReadAsYamlReadsIt) {
  const uint64_t seed = test::run_seed();
  test::Random random(seed);
  size_t plain_ones = 0;
  for (int round = 0; round < test::rounds(20'000); ++round) {
    const std::string text = random_text(random);
    const auto plain = read_plain_peer(text, "bob");
    if (!plain) continue;
    ++plain_ones;
    const auto yaml = by_yaml(text);
    ASSERT_TRUE(yaml) << text << yaml.error().message;
    ASSERT_TRUE(same(*plain, *yaml)) << text;
  }
  EXPECT_GT(plain_ones, 1'000U) << "else nothing was compared";
}

TEST(PeerFile, WhatIsWrittenIsReadPlainly) {
  PeerProfile peer;
  peer.name = "bob";
  peer.enrolled = true;
  peer.public_key = *key_from_base64(kBobKey);
  peer.allowed_ips = {*Prefix::parse("10.77.0.2/32"), *Prefix::parse("fd77::2/128")};
  for (const bool disabled : {false, true}) {
    peer.disabled = disabled;
    const auto read = read_plain_peer(peer_file_text(peer), "bob");
    ASSERT_TRUE(read) << peer_file_text(peer);
    EXPECT_EQ(read->peer, peer);
    peer.preshared_key_file = FileReference{"bob.psk", "preshared_key_file", {}};
  }
  peer.endpoints = {*Endpoint::parse("[2001:db8::9]:51900")};
  const auto dialled = parse_peer_file(peer_file_text(peer), "bob.yaml", "bob");
  ASSERT_TRUE(dialled) << dialled.error().message;
  EXPECT_EQ(dialled->peer, peer);
}

TEST(PeerFile, WhatIsWrongIsToldByItsPlace) {
  const std::string key = "public_key: " + std::string(kBobKey) + "\n";
  const std::string allowed = "allowed_ips: [10.77.0.2/32]\n";
  struct Case {
    std::string text;
    std::string finding;
  };
  for (const Case& each : std::vector<Case>{
           {key,
            "1:1: allowed_ips: expected a list of 1 to 1024 items, each a network with its "
            "host bits zero such as 10.0.0.0/8, got nothing"},
           {key + "allowed_ips: [10.77.0.2/16]\n",
            "2:15: allowed_ips[0]: expected a network with its host bits zero such as 10.0.0.0/8, "
            "got 10.77.0.2/16"},
           {"name: bob\n" + key + allowed,
            "1:1: name: expected no name, as the file's name is the peer's, got one"},
           {key + allowed + "enabled: no\n", "3:10: enabled: expected true or false, got no"},
           {key + allowed + "enabld: false\n",
            "3:1: enabld: expected one of public_key, preshared_key_file, allowed_ips, endpoints, "
            "cluster, enabled, got enabld (did you mean enabled?)"},
           {key + key + allowed,
            "2:1: public_key: expected each key once, got it again (first at line 1)"},
           {key + allowed + "preshared_key_file: " + std::string(kBobKey) + "\n",
            "3:21: preshared_key_file: expected the path of a file that holds the key, got "
            "something else (not shown, it may be a secret)"},
           {"", "1:1: profile: expected a map, got nothing"}}) {
    const auto read = parse_peer_file(each.text, "bob.yaml", "bob");
    ASSERT_FALSE(read) << each.text;
    EXPECT_EQ(read.error().message, "bob.yaml:" + each.finding);
  }
}

TEST(PeerFile, NamesAreSafeForFilesAndCommandLines) {
  for (const char* good : {"bob", "b", "Bob_2.laptop-x", "0", "_x"})
    EXPECT_TRUE(is_peer_file_name(good)) << good;
  for (const std::string& bad : std::vector<std::string>{
           "", ".", "..", ".bob", "-bob", "a/b", "../x", "a b", "a\n", "ä", std::string(64, 'a')})
    EXPECT_FALSE(is_peer_file_name(bad)) << bad;
  EXPECT_TRUE(is_peer_file_name(std::string(63, 'a')));
}

}  // namespace
}  // namespace jvpn
