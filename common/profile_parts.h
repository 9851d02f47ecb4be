// Readers of the profile's sections, one file each. Every reader takes the map that it asks keys of
// and leaves its findings there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/policy.h"
#include "common/profile.h"
#include "common/yaml_reader.h"

namespace jvpn {

inline constexpr size_t kLongestSocketPath = 107;  ///< sun_path without its terminating zero
inline constexpr size_t kLongestPath = 4'095;      ///< PATH_MAX without it

/// Every key of a profile, as its reader asks for them.
KeySchema profile_schema(ProfileRole role);

/// Where keys of a policy stand; 0: nowhere.
struct PolicyPlaces {
  Place version;
  Place hold;        ///< `switching.hold_ms`
  Place hold_bytes;  ///< `switching.hold_bytes`
  Place protocols;   ///< `transport.allowed_protocols`
};
/// `root` holds `policy`, which is mandatory. Clients hold packets by default, gateways don't.
PolicyPlaces read_policy(YamlMap& root, ProfileRole role, Policy& policy);
/// `root` holds `ports`; no port can have more queues than there are `workers`. Finds
/// contradictions within and between ports, too.
void read_ports(YamlMap& root, size_t workers, std::vector<PortProfile>& ports);
/// `root` may hold `peers`, at most `sessions` of them (limits.sessions). Finds contradictions
/// between peers, too.
void read_peers(YamlMap& root, uint32_t sessions, std::vector<PeerProfile>& peers);
/// Whether endpoints may be given by name.
enum class HostNames : uint8_t { kRefused, kAllowed };
/// `map` is a peer: its public key, preshared key, allowed_ips, endpoints and cluster, but not its
/// name, which `peer` has already.
/// Gives the allowed_ips with their places, so that peers can be compared.
std::vector<Located<Prefix>> read_peer_body(YamlMap& map, Need endpoints, PeerProfile& peer,
                                            HostNames names = HostNames::kRefused);
/// `gateway`, of a client's profile, may hold `fallback`: where it is reached by TCP.
void read_fallback(YamlMap& gateway, FallbackProfile& fallback);
/// `root` may hold `enrolment`: peers with files of their own.
void read_enrolment(YamlMap& root, EnrolmentProfile& enrolment);
/// `root` may hold `ownership`: whom a gateway shares its sessions with.
void read_ownership(YamlMap& root, OwnershipProfile& ownership);
/// `root` holds `events`, the same for every role.
void read_events(YamlMap& root, EventsProfile& events);
/// A path to a secret under `name` in `map`; gives true when it is there and valid.
bool read_file_reference(YamlMap& map, std::string_view name, Need need, FileReference& file);

}  // namespace jvpn
