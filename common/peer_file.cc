// The usual text of a peer's file is read line by line: yaml-cpp takes 0.1 ms for a peer, so it
// would take ten seconds for 100 000 of them. Whatever isn't plain and right is left to yaml-cpp,
// which finds the same in plain text (tests compare the two) and says what is wrong with the rest.
#include "common/peer_file.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "common/profile_parts.h"
#include "common/yaml_reader.h"

namespace jvpn {
namespace {

constexpr size_t kMaxPrefixes = 1'024;
constexpr std::string_view kListKeys[] = {"allowed_ips"};

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

struct Word {
  std::string_view text;
  Place place;
  bool quoted = false;
};

/// The words behind one line's key: one, or those of a list in brackets.
class PlainLine {
 public:
  PlainLine(std::string_view line, uint32_t number) : line_(line), number_(number) {}

  /// `key: `; empty: there is none.
  std::string_view key() {
    while (at_ < line_.size() && (is_alphanumeric(line_[at_]) || line_[at_] == '_')) ++at_;
    const std::string_view key = line_.substr(0, at_);
    if (!line_.substr(at_).starts_with(": ")) return {};
    at_ += 2;
    skip_blanks();
    return key;
  }
  /// True, and adds words: nothing but them and a comment is left of the line.
  bool words(bool list, std::vector<Word>& words) {
    if (!list) return word(false, words) && at_end();
    if (!take('[')) return false;
    do {
      skip_blanks();
      if (!word(true, words)) return false;
      skip_blanks();
    } while (take(','));
    return take(']') && at_end();
  }

 private:
  char here() const { return at_ < line_.size() ? line_[at_] : '\0'; }
  bool take(char c) {
    if (here() != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (here() == ' ') ++at_;
  }
  bool at_end() {
    const size_t before = at_;
    skip_blanks();
    return at_ == line_.size() || (at_ > before && here() == '#');
  }
  /// Characters that mean themselves in every place of YAML; a colon does so in quotes alone.
  bool word(bool in_list, std::vector<Word>& words) {
    const Place place{number_, static_cast<uint32_t>(at_ + 1)};
    const bool quoted = take('"');
    const size_t first = at_;
    const auto plain = [&](char c) {
      return is_alphanumeric(c) || c == '/' || c == '+' || c == '.' || c == '_' || c == '-' ||
             c == '=' || (quoted && c == ':');
    };
    if (!quoted && !is_alphanumeric(here()) && (in_list || (here() != '/' && here() != '+')))
      return false;
    while (plain(here())) ++at_;
    if (at_ == first) return false;
    words.push_back({line_.substr(first, at_ - first), place, quoted});
    return !quoted || take('"');
  }

  std::string_view line_;
  uint32_t number_;
  size_t at_ = 0;
};

class PlainPeer {
 public:
  explicit PlainPeer(std::string_view name) {
    file_.peer.name = name;
    file_.peer.enrolled = true;
  }

  bool take(std::string_view key, const std::vector<Word>& words) {
    if (key == "public_key") return take_key(words[0]);
    if (key == "preshared_key_file") return take_preshared(words[0]);
    if (key == "allowed_ips") return take_prefixes(words);
    if (key == "enabled") return take_enabled(words[0]);
    return false;
  }
  std::optional<PeerFile> finish() && {
    if (!keyed_ || file_.peer.allowed_ips.empty()) return std::nullopt;
    return std::move(file_);
  }

 private:
  bool take_key(const Word& word) {
    const auto key = key_from_base64(word.text);
    if (!key || *key == PublicKey{} || std::exchange(keyed_, true)) return false;
    file_.peer.public_key = *key;
    file_.key = word.place;
    return true;
  }
  bool take_preshared(const Word& word) {
    // A key in the place of its path is YAML's to refuse, as is what only looks like one.
    if (word.text.size() >= 43 || file_.peer.preshared_key_file) return false;
    if (!word.quoted && (word.text == "null" || word.text == "Null" || word.text == "NULL"))
      return false;
    file_.peer.preshared_key_file = {std::string(word.text), "preshared_key_file", word.place};
    return true;
  }
  bool take_prefixes(const std::vector<Word>& words) {
    if (words.size() > kMaxPrefixes || !file_.peer.allowed_ips.empty()) return false;
    for (const Word& word : words) {
      const auto prefix = Prefix::parse(word.text);
      if (!prefix || *prefix != prefix->network()) return false;
      file_.peer.allowed_ips.push_back(*prefix);
      file_.prefixes.push_back(word.place);
    }
    return true;
  }
  bool take_enabled(const Word& word) {
    if (std::exchange(switched_, true) || word.quoted) return false;
    file_.peer.disabled = word.text == "false";
    return file_.peer.disabled || word.text == "true";
  }

  PeerFile file_;
  bool keyed_ = false;
  bool switched_ = false;
};

void read_enabled(YamlMap& map, PeerProfile& peer) {
  bool enabled = true;
  map.optional("enabled", boolean(), enabled);
  peer.disabled = !enabled;
}

}  // namespace

bool is_peer_file_name(std::string_view name) {
  return is_name(name, 63) && name.front() != '.' && name.front() != '-';
}

std::optional<PeerFile> read_plain_peer(std::string_view text, std::string_view name) {
  PlainPeer peer(name);
  std::vector<Word> words;
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    PlainLine plain(line, number);
    const std::string_view key = plain.key();
    words.clear();
    const bool list = std::ranges::find(kListKeys, key) != std::end(kListKeys);
    if (key.empty() || !plain.words(list, words) || !peer.take(key, words)) return std::nullopt;
  }
  return std::move(peer).finish();
}

Result<PeerFile> parse_peer_file(std::string_view yaml, std::string_view file,
                                 std::string_view name) {
  if (auto plain = read_plain_peer(yaml, name)) return std::move(*plain);
  Findings findings(file);
  PeerFile read;
  read.peer.name = name;
  read.peer.enrolled = true;
  if (const auto root = load_yaml(yaml, findings)) {
    YamlMap map(*root, findings);
    map.refuse("name", "no name, as the file's name is the peer's");
    for (const auto& item : read_peer_body(map, Need::kOptional, read.peer))
      read.prefixes.push_back(item.place);
    read_enabled(map, read.peer);
    read.key = map.place("public_key");
    map.finish();
  }
  if (!findings.empty()) return findings.error();
  return read;
}

std::string peer_file_text(const PeerProfile& peer) {
  const auto quoted = [](const auto& values) {
    std::string list;
    for (const auto& each : values) {
      if (!list.empty()) list += ", ";
      list += fmt::format("\"{}\"", to_string(each));
    }
    return list;
  };
  std::string text = fmt::format("public_key: {}\n", key_to_base64(peer.public_key));
  if (peer.preshared_key_file)
    text += fmt::format("preshared_key_file: {}\n", peer.preshared_key_file->path);
  text += fmt::format("allowed_ips: [{}]\n", quoted(peer.allowed_ips));
  if (!peer.endpoints.empty()) text += fmt::format("endpoints: [{}]\n", quoted(peer.endpoints));
  if (peer.disabled) text += "enabled: false\n";
  return text;
}

}  // namespace jvpn
