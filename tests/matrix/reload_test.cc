// What an operator's reload does to peers: the shipping control loop and workers, under traffic.
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <set>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "control/gateway/peer_book.h"
#include "dataplane/handles.h"
#include "tests/matrix/rig.h"
#include "tests/support/must.h"
#include "tests/support/rooms.h"

namespace jvpn::test {
namespace {

constexpr const char* kReload = R"({"command":"reload"})";

RigOptions with_clients(size_t clients) {
  RigOptions options;
  options.clients = clients;
  return options;
}

struct ReloadPeers : testing::Test {
  explicit ReloadPeers(size_t clients = 2) : rig(with_clients(clients)) {}

  std::vector<EnginePeer>& peers() { return rig.gateway().peers_to_reload; }
  /// Asks for a reload; its answer.
  nlohmann::json reload() { return nlohmann::json::parse(rig.gateway().ask(kReload)); }
  nlohmann::json show() {
    return nlohmann::json::parse(rig.gateway().ask(R"({"command":"show"})"));
  }
  /// What the gateway's peers are, by name, in the answer to a reload.
  static nlohmann::json counts(size_t added, size_t removed, size_t changed) {
    return {{"added", added}, {"removed", removed}, {"changed", changed}};
  }
  /// So many host addresses of a network of their own.
  static std::vector<Prefix> hosts(uint8_t network, uint8_t count) {
    std::vector<Prefix> all;
    for (uint8_t i = 0; i < count; ++i) all.push_back({IpAddress::v4({10, 1, network, i}), 32});
    return all;
  }
  Target route_to(const Prefix& host) {
    uint32_t word;
    __builtin_memcpy(&word, host.address.bytes.data(), sizeof word);
    return rig.gateway().routes().lookup_v4(word);
  }
  void give_first(const std::vector<Prefix>& more) {
    std::vector<Prefix>& all = peers()[0].inner_addresses;
    all.resize(1);
    all.insert(all.end(), more.begin(), more.end());
  }
  /// As many peers as there may be, each with a host of the network.
  void fill(uint8_t network) {
    const EnginePeer model = peers().back();
    peers().clear();
    const std::vector<Prefix> own = hosts(network, 16);
    for (uint8_t i = 0; i < 16; ++i) {  // limits.sessions of the gateway
      EnginePeer peer = model;
      peer.name = "p" + std::to_string(network) + "_" + std::to_string(i);
      peer.public_key[30] = network;
      peer.public_key[31] = i;
      peer.inner_addresses = {own[i]};
      peers().push_back(peer);
    }
  }
  /// Reloads while the client sends; every packet of it is answered.
  nlohmann::json reload_beside(size_t client) {
    const uint64_t before = rig.client(client).echoes();
    uint64_t sent = 0;
    const auto send = [&] {
      sent += rig.client(client).send_echo() ? 1U : 0U;
      rig.step();
    };
    for (int i = 0; i < 50; ++i) send();
    const nlohmann::json answer = reload();
    for (int i = 0; i < 50; ++i) send();
    rig.run_for(Millis{50});
    EXPECT_EQ(sent, 100U);
    EXPECT_EQ(rig.client(client).echoes() - before, sent) << "packets of another peer were lost";
    return answer;
  }

