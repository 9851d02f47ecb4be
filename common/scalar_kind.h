// What a scalar of the profile may be: how a person calls it, and its conversion.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "common/ip.h"
#include "common/noise.h"

namespace jvpn {

template <typename T>
struct ScalarKind {
  std::string expected;  ///< "an integer from 1 to 65535"
  /// nullopt when the scalar isn't of this kind or out of its range.
  std::function<std::optional<T>(const YAML::Node&)> parse;
  bool confidential = false;  ///< a bad value may be a secret in the wrong place: don't repeat it
};

ScalarKind<bool> boolean();
ScalarKind<uint64_t> integer(uint64_t min, uint64_t max);
ScalarKind<uint64_t> power_of_two(uint64_t min, uint64_t max);
/// From `min` to `max`, both included.
ScalarKind<double> decimal(double min, double max);
/// Printable text of 1 to `max` bytes.
ScalarKind<std::string> text(size_t max);
/// Letters, digits and `_ - .`, at most `max`, not dots alone.
bool is_name(std::string_view text, size_t max);
/// Such a text: safe in logs, file names and metrics.
ScalarKind<std::string> name(size_t max);
/// `0000:3b:00.0`, given back in lower case.
ScalarKind<std::string> pci_address();
/// `02:00:5e:10:00:01`; no group address and not all zeros.
ScalarKind<std::array<uint8_t, 6>> ethernet_address();
/// Path of a file. A key itself in its place is refused without being repeated.
ScalarKind<std::string> key_file_path();
ScalarKind<PublicKey> public_key();
/// An address that a host can have: not unspecified, multicast or broadcast.
ScalarKind<IpAddress> host_address();
/// A host address with the length of its link.
ScalarKind<Prefix> interface_address();
/// A prefix with host bits zero.
ScalarKind<Prefix> network();
/// A host address with a port other than 0.
ScalarKind<Endpoint> endpoint();
/// A name as DNS has it: labels of letters, digits, `-` and `_`, with dots between; no address.
bool is_host_name(std::string_view text);
/// Such a host's, or an address's, and a port.
struct HostAndPort {
  std::optional<Endpoint> address;
  std::string host{};  ///< when it is no address
  uint16_t port = 0;
};
ScalarKind<HostAndPort> named_endpoint();
/// Such a name; `~` before it, or `.` behind, may stand, and `~.` alone.
ScalarKind<std::string> domain();

/// "one of a, b, c".
std::string one_of_text(const std::vector<std::string>& words);

/// One of a few words, each with its value.
template <typename T>
ScalarKind<T> one_of(std::vector<std::pair<std::string, T>> choices) {
  std::vector<std::string> words;
  words.reserve(choices.size());
  for (const auto& choice : choices) words.push_back(choice.first);
  return {one_of_text(words),
          [choices = std::move(choices)](const YAML::Node& node) -> std::optional<T> {
            for (const auto& [word, value] : choices) {
              if (node.Scalar() == word) return value;
            }
            return std::nullopt;
          }};
}

}  // namespace jvpn
