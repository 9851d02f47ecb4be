// What a profile that was read again changes: peers, versions, and keys that wait for a restart.
#include "control/admin/reload.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/admin/peer_diff.h"
#include "tests/support/packet_builder.h"
#include "tests/support/rooms.h"
#include "tests/unit/profile_texts.h"

namespace jvpn::test {
namespace {

PublicKey key_of(uint8_t number) {
  PublicKey key{};
  key[0] = number;
  return key;
}

struct PeerSpec {
  const char* name;
  uint8_t key;
  std::vector<const char*> allowed{"10.0.0.9/32"};
  std::vector<const char*> endpoints{};
  uint8_t preshared = 0;          ///< 0: none
  const char* another = nullptr;  ///< gateway of its cluster listens there
};

ConfiguredPeer peer_of(const PeerSpec& spec) {
  ConfiguredPeer peer;
  peer.profile.name = spec.name;
  peer.profile.public_key = key_of(spec.key);
  for (const char* prefix : spec.allowed)
    peer.profile.allowed_ips.push_back(*Prefix::parse(prefix));
  for (const char* endpoint : spec.endpoints)
    peer.profile.endpoints.push_back(*Endpoint::parse(endpoint));
  if (spec.another != nullptr)
    peer.profile.cluster.push_back({"b", {*Endpoint::parse(spec.another)}});
  if (spec.preshared != 0) {
    peer.preshared.emplace();
    peer.preshared->bytes()[0] = spec.preshared;
  }
  return peer;
}

struct DiffCase {
  const char* what;
  std::vector<std::optional<PeerSpec>> running;  ///< by id
  std::vector<PeerSpec> fresh;
  std::vector<uint32_t> removed;
  std::vector<PeerUpdate> changed;
  std::vector<size_t> added;
};

TEST(PeerDiffTest, Cases) {
  const PeerSpec a{"a", 1};
  const PeerSpec b{"b", 2};
  const PeerId first{0};
  const std::vector<DiffCase> cases{
      {"nothing", {}, {}, {}, {}, {}},
      {"the same", {a, b}, {a, b}, {}, {}, {}},
      {"another order", {a, b}, {b, a}, {}, {}, {}},
      {"one more, first in the file", {a}, {b, a}, {}, {}, {0}},
      {"one less", {a, b}, {b}, {0}, {}, {}},
      {"all gone", {a, b}, {}, {0, 1}, {}, {}},
      {"a free id is nobody", {std::nullopt, b}, {b}, {}, {}, {}},
      {"a changed key: gone and come", {a, b}, {{"a", 3}, b}, {0}, {}, {0}},
      {"two swap their keys: two new names",
       {a, b},
       {{"a", 2}, {"b", 1}},
       {},
       {{.id = first, .fresh = 1, .name = true}, {.id = PeerId{1}, .fresh = 0, .name = true}},
       {}},
      {"a name", {a}, {{"c", 1}}, {}, {{.id = first, .name = true}}, {}},
      {"a preshared key comes",
       {a},
       {{"a", 1, {"10.0.0.9/32"}, {}, 7}},
       {},
       {{.id = first, .preshared = true}},
       {}},
      {"another preshared key",
       {{{"a", 1, {}, {}, 6}}},
       {{"a", 1, {}, {}, 7}},
       {},
       {{.id = first, .preshared = true}},
       {}},
      {"a preshared key goes",
       {{{"a", 1, {}, {}, 6}}},
       {{"a", 1, {}}},
       {},
       {{.id = first, .preshared = true}},
       {}},
      {"a network more",
       {a},
       {{"a", 1, {"10.0.0.9/32", "fd00::/64"}}},
       {},
       {{.id = first, .allowed_ips = true}},
       {}},
      {"networks in another order",
       {{{"a", 1, {"10.1.0.0/16", "10.2.0.0/16"}}}},
       {{"a", 1, {"10.2.0.0/16", "10.1.0.0/16"}}},
       {},
       {},
       {}},
      {"endpoints in another order are another preference",
       {{{"a", 1, {}, {"192.0.2.1:1", "192.0.2.2:1"}}}},
       {{"a", 1, {}, {"192.0.2.2:1", "192.0.2.1:1"}}},
       {},
       {{.id = first, .endpoints = true}},
       {}},
      {"another gateway of its cluster",
       {{{"a", 1, {}, {"192.0.2.1:1"}, 0, "192.0.2.2:1"}}},
       {{"a", 1, {}, {"192.0.2.1:1"}, 0, "192.0.2.3:1"}},
       {},
       {{.id = first, .endpoints = true}},
       {}},
  };
  for (const DiffCase& each : cases) {
    SCOPED_TRACE(each.what);
    std::vector<std::optional<ConfiguredPeer>> running;
    for (const auto& spec : each.running)
      running.push_back(spec ? std::optional(peer_of(*spec)) : std::nullopt);
    std::vector<ConfiguredPeer> fresh;
    for (const PeerSpec& spec : each.fresh) fresh.push_back(peer_of(spec));
    const FreshPeers found(std::move(fresh));
    PeerComparison comparison(found, running.size());
    while (comparison.go_on(running)) {
    }
    const PeerDiff& diff = comparison.diff();
    std::vector<uint32_t> removed;
    for (const PeerId id : diff.removed) removed.push_back(id.value);
    EXPECT_EQ(removed, each.removed);
    EXPECT_EQ(diff.changed, each.changed);
    EXPECT_EQ(diff.added, each.added);
  }
}

TEST(ReloadTest, AVersionNamesOnePolicy) {
  struct Case {
    const char* what;
    uint32_t version;
    bool other;
    const char* finding;  ///< nullptr: it may follow
  };
  Policy running;
  running.version = 7;
  for (const Case& each :
       {Case{"the same", 7, false, nullptr}, Case{"higher", 8, true, nullptr},
        Case{"higher, else the same", 8, false, nullptr},
        Case{"equal, but another", 7, true,
             "gw.yaml:3:9: policy.version: expected more than 7, because the policy has changed, "
             "got 7"},
        Case{"lower", 6, true,
             "gw.yaml:3:9: policy.version: expected at least 7, which is in force, got 6"},
        Case{"lower, else the same", 6, false,
             "gw.yaml:3:9: policy.version: expected at least 7, which is in force, got 6"}}) {
    SCOPED_TRACE(each.what);
    Policy fresh = running;
    fresh.version = each.version;
    if (each.other) fresh.switching.drain = Millis{99};
    const auto refused = refuse_version(running, fresh, "gw.yaml", {3, 9});
    EXPECT_EQ(refused ? refused->message : "", each.finding == nullptr ? "" : each.finding);
  }
}

GatewayProfile good_gateway() {
  return parse_gateway_profile(kGoodGateway, "gw.yaml").value();
}

TEST(ReloadTest, NamesTheKeysThatNeedARestart) {
  using Edit = void (*)(GatewayProfile&);
  const std::vector<std::pair<const char*, Edit>> cases{
      {"node", [](GatewayProfile& p) { p.node = "other"; }},
      {"cores", [](GatewayProfile& p) { p.cores.control = 9; }},
      {"memory", [](GatewayProfile& p) { p.memory.megabytes = 65; }},
      {"eal_args", [](GatewayProfile& p) { p.eal_args.emplace_back("--no-pci"); }},
      {"listen_port", [](GatewayProfile& p) { ++p.listen_port; }},
      {"ports", [](GatewayProfile& p) { --p.ports[0].mtu; }},
      {"lanes", [](GatewayProfile& p) { ++p.lanes; }},
      {"limits", [](GatewayProfile& p) { ++p.limits.sessions; }},
      {"crypto.private_key_file",
       [](GatewayProfile& p) { p.crypto.private_key_file.path = "other.key"; }},
      {"crypto.suites", [](GatewayProfile& p) { p.crypto.suites = {Suite::kChaCha20Poly1305}; }},
      {"crypto.rekey_after_ms", [](GatewayProfile& p) { p.crypto.rekey_after = Millis{1'001}; }},
      {"crypto.rekey_after_packets",
       [](GatewayProfile& p) { p.crypto.rekey_after_packets = 1'001; }},
      {"crypto.key_log_file",
       [](GatewayProfile& p) { p.crypto.key_log_file.path = "/run/keys.log"; }},
      {"policy.observability.event_ring",
       [](GatewayProfile& p) { p.policy.observability.event_ring *= 2; }},
      {"events", [](GatewayProfile& p) { p.events.sinks.clear(); }},
      {"admin", [](GatewayProfile& p) { p.admin.socket = "/elsewhere"; }},
  };
  const GatewayProfile running = good_gateway();
  EXPECT_TRUE(keys_for_restart(running, running).empty());
  for (const auto& [key, edit] : cases) {
    GatewayProfile fresh = running;
    edit(fresh);
    EXPECT_EQ(keys_for_restart(running, fresh), std::vector<std::string>{key});
  }
}

TEST(ReloadTest, WorkersWithoutRoomGetNoHoldBeforeARestart) {
  const GatewayProfile running = good_gateway();
  GatewayProfile fresh = running;
  ++fresh.policy.version;
  fresh.policy.switching.hold = Millis{3'000};
  fresh.limits.hold_packets = 4'096;
  EXPECT_EQ(keys_for_restart(running, fresh),
            (std::vector<std::string>{"limits", "policy.switching.hold_ms"}));
  const Policy policy = policy_in_reach(running, fresh);
  EXPECT_FALSE(policy.switching.holds()) << "the response must not promise it";
  EXPECT_EQ(policy.version, fresh.policy.version) << "the rest is followed";
  EXPECT_FALSE(refuse_version(policy, policy_in_reach(running, fresh), "gw.yaml", {3, 9}))
      << "the same profile may be read again";

  GatewayProfile roomy = running;
  roomy.limits.hold_packets = 16;
  EXPECT_TRUE(policy_in_reach(roomy, fresh).switching.holds());
  EXPECT_EQ(keys_for_restart(roomy, fresh), std::vector<std::string>{"limits"});
}

TEST(ReloadTest, PlaceAndOrderOfLinesSayNothing) {
  const std::string text = "# one line more\n" + std::string(kGoodGateway);
  const GatewayProfile moved = parse_gateway_profile(text, "gw.yaml").value();
  EXPECT_TRUE(keys_for_restart(good_gateway(), moved).empty());
}

TEST(ReloadTest, AClientNamesItsKeysToo) {
  LoadedClient fresh{"c.yaml", parse_client_profile(kGoodClient, "c.yaml").value(), {}, {}};
  fresh.private_key.bytes()[5] = 7;
  const RunningClient running = running_client(fresh);
  EXPECT_TRUE(keys_for_restart(running, fresh).empty());
  fresh.private_key.bytes()[5] = 8;
  fresh.preshared.emplace();
  fresh.profile.underlays[0].device = "other";
  EXPECT_EQ(keys_for_restart(running, fresh),
            (std::vector<std::string>{"underlays", "gateway.preshared_key_file",
                                      "crypto.private_key_file"}));
}

}  // namespace
}  // namespace jvpn::test
