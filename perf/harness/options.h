// Options that several commands have, and a table's line for each of the others: name, field,
// bounds, meaning. Any thread.
#pragma once

#include <map>
#include <random>
#include <string>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "common/types.h"

namespace jvpn::perf {

template <typename T>
CLI::Option* add_number(CLI::App& parser, const char* name, T& field, std::type_identity_t<T> least,
                        std::type_identity_t<T> most, const char* meaning) {
  return parser.add_option(name, field, meaning)
      ->check(CLI::Range(least, most))
      ->capture_default_str();
}

/// `names`: `seal|open`, for the help.
template <typename T>
CLI::Option* add_choice(CLI::App& parser, const char* name, T& field,
                        const std::map<std::string, T>& choices, const char* names,
                        const char* meaning) {
  return parser.add_option(name, field, meaning)
      ->transform(CLI::CheckedTransformer(choices).description(names));
}

inline void add_suite(CLI::App& parser, Suite& suite) {
  add_choice(parser, "--suite", suite,
             {{"aes-128-gcm", Suite::kAes128Gcm},
              {"aes-256-gcm", Suite::kAes256Gcm},
              {"chacha20-poly1305", Suite::kChaCha20Poly1305}},
             "aes-128-gcm|aes-256-gcm|chacha20-poly1305", "of all sessions");
}

inline void add_seed(CLI::App& parser, uint64_t& seed) {
  seed = std::random_device{}();
  const auto fresh = [](const std::string& text) {
    return text == "0" ? std::to_string(std::random_device{}()) : text;
  };
  parser.add_option("--seed", seed, "of everything random; 0 or none: a fresh one")
      ->transform(fresh);
}

inline void add_json(CLI::App& parser, bool& json) {
  parser.add_flag("--json", json, "one JSON object on stdout");
}

}  // namespace jvpn::perf
