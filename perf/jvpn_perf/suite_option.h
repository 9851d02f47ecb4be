// `--suite NAME` of several commands. Any thread.
#pragma once

#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include "common/types.h"

namespace jvpn::perf {

inline void add_suite_option(CLI::App& parser, Suite& suite) {
  static const std::map<std::string, Suite> kNames{{"aes-128-gcm", Suite::kAes128Gcm},
                                                   {"aes-256-gcm", Suite::kAes256Gcm},
                                                   {"chacha20-poly1305", Suite::kChaCha20Poly1305}};
  parser.add_option("--suite", suite, "aes-128-gcm, aes-256-gcm or chacha20-poly1305")
      ->transform(CLI::CheckedTransformer(kNames))
      ->type_name("SUITE");
}

}  // namespace jvpn::perf
