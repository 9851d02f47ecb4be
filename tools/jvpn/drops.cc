#include "tools/jvpn/drops.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/drop.h"
#include "common/nearest.h"
#include "common/printable.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/text_table.h"
#include "tools/shared/exit_code.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

/// nullptr: a program of another version has it.
const DropInfo* drop_named(const std::string& name) {
  const auto at =
      std::ranges::find(kDropInfo, name, [](const DropInfo& each) { return each.name; });
  return at == kDropInfo.end() ? nullptr : &*at;
}

/// Those that there were, the most first.
std::vector<std::pair<std::string, uint64_t>> counts_of(const Json& reply) {
  const Json& counters = field(reply, "drops");
  std::vector<std::pair<std::string, uint64_t>> counts;
  if (!counters.is_object()) return counts;
  for (const auto& [name, unused] : counters.items())
    if (const auto count = number_of(counters, name.c_str()); count && *count != 0)
      counts.emplace_back(name, *count);
  std::ranges::stable_sort(counts, std::greater(), &std::pair<std::string, uint64_t>::second);
  return counts;
}

/// None are named: all are asked for.
bool is_asked(const std::vector<std::string>& names, const char* name) {
  return names.empty() || std::ranges::find(names, name) != names.end();
}

Json explanations(const std::vector<std::string>& names) {
  Json all = Json::array();
  for (const DropInfo& each : kDropInfo)
    if (is_asked(names, each.name))
      all.push_back({{"drop", each.name}, {"means", each.meaning}, {"mend", each.mend}});
  return {{"drops", std::move(all)}};
}

std::string render_explanations(const std::vector<std::string>& names) {
  std::string text;
  for (const DropInfo& each : kDropInfo)
    if (is_asked(names, each.name))
      text +=
          fmt::format("{}: {}\n  when it keeps rising: {}\n", each.name, each.meaning, each.mend);
  return text;
}

/// Of one that there isn't, what it may have been.
std::optional<std::string> unknown_drop(const std::vector<std::string>& names) {
  std::vector<std::string> known;
  known.reserve(std::size(kDropInfo));
  for (const DropInfo& each : kDropInfo) known.emplace_back(each.name);
  for (const std::string& name : names)
    if (drop_named(name) == nullptr)
      return fmt::format("drops: no drop is named {}{}; jvpn drops --explain has all of them",
                         printable(name.substr(0, 64)), did_you_mean(name, known));
  return std::nullopt;
}

Json counts_json(const Json& reply) {
  Json all = Json::array();
  for (const auto& [name, count] : counts_of(reply)) {
    all.push_back({{"drop", name}, {"packets", count}});
    if (const DropInfo* const known = drop_named(name)) all.back()["means"] = known->meaning;
  }
  return {{"drops", std::move(all)}};
}

}  // namespace

std::string render_drops(const Json& reply) {
  const auto counts = counts_of(reply);
  if (counts.empty()) return "nothing was dropped\n";
  TextTable table({">PACKETS", "DROPPED", "MEANS"});
  for (const auto& [name, count] : counts) {
    const DropInfo* const known = drop_named(name);
    table.add({{fmt::format("{}", count)},
               {printable(name)},
               {known == nullptr ? "a program of another version knows" : known->meaning}});
  }
  return table.render(false) +
         "\njvpn drops --explain NAME tells what to do when one keeps rising\n";
}

int run_drops(const std::string& socket_path, const DropsCommand& command) {
  if (const auto unknown = unknown_drop(command.names)) {
    complain(*unknown);
    return kBadUsage;
  }
  if (command.explain || !command.names.empty())
    return print_text(command.as_json ? explanations(command.names).dump() + '\n'
                                      : render_explanations(command.names));
  const auto reply = ask_admin_json(socket_path, {{"command", "show"}, {"sessions", false}});
  if (!reply) return complain(reply.error().message);
  return print_text(command.as_json ? counts_json(*reply).dump() + '\n' : render_drops(*reply));
}

}  // namespace jvpn
