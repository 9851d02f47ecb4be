// What jvpn peer add hands over: the bundle and the client's profile in it.
#include "tools/shared/peer_bundle.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/profile.h"
#include "tests/unit/profile_texts.h"
#include "tools/jvpn/client_profile.h"

namespace jvpn {
namespace {

constexpr std::string_view kSome = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr std::string_view kOtherKey = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";

SecretKey secret(std::string_view text) {
  return SecretKey(*key_from_base64(text));
}

TEST(PeerBundle, ReadsWhatItWrites) {
  PeerBundle bundle{"bob", secret(kSome), secret(kOtherKey), "role: client\nnode: bob\n"};
  for (const bool whole : {true, false}) {
    if (!whole) bundle.private_key.reset();
    const auto read = parse_bundle(bundle_text(bundle), "bob.jvpn");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->name, "bob");
    EXPECT_EQ(read->private_key, bundle.private_key);
    EXPECT_EQ(read->preshared_key, bundle.preshared_key);
    EXPECT_EQ(read->profile, bundle.profile);
  }
}

TEST(PeerBundle, TellsWhatIsWrongAndShowsNoKey) {
  const std::string key(kSome);
  const std::string head = "bundle: 1\nname: bob\n";
  struct Case {
    std::string text;
    std::string finding;
  };
  for (const Case& each : std::vector<Case>{
           {"", "0:1: ---: expected a line that says so, and the profile behind it, got none"},
           {key + "\n",
            "1:1: bundle: expected one of bundle, name, private_key, preshared_key, "
            "---, got something else (not shown, it may be a secret)"},
           {"bundle: 2\n",
            "1:1: bundle: expected 1, got another: use the gateway's version of jvpn"},
           {"name: bob\n---\nx", "2:1: bundle: expected bundle: 1 before the profile, got none"},
           {"bundle: 1\nname: ../bob\n",
            "2:1: name: expected a name of 1 to 63 letters, digits, '_', '-' or '.', the first no "
            "'-' or '.', got something else"},
           {head + "private_key: " + key.substr(1) + "\n",
            "3:1: private_key: expected a key of 32 bytes in base64, got something else (not "
            "shown, it may be a secret)"},
           {head + "---\n", "3:1: profile: expected a client's profile, got nothing"}}) {
    const auto read = parse_bundle(each.text, "b");
    ASSERT_FALSE(read) << each.text;
    EXPECT_EQ(read.error().message, "b:" + each.finding);
  }
}

TEST(ClientProfileText, IsAProfileButForTheWaysOut) {
  auto gateway = parse_gateway_profile(test::kGoodGateway, "gw.yaml");
  ASSERT_TRUE(gateway) << gateway.error().message;
  const PublicKey own = public_key_of(secret(kSome));
  const auto profile_of = [&] {
    return parse_client_profile(
        client_profile_text(*gateway, own, "bob", true) + "underlays: [{name: a, device: eth0}]\n",
        "bob.yaml");
  };
  auto client = profile_of();
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_EQ(client->node, "bob");
  EXPECT_EQ(client->gateway.public_key, own);
  EXPECT_EQ(client->crypto.private_key_file.path, "bob.key");
  ASSERT_TRUE(client->gateway.preshared_key_file);
  EXPECT_EQ(client->gateway.preshared_key_file->path, "bob.psk");
  EXPECT_EQ(client->gateway.endpoints, (std::vector{*Endpoint::parse("192.0.2.1:51900"),
                                                    *Endpoint::parse("[2001:db8::1]:51900")}));
  EXPECT_EQ(client->gateway.allowed_ips,
            (std::vector{*Prefix::parse("10.99.0.0/24"), *Prefix::parse("10.50.0.0/16")}));
  gateway->enrolment.endpoints = {*Endpoint::parse("198.51.100.1:443")};
  gateway->enrolment.routes = {*Prefix::parse("0.0.0.0/0")};
  client = profile_of();
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_EQ(client->gateway.endpoints, gateway->enrolment.endpoints);
  EXPECT_EQ(client->gateway.allowed_ips, gateway->enrolment.routes);
}

}  // namespace
}  // namespace jvpn