  Rig rig;
};

TEST_F(ReloadPeers, ARemovedPeerIsOutAtOnceAndForGood) {
  rig.connect(0);
  rig.connect(1);
  const Snapshot other = rig.at_gateway(1);
  const TxInstall tx = *rig.client(0).tx();
  ASSERT_NE(rig.gateway().sessions().rx(tx.peer_index.value), nullptr);
  peers().erase(peers().begin());
  EXPECT_EQ(reload_beside(1)["reloaded"]["peers"], counts(0, 1, 0));

  EXPECT_EQ(rig.at_gateway(0).state, State::kTerminated);
  EXPECT_EQ(rig.gateway().events().changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:policy_hard_stop");
  EXPECT_EQ(rig.gateway().sessions().rx(tx.peer_index.value), nullptr) << "its key still opens";
  EXPECT_EQ(rig.gateway().sessions().tx(PeerId{0}), nullptr);
  EXPECT_EQ(rig.client(0).events().changes().back(),
            "ATTACHED>TERMINATED POLICY_TERMINATION:peer_terminate");
  EXPECT_EQ(show()["terminated"].back()["peer"], "client0");

  rig.client(0).dial(rig.client_now(), rig.path(0, 0));
  rig.run_for(Millis{10'000});
  EXPECT_FALSE(rig.attached(0));
  EXPECT_EQ(rig.at_gateway(1), other) << "the other session was touched";
  EXPECT_TRUE(rig.serves(1));
}

TEST_F(ReloadPeers, SessionsBeginAndJumpWhileAProfileIsRead) {
  rig.connect(0);
  std::promise<void> begun;
  std::promise<void> read;
  std::atomic<int> readings = 0;
  rig.gateway().while_reading = [&, go = read.get_future().share()] {
    if (readings++ == 0) begun.set_value();
    go.wait();
  };
  peers().erase(peers().begin());
  const int first = rig.gateway().begin_asking(kReload);
  rig.run_for(Millis{10});
  ASSERT_EQ(begun.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  const int second = rig.gateway().begin_asking(kReload);
  const nlohmann::json before = show()["reload"];
  rig.connect(1);
  EXPECT_TRUE(rig.jump(1, 0));
  EXPECT_TRUE(rig.serves(0)) << "not removed yet";
  EXPECT_TRUE(rig.serves(1));
  EXPECT_EQ(show()["reload"], before);

  // The second asked when the file might have changed after the first reading began.
  read.set_value();
  EXPECT_EQ(nlohmann::json::parse(rig.gateway().answer_to(first))["reloaded"]["peers"],
            counts(0, 1, 0));
  EXPECT_EQ(nlohmann::json::parse(rig.gateway().answer_to(second))["reloaded"]["peers"],
            counts(0, 0, 0));
  EXPECT_EQ(readings, 2);
  EXPECT_EQ(rig.at_gateway(0).state, State::kTerminated);
  EXPECT_TRUE(rig.serves(1));
}

TEST_F(ReloadPeers, AnIndexThatDrainsIsWithdrawnToo) {
  rig.connect(0);
  const ReceiverIndex old = rig.client(0).tx()->peer_index;
  ASSERT_TRUE(rig.jump(1, 0));
  ASSERT_NE(rig.gateway().sessions().rx(old.value), nullptr) << "it drains";
  peers().erase(peers().begin());
  reload();
  EXPECT_EQ(rig.gateway().sessions().rx(old.value), nullptr);
}

TEST_F(ReloadPeers, APeerThatComesBackAttaches) {
  rig.connect(0);
  const std::vector<EnginePeer> all = peers();
  peers().erase(peers().begin());
  reload();
  peers() = all;
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(1, 0, 0));
  // The client was not told to give up, and dials again by itself. Its id is another one.
  ASSERT_TRUE(rig.run_until(
      [&] { return show()["sessions"].size() == 1 && rig.client(0).tx().has_value(); },
      Millis{10'000}));
  EXPECT_EQ(show()["sessions"][0]["peer"], "client0");
  EXPECT_TRUE(rig.serves(0));
}

TEST_F(ReloadPeers, AChangedPresharedKeyCountsFromTheNextHandshake) {
  rig.connect(0);
  const Snapshot before = rig.at_gateway(0);
  peers()[0].preshared.emplace();
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(0, 0, 1));
  EXPECT_EQ(rig.at_gateway(0), before);
  EXPECT_TRUE(rig.serves(0));
  peers()[0].preshared->bytes()[0] = 9;
  reload();
  EXPECT_EQ(rig.at_gateway(0), before);
  rig.client(0).dial(rig.client_now(), rig.path(0, 0));  // still without one
  rig.run_for(Millis{3'000});
  EXPECT_EQ(rig.at_gateway(0).id, before.id) << "a handshake under the old key got through";
}

TEST_F(ReloadPeers, AllowedAddressesMoveWithTheSourceCheck) {
  rig.connect(0);
  rig.connect(1);
  const Snapshot first = rig.at_gateway(0);
  ASSERT_TRUE(rig.serves(0));
  std::swap(peers()[0].inner_addresses, peers()[1].inner_addresses);
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(0, 0, 2));
  EXPECT_EQ(rig.at_gateway(0), first);
  const uint64_t refused = rig.gateway().drops(Drop::kInnerSource);
  EXPECT_FALSE(rig.serves(0)) << "it sends from an address that is the other's now";
  EXPECT_GT(rig.gateway().drops(Drop::kInnerSource), refused);
  std::swap(peers()[0].inner_addresses, peers()[1].inner_addresses);
  reload();
  EXPECT_TRUE(rig.serves(0));
  EXPECT_TRUE(rig.serves(1));
}

TEST_F(ReloadPeers, OneMoreAddressLosesNothing) {
  rig.connect(0);
  peers()[0].inner_addresses.push_back({address("10.0.9.9"), 32});
  EXPECT_EQ(reload_beside(0)["reloaded"]["peers"], counts(0, 0, 1));
  peers()[0].inner_addresses.pop_back();
  EXPECT_EQ(reload_beside(0)["reloaded"]["peers"], counts(0, 0, 1));
}

TEST_F(ReloadPeers, TheInsideKeepsItsOwnAddress) {
  rig.connect(0);
  peers()[0].inner_addresses.push_back({address(kInsideAddress), 32});
  reload_beside(0);
  peers()[0].inner_addresses.pop_back();
  reload_beside(0);
}

TEST_F(ReloadPeers, MorePeersThanThereIsRoomForAreRefused) {
  rig.connect(0);
  const std::vector<EnginePeer> good = peers();
  while (peers().size() <= 16) {  // limits.sessions of the gateway
    EnginePeer more = peers()[0];
    more.name = "more" + std::to_string(peers().size());
    more.public_key[31] ^= static_cast<uint8_t>(peers().size());
    more.inner_addresses.clear();
    peers().push_back(more);
  }
  const std::string error = reload()["error"];
  EXPECT_NE(error.find("peers: expected at most 16 peers"), std::string::npos) << error;
  EXPECT_TRUE(rig.serves(0));
  EXPECT_EQ(show()["reload"]["refused"].get<std::string>() +
                "\nnothing has changed, and no new session begins until a good reload",
            error);
  EXPECT_EQ(show()["denies_new_sessions"], true);
  peers() = good;
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(0, 0, 0));
  EXPECT_EQ(show()["reload"]["refused"], nullptr);
  EXPECT_EQ(show()["denies_new_sessions"], false);
}

TEST_F(ReloadPeers, IdsAreUsedAgainWhenAllWereGivenOut) {
  rig.connect(1);
  const Snapshot other = rig.at_gateway(1);
  for (uint8_t round = 1; round <= 40; ++round) {
    peers()[0].public_key[0] ^= round;
    peers()[0].inner_addresses = {{address("10.0.9.9"), 32}};
    ASSERT_EQ(reload()["reloaded"]["peers"], counts(1, 1, 0));
    // A reading takes the gateway time, which clients must not miss.
    rig.run_for(Millis{500}, Millis{50});
  }
  EXPECT_EQ(rig.at_gateway(1), other);
  EXPECT_TRUE(rig.serves(1));
}

// There is room for 64 host routes.

TEST_F(ReloadPeers, RoutesThatFitOnlyOnceTheOldOnesAreGoneAreSet) {
  rig.connect(0);
  give_first(hosts(1, 40));
  reload();
  give_first(hosts(2, 40));
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(0, 0, 1)) << "and nothing failed";
  for (const Prefix& host : hosts(1, 40)) EXPECT_EQ(route_to(host), Target{}) << to_string(host);
  for (const Prefix& host : hosts(2, 40))
    EXPECT_EQ(route_to(host), Target::peer(PeerId{0})) << to_string(host);
  EXPECT_TRUE(rig.serves(0));
}

TEST_F(ReloadPeers, ARouteThatWasRefusedIsTriedAgainByTheNextReload) {
  rig.connect(0);
  for (const Prefix& host : hosts(1, 50))  // as neighbours would
    ASSERT_TRUE(rig.gateway().routes().add(host, Target::glean(2)));
  give_first(hosts(2, 40));
  EXPECT_FALSE(reload()["reloaded"]["peers"]["failed"].empty());
  EXPECT_FALSE(reload()["reloaded"]["peers"]["failed"].empty()) << "still so, and still told";
  for (const Prefix& host : hosts(1, 50)) rig.gateway().routes().remove(host);
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(0, 0, 0)) << "and nothing failed";
  for (const Prefix& host : hosts(2, 40))
    EXPECT_EQ(route_to(host), Target::peer(PeerId{0})) << to_string(host);
}

TEST_F(ReloadPeers, AllPeersOfAFullGatewayAreReplacedAtOnce) {
  fill(1);
  EXPECT_EQ(reload()["reloaded"]["peers"], counts(16, 2, 0));
  for (uint8_t network = 2; network < 6; ++network) {
    fill(network);
    EXPECT_EQ(reload()["reloaded"]["peers"], counts(16, 16, 0));
    std::set<uint32_t> ids;
    for (const Prefix& host : hosts(network, 16)) ids.insert(route_to(host).bits);
    EXPECT_EQ(ids.size(), 16U);
    EXPECT_EQ(*ids.rbegin(), 15U) << "each leads to its peer";
    for (const Prefix& host : hosts(network - 1, 16)) EXPECT_EQ(route_to(host), Target{});
  }
}

/// Nobody waits for the end of a reload to lose what he may not have any more.
TEST_F(ReloadPeers, WhatIsTakenAwayGoesBeforeAnythingIsGiven) {
  fill(1);
  peers()[0].inner_addresses.push_back(hosts(7, 2)[0]);
  peers()[1].inner_addresses.push_back(hosts(7, 2)[1]);
  reload();
  const Target old_owner = route_to(hosts(7, 2)[1]);
  const Target heir = route_to(hosts(1, 16)[2]);
  const std::vector<EnginePeer> before = peers();
  fill(2);
  for (size_t i = 0; i < 3; ++i) peers()[i] = before[i];
  peers()[0].inner_addresses = {hosts(1, 16)[0]};                  // one address less
  peers()[1].inner_addresses = {hosts(1, 16)[1], hosts(8, 1)[0]};  // another one instead
  peers()[2].inner_addresses.push_back(hosts(7, 2)[1]);            // has it now
  const auto gone = [&] {
    size_t count = 0;
    for (size_t host = 3; host < 16; ++host)
      count += route_to(hosts(1, 16)[host]) == Target{} ? 1U : 0U;
    return count + (route_to(hosts(7, 2)[0]) == Target{} ? 1U : 0U) +
           (route_to(hosts(7, 2)[1]) == heir ? 1U : 0U);
  };
  const auto given = [&] {
    size_t count = route_to(hosts(8, 1)[0]) == Target{} ? 0U : 1U;
    for (const Prefix& host : hosts(2, 16)) count += route_to(host) == Target{} ? 0U : 1U;
    return count;
  };
  const int asked = rig.gateway().begin_asking(kReload);
  rig.gateway().stalled = true;  // but for the turns made here
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (given() == 0 && std::chrono::steady_clock::now() < limit) {
    const uint32_t changes = rig.gateway().routes().generation();
    rig.step();
    rig.gateway().turn_control(1'000);
    ASSERT_LE(rig.gateway().routes().generation() - changes, 1U) << "one route a turn";
    ASSERT_TRUE(given() == 0 || gone() == 15U);
    ASSERT_TRUE(route_to(hosts(7, 2)[1]) == old_owner || route_to(hosts(7, 2)[1]) == heir);
  }
  EXPECT_EQ(given(), 1U);
  rig.gateway().stalled = false;
  const auto answer = nlohmann::json::parse(rig.gateway().answer_to(asked));
  EXPECT_EQ(answer["reloaded"]["peers"], counts(13, 13, 3));
}

/// Between two slices of a reload everybody else is served.
TEST_F(ReloadPeers, ManyPeersAreTakenInSlices) {
  fill(1);
  reload();
  fill(2);
  const auto has_route = [&](uint8_t network, size_t host) {
    return route_to(hosts(network, 16)[host]) != Target{};
  };
  const int asked = rig.gateway().begin_asking(kReload);
  rig.gateway().stalled = true;  // but for the turns made here
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (has_route(1, 0) && std::chrono::steady_clock::now() < limit) {
    rig.step();
    rig.gateway().turn_control();
  }
  ASSERT_FALSE(has_route(1, 0)) << "the old peers' routes go first: the new ones need the ids";
  EXPECT_FALSE(has_route(2, 15)) << "all in one turn";
  rig.gateway().stalled = false;
  const auto answer = nlohmann::json::parse(rig.gateway().answer_to(asked));
  EXPECT_EQ(answer["reloaded"]["peers"], counts(16, 16, 0));
  for (size_t host = 0; host < 16; ++host) EXPECT_TRUE(has_route(2, host)) << host;
}

TEST(PeerBookTest, AnIdIsNotGivenAgainBeforeItsRoutesAreGone) {
  const Rcu rcu = must(make_rcu(1));
  Reclaimer reclaimer(rcu.get());
  GatewayProfile profile;
  profile.limits.sessions = 1;
  profile.peers.resize(1);
  EngineConfig config;
  config.peers.resize(1);
  PeerBook book(profile, config, reclaimer);
  book.remove(PeerId{0});
  reclaimer.flush();
  EXPECT_EQ(book.room(), 0U);
  EXPECT_FALSE(book.add({})) << "no commit took its routes from the workers";
  book.release_removed();
  EXPECT_EQ(book.room(), 1U);
  EXPECT_EQ(book.add({}), PeerId{0});
}

/// However many they are, that is one thing to do.
TEST(PeerBookTest, IdsAreFreedTogether) {
  constexpr uint32_t kPeers = 1'000;
  const Rcu rcu = must(make_rcu(1));
  Reclaimer reclaimer(rcu.get());
  GatewayProfile profile;
  profile.limits.sessions = kPeers;
  profile.peers.resize(kPeers);
  EngineConfig config;
  config.peers.resize(kPeers);
  PeerBook book(profile, config, reclaimer);
  for (uint32_t id = 0; id < kPeers; ++id) book.remove(PeerId{id});
  EXPECT_FALSE(book.has_free_id());
  book.release_removed();
  EXPECT_EQ(reclaimer.pending(), 1U);
  reclaimer.reclaim();
  std::set<uint32_t> ids;
  while (book.has_free_id()) ids.insert(book.add({})->value);
  EXPECT_EQ(ids.size(), kPeers);
}

TEST(PeerBookTest, NamesFollowTheirPeers) {
  const Rcu rcu = must(make_rcu(1));
  Reclaimer reclaimer(rcu.get());
  GatewayProfile profile;
  profile.peers.resize(2);
  profile.peers[0].name = "a";
  profile.peers[1].name = "b";
  EngineConfig config;
  config.peers.resize(2);
  PeerBook book(profile, config, reclaimer);
  const auto renamed = [&](size_t peer, const char* name) {
    ConfiguredPeer fresh{profile.peers[peer], std::nullopt};
    fresh.profile.name = name;
    return fresh;
  };
  EXPECT_EQ(book.named("b"), PeerId{1});
  book.update(PeerId{0}, renamed(0, "b"));
  book.update(PeerId{1}, renamed(1, "a"));
  EXPECT_EQ(book.named("a"), PeerId{1});
  EXPECT_EQ(book.named("b"), PeerId{0});
  book.remove(PeerId{0});
  EXPECT_EQ(book.named("b"), std::nullopt);
  EXPECT_EQ(book.add(renamed(0, "c")), PeerId{2});
  EXPECT_EQ(book.named("c"), PeerId{2});
}

}  // namespace
}  // namespace jvpn::test
