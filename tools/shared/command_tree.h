// A program's commands and options as data, for what is made of them at build time: man pages and
// completion (tools/man/pages.py).
#pragma once

#include <cstring>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace jvpn {

/// The only word of a command line that asks for it; `--help` doesn't list it.
inline constexpr const char* kTreeWord = "--command-tree";

inline bool asks_for_tree(int argc, char** argv) {
  return argc == 2 && std::strcmp(argv[1], kTreeWord) == 0;
}

/// `{"name", "description", "options": [{"names", "type", "value", "default", "required",
/// "description"}], "commands": [the same of each]}`. A positional has one name without dashes;
/// `value`: it takes one; `type`: of the value, as `--help` names it, choices in braces.
inline nlohmann::json command_tree(const CLI::App& app) {
  nlohmann::json options = nlohmann::json::array();
  for (const CLI::Option* each : app.get_options()) {
    nlohmann::json names = nlohmann::json::array();
    for (const std::string& name : each->get_snames()) names.push_back("-" + name);
    for (const std::string& name : each->get_lnames()) names.push_back("--" + name);
    if (names.empty()) names.push_back(each->get_name());
    options.push_back({{"names", std::move(names)},
                       {"type", each->get_type_name()},
                       {"value", each->get_items_expected_max() != 0},
                       {"default", each->get_default_str()},
                       {"required", each->get_required()},
                       {"description", each->get_description()}});
  }
  nlohmann::json commands = nlohmann::json::array();
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(command_tree(*each));
  return {{"name", app.get_name()},
          {"description", app.get_description()},
          {"options", std::move(options)},
          {"commands", std::move(commands)}};
}

}  // namespace jvpn
