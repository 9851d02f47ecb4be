// A command line through a command's options.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace jvpn::perf {

template <typename Options>
struct Parsed {
  bool ok = false;
  Options options;
};

template <typename Options>
Parsed<Options> parse_with(void (*add)(CLI::App&, Options&), std::vector<std::string> words) {
  CLI::App app;
  Parsed<Options> parsed;
  add(app, parsed.options);
  std::ranges::reverse(words);  // as CLI11 wants them
  try {
    app.parse(std::move(words));
    parsed.ok = true;
  } catch (const CLI::ParseError&) {
  }
  return parsed;
}

}  // namespace jvpn::perf
