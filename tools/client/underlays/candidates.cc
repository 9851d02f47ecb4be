#include "tools/client/underlays/candidates.h"

#include <algorithm>

namespace jvpn::client::underlays {

Candidate find_candidate(size_t underlay, const GatewayEndpoint& endpoint, const FindPath& find) {
  Candidate candidate{underlay, endpoint.remote, endpoint.gateway, std::nullopt, {}};
  const auto path = find(underlay, endpoint.remote);
  if (path)
    candidate.path = *path;
  else
    candidate.why = path.error().message;
  return candidate;
}

std::vector<Candidate> find_candidates(size_t underlays, std::span<const GatewayEndpoint> endpoints,
                                       const FindPath& find) {
  std::vector<Candidate> candidates;
  for (const GatewayEndpoint& endpoint : endpoints)
    for (size_t underlay = 0; underlay < underlays; ++underlay)
      candidates.push_back(find_candidate(underlay, endpoint, find));
  return candidates;
}

std::vector<Path> reachable(std::span<const Candidate> candidates) {
  std::vector<Path> paths;
  for (const Candidate& candidate : candidates)
    if (candidate.path) paths.push_back(*candidate.path);
  return paths;
}

bool carries(const Candidate& candidate, const std::optional<Path>& active) {
  return active && active->interface == candidate.underlay && active->remote == candidate.remote;
}

const char* state_of(const Candidate& candidate, const std::optional<Path>& active) {
  if (carries(candidate, active)) return "active";
  return candidate.path ? "candidate" : "down";
}

Result<Path> jump_target(std::span<const Candidate> candidates, size_t underlay,
                         const std::optional<Path>& active) {
  if (!active) return Error{"no path is in use: there is nothing to jump from"};
  if (active->interface == underlay) return Error{"the session is on that underlay already"};
  const auto in_use = std::ranges::find(candidates, active->remote, &Candidate::remote);
  const bool known = in_use != candidates.end();
  const Candidate* target = nullptr;
  std::string why;
  for (const Candidate& candidate : candidates) {
    if (candidate.underlay != underlay) continue;
    if (known && candidate.gateway != in_use->gateway) continue;
    if (!candidate.path && why.empty()) why = candidate.why;
    if (candidate.path && (target == nullptr || candidate.remote == active->remote))
      target = &candidate;
  }
  if (target != nullptr) return *target->path;
  return Error{why.empty() ? "no such underlay" : why};
}

}  // namespace jvpn::client::underlays
