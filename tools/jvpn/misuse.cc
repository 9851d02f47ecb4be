#include "tools/jvpn/misuse.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "common/nearest.h"
#include "common/printable.h"

namespace jvpn {
namespace {

/// Of a word that begins as an option; nullopt: it has a value behind a `=`, or is several letters.
std::optional<std::string> unknown_option(const CLI::App& root, const CLI::App& at,
                                          const std::string& word) {
  if (!word.starts_with("--") || word.find('=') != std::string::npos) return std::nullopt;
  std::vector<std::string> known;
  for (const CLI::App* each : {&root, &at})
    for (const CLI::Option* option : each->get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  return fmt::format("no such option: {}{}", printable(word.substr(0, 64)),
                     did_you_mean(word, known));
}

/// The message for a command that there isn't; nullopt: the words name commands as far as they do.
std::optional<std::string> unknown_command(const CLI::App& root, int argc, char** argv) {
  const CLI::App* at = &root;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--socket") ++i;
    if (word.starts_with('-') && at->get_option_no_throw(word) == nullptr &&
        root.get_option_no_throw(word) == nullptr)
      return unknown_option(root, *at, word);
    if (word.starts_with('-')) continue;
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty()) return std::nullopt;
    const auto next = std::ranges::find_if(
        commands, [&](const CLI::App* each) { return each->get_name() == word; });
    if (next != commands.end()) {
      at = *next;
      continue;
    }
    std::vector<std::string> known;
    known.reserve(commands.size());
    for (const CLI::App* each : commands) known.push_back(each->get_name());
    return fmt::format("no such command: {}{}; {}{} --help lists them",
                       printable(word.substr(0, 64)), did_you_mean(word, known),
                       at == &root ? "" : "jvpn ", at->get_name());
  }
  return std::nullopt;
}

}  // namespace

std::string misuse(const CLI::App& root, const CLI::ParseError& error, int argc, char** argv) {
  if (auto unknown = unknown_command(root, argc, argv)) return *std::move(unknown);
  std::string command;
  const CLI::App* at = &root;
  for (auto used = at->get_subcommands(); !used.empty(); used = at->get_subcommands()) {
    at = used.front();
    command += at->get_name() + ' ';
  }
  std::string names;
  for (const CLI::App* each : at->get_subcommands([](const CLI::App*) { return true; }))
    names += (names.empty() ? "; its commands are " : ", ") + each->get_name();
  const std::string prefix = command.empty() ? "" : command.substr(0, command.size() - 1) + ": ";
  return fmt::format("{}{}{}; jvpn {}--help tells more", prefix, printable(error.what()), names,
                     command);
}

}  // namespace jvpn
