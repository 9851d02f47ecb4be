// What holds of every profile text: it is parsed into something sound, or refused by findings.
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/profile.h"

namespace jvpn::test {

/// Takes `<number from 1>:` off the front.
inline bool take_number(std::string_view& line) {
  const size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  const bool valid = digits > 0 && line[0] != '0' && line.substr(digits).starts_with(':');
  line.remove_prefix(std::min(digits + 1, line.size()));
  return valid;
}

/// `p:line:column: key: expected …, got …`, the form that the operator's tools rely on.
inline bool is_finding(std::string_view line) {
  if (!line.starts_with("p:")) return false;
  line.remove_prefix(2);
  const bool has_line = take_number(line);
  const bool has_column = take_number(line);
  const size_t expected = line.find(": expected ");
  return has_line && has_column && line.starts_with(' ') && expected > 1 &&
         expected != std::string_view::npos &&
         line.find(", got ", expected) != std::string_view::npos;
}

inline void expect_findings(const std::string& message) {
  ASSERT_FALSE(message.empty());
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(is_finding(line)) << line;
}

inline void expect_sound(const GatewayProfile& p) {
  EXPECT_FALSE(p.node.empty());
  EXPECT_FALSE(p.cores.workers.empty());
  EXPECT_GE(p.ports.size(), 2u);
  for (const PortProfile& port : p.ports) {
    EXPECT_NE(port.pci.empty(), port.vdev.empty());
    EXPECT_FALSE(port.addresses.empty());
  }
  EXPECT_LE(p.peers.size(), p.limits.sessions);
  EXPECT_FALSE(p.crypto.suites.empty());
  EXPECT_FALSE(p.crypto.private_key_file.path.empty());
  EXPECT_LT(p.policy.volatility.heartbeat_volatile, p.policy.volatility.transport_dead);
}

inline void expect_sound(const ClientProfile& p) {
  EXPECT_FALSE(p.underlays.empty());
  EXPECT_FALSE(p.gateway.endpoints.empty() && p.gateway.named.empty());
  EXPECT_FALSE(p.gateway.allowed_ips.empty());
  EXPECT_NE(p.gateway.public_key, PublicKey{});
}

template <typename Profile>
void expect_parsed_or_refused(Result<Profile> (*parse)(std::string_view, std::string_view),
                              std::string_view text) {
  const auto first = parse(text, "p");
  if (first) {
    expect_sound(*first);
    return;
  }
  expect_findings(first.error().message);
  const auto again = parse(text, "p");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, first.error().message);
}

}  // namespace jvpn::test
