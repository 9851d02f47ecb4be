// The paths that a session may take: every endpoint of every gateway over every underlay, in
// profile order, as the host can reach them now.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/path.h"
#include "common/result.h"

namespace jvpn::client::underlays {

/// The path by which underlay `number` reaches an endpoint, or why it doesn't.
using FindPath = std::function<Result<Path>(size_t underlay, const Endpoint& remote)>;

/// One endpoint over one underlay.
struct Candidate {
  size_t underlay = 0;
  Endpoint remote;
  GatewayNumber gateway;     ///< whose endpoint it is
  std::optional<Path> path;  ///< nullopt: it can't be reached
  std::string why;           ///< then: what is in the way
};

/// That endpoint over that underlay, reachable or not.
Candidate find_candidate(size_t underlay, const GatewayEndpoint& endpoint, const FindPath& find);
/// All of them, reachable or not: the first endpoint over every underlay, then the next endpoint.
std::vector<Candidate> find_candidates(size_t underlays, std::span<const GatewayEndpoint> endpoints,
                                       const FindPath& find);

/// Paths of those that can be reached, in the same order.
std::vector<Path> reachable(std::span<const Candidate> candidates);

/// Is that the path in use? Its local end may have changed since.
bool carries(const Candidate& candidate, const std::optional<Path>& active);
/// `active`, `candidate` or `down`, as `jvpn show` prints it.
const char* state_of(const Candidate& candidate, const std::optional<Path>& active);

/// Where an operator's jump to `underlay` leads: to the endpoint in use if that underlay reaches
/// it, else to the first of the same gateway's that it reaches. An Error says why there is nowhere
/// to jump.
Result<Path> jump_target(std::span<const Candidate> candidates, size_t underlay,
                         const std::optional<Path>& active);

}  // namespace jvpn::client::underlays
