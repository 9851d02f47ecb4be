#include "lab/link/attacker.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace jvpn::lab {
namespace {

constexpr size_t kRemembered = 1'024;
constexpr uint64_t kMostNumber = 1'000'000;
constexpr std::string_view kSpace = " \t\r\n";

/// Takes the first word off `text`; empty when none is left.
std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  const size_t end = std::min(text.find_first_of(kSpace), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = read.ec == std::errc{} && read.ptr == text.data() + text.size();
  return whole && value <= kMostNumber ? std::optional(value) : std::nullopt;
}

}  // namespace

constexpr std::array<Attacker::ActionName, 6> Attacker::kActions{{{"replay", Action::kReplay},
                                                                  {"drop", Action::kDrop},
                                                                  {"delay", Action::kDelay},
                                                                  {"truncate", Action::kTruncate},
                                                                  {"redirect", Action::kRedirect},
                                                                  {"reverse", Action::kReverse}}};

void Attacker::pass(size_t to, std::span<const uint8_t> frame, const Leave& leave) {
  const bool idle = !records_ && rules_.empty();
  const auto at = idle ? std::nullopt : parse_jvp(frame, port_);
  if (!at) return leave(to, frame, 0);
  if (records_) remember(to, *at, frame);
  for (Rule& rule : rules_) {
    if (rule.to == to && is(rule.kind, *at)) return apply(rule, *at, frame, leave);
  }
  leave(to, frame, 0);
}

Result<std::string> Attacker::order(std::string_view text, const Leave& leave) {
  const std::string_view what = next_word(text);
  if (what == "record") {
    records_ = true;
    memory_ = {};
    return std::string("recording");
  }
  if (what == "none") {
    for (Rule& rule : rules_) let_go(rule, leave);
    rules_.clear();
  }
  if (what == "none" || what == "status")
    return fmt::format("tampered={} rules={}", tampered_, rules_.size());
  const auto* const action = std::ranges::find(kActions, what, &ActionName::name);
  if (action == kActions.end())
    return Error{fmt::format(
        "expected record, status, none, replay, drop, delay, truncate, redirect or reverse, got {}",
        what)};
  auto rule = parse(action->action, text);
  if (!rule) return rule.error();
  if (action->action == Action::kReplay) return fmt::format("replayed={}", replay(*rule, leave));
  rules_.push_back(std::move(rule).value());
  return fmt::format("rules={}", rules_.size());
}

Result<Attacker::Rule> Attacker::parse(Action action, std::string_view words) const {
  Rule rule;
  rule.action = action;
  rule.to = interfaces_.size();
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    if (const auto done = set(rule, word.substr(0, equals), value); !done) return done.error();
  }
  if (rule.to == interfaces_.size())
    return Error{fmt::format("to: expected {} or {}", interfaces_[0], interfaces_[1])};
  if (action == Action::kRedirect && rule.source == IpAddress{})
    return Error{"redirect: expected source="};
  if (action == Action::kReverse && rule.of < 2) return Error{"reverse: expected of=, at least 2"};
  return rule;
}

Result<void> Attacker::set(Rule& rule, std::string_view name, std::string_view value) const {
  const std::optional<uint64_t> n = number(value);
  if (name == "to" && std::ranges::find(interfaces_, value) != interfaces_.end()) {
    rule.to = value == interfaces_[0] ? 0 : 1;
  } else if (name == "kind" && parse_kind(value)) {
    rule.kind = *parse_kind(value);
  } else if (name == "source" && IpAddress::parse(value)) {
    rule.source = *IpAddress::parse(value);
  } else if (name == "count" && n) {
    rule.count = *n;
  } else if (name == "ms" && n) {
    rule.delay = *n * kMillisecond;
  } else if ((name == "bytes" || name == "truncate") && n) {
    rule.bytes = *n;
  } else if (name == "of" && n) {
    rule.of = *n;
  } else {
    return Error{fmt::format("unknown, or not its kind of value: {}={}", name, value)};
  }
  return {};
}

void Attacker::remember(size_t to, const JvpFrame& at, std::span<const uint8_t> frame) {
  auto& memory = memory_[to][at.type == wire::MessageType::kData ? 1 : 0];
  memory.emplace_back(frame.begin(), frame.end());
  if (memory.size() > kRemembered) memory.pop_front();
}

/// The last ones that fit, oldest first.
uint64_t Attacker::replay(const Rule& rule, const Leave& leave) const {
  std::vector<std::pair<JvpFrame, const std::vector<uint8_t>*>> found;
  for (const auto& memory : memory_[rule.to]) {
    for (const std::vector<uint8_t>& frame : memory) {
      const auto at = parse_jvp(frame, port_);
      if (is(rule.kind, *at)) found.emplace_back(*at, &frame);
    }
  }
  const size_t count = rule.count == 0 ? found.size() : std::min(found.size(), rule.count);
  for (size_t i = found.size() - count; i < found.size(); ++i)
    leave(rule.to, changed(rule, found[i].first, *found[i].second), 0);
  return count;
}

/// With another source, or cut short, as the rule says.
std::vector<uint8_t> Attacker::changed(const Rule& rule, const JvpFrame& at,
                                       std::span<const uint8_t> frame) {
  std::vector<uint8_t> result(frame.begin(), frame.end());
  JvpFrame now = at;
  if (rule.bytes != 0) {
    result = truncated(result, at, rule.bytes);
    now.payload_bytes = result.size() - now.payload;
  }
  auto moved = with_source(result, now, rule.source);
  return moved ? std::move(*moved) : result;
}

void Attacker::apply(Rule& rule, const JvpFrame& at, std::span<const uint8_t> frame,
                     const Leave& leave) {
  ++tampered_;
  switch (rule.action) {
    case Action::kDrop:
    case Action::kReplay:
      break;
    case Action::kDelay:
    case Action::kTruncate:
    case Action::kRedirect:
      leave(rule.to, changed(rule, at, frame), rule.delay);
      break;
    case Action::kReverse:
      rule.held.emplace_back(frame.begin(), frame.end());
      if (rule.held.size() == rule.of) let_go(rule, leave);
      break;
  }
  if (rule.count == 0 || --rule.count != 0) return;
  let_go(rule, leave);
  rules_.erase(rules_.begin() + (&rule - rules_.data()));
}

void Attacker::let_go(Rule& rule, const Leave& leave) {
  for (auto frame = rule.held.rbegin(); frame != rule.held.rend(); ++frame)
    leave(rule.to, *frame, 0);
  rule.held.clear();
}

}  // namespace jvpn::lab
