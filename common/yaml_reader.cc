#include "common/yaml_reader.h"

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include "common/nearest.h"
#include "common/printable.h"

namespace jvpn {
namespace {

constexpr size_t kLongestEcho = 60;  // bytes of a foreign text that a finding repeats

Place place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {1, 1};
  return {static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
}

bool is_base64(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
         c == '/';
}

/// 43 digits of base64 and a '=' are how a key of 32 bytes is written.
bool holds_a_key(std::string_view text) {
  size_t digits = 0;
  for (const char c : text) {
    if (c == '=' && digits >= 43) return true;
    digits = is_base64(c) ? digits + 1 : 0;
  }
  return false;
}

/// A text as it may stand in one line of a terminal; a key is nothing for one.
std::string echo(std::string_view text) {
  if (holds_a_key(text)) return "something else (not shown, it may be a secret)";
  return printable(text.substr(0, kLongestEcho)) + (text.size() > kLongestEcho ? "..." : "");
}

/// Looks at where documents start, and at nothing else.
class DocumentStarts : public YAML::EventHandler {
 public:
  std::vector<Place> starts;

  void OnDocumentStart(const YAML::Mark& mark) override { starts.push_back(place_of(mark)); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// Most profiles show at first sight that nothing can follow their document, and looking for it
/// takes as long as reading them: they start with a key in the first column, so their map ends
/// where a marker stands or the text does.
bool is_one_document(std::string_view text) {
  if (text.find('\r') != std::string_view::npos) return false;
  bool started = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(line.size());
    if (line.starts_with("---") || line.starts_with("...")) return false;
    if (started || line[0] == '#' || line[0] == '\n') continue;
    if (line[0] < 'a' || line[0] > 'z') return false;
    started = true;
  }
  return started;
}

/// Where a second document starts. YAML::LoadAll() can't be asked: at a stray comma it reads empty
/// documents until the memory is gone (yaml-cpp 0.7).
std::optional<Place> second_document(const std::string& text) {
  if (is_one_document(text)) return std::nullopt;
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts handler;
  for (int i = 0; i < 2; ++i) parser.HandleNextDocument(handler);
  if (handler.starts.size() < 2) return std::nullopt;
  return handler.starts[1];
}

/// Whether a quoted value that begins `text` and goes on below its line ends as one: with nothing
/// behind it but a comment, or what parts the values of a list.
bool ends_well(std::string_view text) {
  const size_t end = text.find(text.front(), 1);
  if (end == std::string_view::npos) return false;
  const size_t next = text.find_first_not_of(" \t\r", end + 1);
  return next == std::string_view::npos ||
         std::string_view("\n#,]}").find(text[next]) != std::string_view::npos;
}

/// Where a value of the line that begins `text` has a quote that doesn't end as one.
std::optional<size_t> open_quote(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  const size_t colon = line.substr(0, line.find('#')).find(": ");
  if (colon == std::string_view::npos) return std::nullopt;
  const size_t value = line.find_first_not_of(' ', colon + 1);
  const bool quoted =
      value != std::string_view::npos && (line[value] == '"' || line[value] == '\'');
  if (!quoted || line.find(line[value], value + 1) != std::string_view::npos) return std::nullopt;
  return ends_well(text.substr(value)) ? std::nullopt : std::optional(value);
}

/// Where the line that begins `text` is indented by a tab, which YAML forbids.
std::optional<size_t> indenting_tab(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  const bool empty = line.find_first_not_of(" \t\r") == std::string_view::npos;
  const size_t start = line.find_first_not_of(' ');
  return empty || line[start] != '\t' ? std::nullopt : std::optional(start);
}

/// Of a text that is no YAML, for which yaml-cpp blames a line: the slip that it has no words for,
/// or notices only below. False: it's none.
bool find_slip(std::string_view text, uint32_t blamed, Findings& findings) {
  const auto found = [&findings](uint32_t line, size_t column, const char* expected,
                                 const char* got) {
    findings.add({line, static_cast<uint32_t>(column + 1)}, "profile", expected, got);
    return true;
  };
  for (uint32_t line = 1; line <= blamed && !text.empty(); ++line) {
    if (const auto quote = open_quote(text))
      return found(line, *quote, "a quote that ends on its line", "one that doesn't");
    if (const auto tab = indenting_tab(text); tab && line + 1 >= blamed)
      return found(line, *tab, "an indentation of spaces", "a tab");
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return false;
}

}  // namespace

std::string describe(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      if (node.Scalar().empty()) return "an empty text";
      if (node.Tag() == "!") return fmt::format("\"{}\"", echo(node.Scalar()));
      return echo(node.Scalar());
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    default:
      return "nothing";
  }
}

std::optional<YamlValue> load_yaml(std::string_view text, Findings& findings) {
  try {
    const std::string copy(text);
    if (const auto more = second_document(copy)) {
      findings.add(*more, "profile", "one YAML document", "more after its end");
      return std::nullopt;
    }
    const YAML::Node root = YAML::Load(copy);
    if (root.IsMap()) return YamlValue{root, "", place_of(root.Mark())};
    findings.add(
        root.IsNull() ? Place{1, 1} : place_of(root.Mark()), "profile", "a map",
        root.IsScalar() ? "something else (not shown, it may be a secret)" : describe(root));
  } catch (const YAML::Exception& error) {
    if (find_slip(text, place_of(error.mark).line, findings)) return std::nullopt;
    // Behind a colon some messages repeat the text.
    findings.add(place_of(error.mark), "profile", "valid YAML",
                 echo(error.msg.substr(0, error.msg.find(':'))));
  }
  return std::nullopt;
}

YamlMap::YamlMap(const YamlValue& value, Findings& findings)
    : findings_(findings), key_(value.key), place_(value.place) {
  for (const auto& pair : value.node) add_entry(pair.first, pair.second);

  std::unordered_map<std::string_view, Place> first;
  for (const Entry& entry : entries_) {
    const auto [earlier, fresh] = first.emplace(entry.name, entry.key_place);
    if (fresh) continue;
    findings_.add(entry.key_place, entry.value.key, "each key once",
                  fmt::format("it again (first at line {})", earlier->second.line));
  }
}

void YamlMap::add_entry(const YAML::Node& name, const YAML::Node& value) {
  const Place name_place = place_of(name.Mark());
  if (!name.IsScalar() || name.Scalar().empty()) {
    findings_.add(name_place, key_.empty() ? "profile" : key_, "keys that are words",
                  describe(name));
    return;
  }
  // A null has no text of its own: yaml-cpp gives it the place of whatever comes next.
  const Place place = value.IsNull() ? name_place : place_of(value.Mark());
  entries_.push_back(
      {name.Scalar(), name_place, YamlValue{value, key(echo(name.Scalar())), place}});
}

const YamlMap::Entry* YamlMap::find(std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  return found == entries_.end() ? nullptr : &*found;
}

std::string YamlMap::key(std::string_view name) const {
  return key_.empty() ? std::string(name) : fmt::format("{}.{}", key_, name);
}

Place YamlMap::place(std::string_view name) const {
  const Entry* const entry = find(name);
  return entry == nullptr ? place_ : entry->value.place;
}

std::optional<YamlValue> YamlMap::take(std::string_view name, Need need,
                                       std::string_view expected) {
  known_.emplace_back(name);
  if (record_ != nullptr && recorded(name) == nullptr)
    record_->keys.push_back({std::string(name),
                             need == Need::kRequired,
                             std::string(expected),
                             KeySchema::Form::kValue,
                             {}});
  if (const Entry* const entry = find(name)) return entry->value;
  if (need == Need::kRequired) findings_.add(place_, key(name), expected, "nothing");
  return std::nullopt;
}

std::vector<YamlValue> YamlMap::items(std::string_view name, Need need, Count count,
                                      std::string_view expected) {
  const std::string wanted =
      fmt::format("a list of {} to {} items, each {}", count.min, count.max, expected);
  const auto value = take(name, need, wanted);
  if (KeySchema* const key = recorded(name)) {
    key->form = KeySchema::Form::kList;
    key->expected = expected;
  }
  if (!value) return {};
  if (!value->node.IsSequence()) {
    findings_.add(value->place, value->key, wanted, describe(value->node));
    return {};
  }
  if (value->node.size() < count.min || value->node.size() > count.max) {
    findings_.add(value->place, value->key, wanted, fmt::format("{} items", value->node.size()));
    return {};
  }

  std::vector<YamlValue> items;
  items.reserve(value->node.size());
  for (const YAML::Node& item : value->node) {
    const Place place = item.IsNull() ? value->place : place_of(item.Mark());
    items.push_back({item, fmt::format("{}[{}]", value->key, items.size()), place});
  }
  return items;
}

KeySchema* YamlMap::recorded(std::string_view name) {
  if (record_ == nullptr) return nullptr;
  const auto found = std::ranges::find(record_->keys, name, &KeySchema::name);
  return found == record_->keys.end() ? nullptr : &*found;
}

void YamlMap::refuse(std::string_view name, std::string_view expected) {
  const Entry* const entry = find(name);
  if (entry == nullptr) return;
  findings_.add(entry->key_place, entry->value.key, expected, "one");
  refused_.emplace_back(name);
}

void YamlMap::finish() {
  for (const Entry& entry : entries_) {
    if (std::ranges::find(known_, entry.name) != known_.end()) continue;
    if (std::ranges::find(refused_, entry.name) != refused_.end()) continue;
    findings_.add(entry.key_place, entry.value.key, one_of_text(known_),
                  echo(entry.name) + did_you_mean(entry.name, known_));
  }
}

}  // namespace jvpn
