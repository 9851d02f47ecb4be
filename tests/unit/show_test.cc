#include "tools/jvpn/show.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/rooms.h"
#include "tools/jvpn/text_table.h"

namespace jvpn {
namespace {

const char* const kReply = R"({"node":"gw1","role":"gateway","uptime_ms":3725000,"policy_version":7,
"sessions":[{"session_id":"0123456789abcdef0123456789abcdef","peer":"laptop","state":"ATTACHED",
"state_version":3,"binding_version":1,"reason":"HANDSHAKE_OK","suite":"aes-128-gcm",
"local":"192.0.2.1:51900","remote":"192.0.2.2:40000","rx_packets":10,"tx_packets":20,"rx_bytes":999,
"tx_bytes":1536,"rekeys":2,"last_rx_ms_ago":120,"age_ms":5000}],
"terminated":[{"session_id":"fedcba9876543210fedcba9876543210","peer":"edge",
"reason":"POLICY_TERMINATION","detail":"superseded","ms_ago":61000}],
"drops":{"replayed":4,"bad_tag":0},
"ports":[{"name":"wan0","role":"outside","rx_packets":10,"tx_packets":20,"rx_missed":0}]})";

TEST(Show, PrintsAlignedTables) {
  EXPECT_EQ(render_show(nlohmann::json::parse(kReply), false),
            R"(gw1 (gateway), up 1 h 2 min, policy 7

SESSION   PEER    STATE     VERSION  LOCAL            REMOTE              RX        TX     LAST RX  REKEYS  REASON
01234567  laptop  ATTACHED        3  192.0.2.1:51900  192.0.2.2:40000  999 B  1.50 KiB  120 ms ago       2  HANDSHAKE_OK

PORT  ROLE     RX PACKETS  TX PACKETS  RX MISSED
wan0  outside          10          20          0

DROPPED   PACKETS
replayed        4

ENDED     PEER           WHEN  REASON              DETAIL
fedcba98  edge  1 min 1 s ago  POLICY_TERMINATION  superseded
)");
}

TEST(Show, ARefusedReloadStandsInRed) {
  nlohmann::json reply{{"reload",
                        {{"ms_ago", 3'000},
                         {"refused", "gw.yaml:3:4: peers: a\x1b\ngw.yaml:5:6: b"},
                         {"needs_restart", nullptr}}}};
  EXPECT_EQ(render_reload(reply, false), R"(
The reload 3 s ago was refused. No session begins until a valid profile is loaded:
gw.yaml:3:4: peers: a?
gw.yaml:5:6: b
)");
  EXPECT_TRUE(render_reload(reply, true).starts_with("\n\033[31mThe reload"));
  EXPECT_NE(render_show(reply, false).find("was refused"), std::string::npos);
  reply["reload"] = {{"refused", nullptr}, {"needs_restart", {"ports", "lanes"}}};
  EXPECT_EQ(render_reload(reply, false),
            "\nChanged in the profile, but only a restart applies it: ports, lanes\n");
  reply["reload"]["needs_restart"] = nlohmann::json::array();
  EXPECT_EQ(render_reload(reply, true), "");
  EXPECT_EQ(render_reload({{"reload", nullptr}}, true), "");
}

TEST(Show, LoggedKeysStandInRed) {
  const nlohmann::json reply{{"key_log", "/var/lib/jvpn/keys\x1b.log"}};
  EXPECT_EQ(render_key_log(reply, false),
            "\nKeys are written to /var/lib/jvpn/keys?.log: whoever reads it reads all traffic "
            "(crypto.key_log_file).\n");
  EXPECT_TRUE(render_key_log(reply, true).starts_with("\n\033[31mKeys are written"));
  EXPECT_NE(render_show(reply, false).find("Keys are written"), std::string::npos);
  for (const char* none : {R"({})", R"({"key_log":null})", R"({"key_log":7})"})
    EXPECT_EQ(render_key_log(nlohmann::json::parse(none), true), "") << none;
}

TEST(Show, TheStoreOfSessionsAndWhatItProves) {
  nlohmann::json reply{{"ownership", {{"store", "none"}}}};
  EXPECT_EQ(render_ownership(reply, true), "\nno store: sessions end when jvpnd does\n");
  nlohmann::json& store = reply["ownership"];
  store = {{"store", "embedded"},
           {"epoch", 7},
           {"sessions", 3},
           {"resumed", 2},
           {"parked", 1},
           {"waiting", 0},
           {"transactions", {{"latest", 256}, {"p50_us", 190}, {"p99_us", 1'204}}}};
  EXPECT_EQ(render_ownership(reply, true),
            "\nstore embedded, epoch 7, 3 sessions, 2 resumed, 1 parked, 0 calls wait, "
            "transactions p50 0.19 ms p99 1.20 ms\n");
  store["why"] = "disk I/O error";
  EXPECT_NE(render_ownership(reply, true)
                .find("\n\033[33mThe latest transaction wasn't carried out: disk I/O error"),
            std::string::npos);
  store = {{"store", "etcd"},
           {"epoch", 12},
           {"sessions", 3},
           {"resumed", 2},
           {"parked", 1},
           {"waiting", 4},
           {"transactions", {{"latest", 0}, {"p50_us", 0}, {"p99_us", 0}}},
           {"endpoints", {"https://10.0.0.1:2379", "https://10.0.0.2:2379"}},
           {"endpoint", "https://10.0.0.2:2379"},
           {"safe_ms", 2'890}};
  const std::string line =
      "\nstore etcd (https://10.0.0.1:2379, https://10.0.0.2:2379, asked: https://10.0.0.2:2379), "
      "epoch 12, 3 sessions, 2 resumed, 1 parked, 4 calls wait";
  EXPECT_EQ(render_ownership(reply, true), line + ", safe for 2.9 s\n");
  EXPECT_NE(render_show(reply, false).find("store etcd"), std::string::npos);
  store.erase("safe_ms");
  store["silent_ms"] = 3'200;
  store["why"] = "etcd https://10.0.0.2:2379: refused\x1b";
  EXPECT_EQ(render_ownership(reply, true),
            line +
                "\n\033[31mSilent for 3 s, no session is carried: etcd "
                "https://10.0.0.2:2379: refused?\033[0m\n");
  for (const char* wrong : {R"({})", R"({"ownership":7})", R"({"ownership":[]})"})
    EXPECT_EQ(render_ownership(nlohmann::json::parse(wrong), true), "") << wrong;
  EXPECT_NE(render_ownership({{"ownership", {{"store", 3}, {"endpoints", 4}}}}, true), "");
}

TEST(Show, PathsOfAClientAreATable) {
  const nlohmann::json reply = {
      {"paths",
       {{{"underlay", "fiber"}, {"remote", "192.0.2.1:51900"}, {"state", "active"}},
        {{"underlay", "lte"},
         {"remote", "192.0.2.1:51900"},
         {"state", "down"},
         {"why", "no carrier"}},
        7}}};
  EXPECT_NE(render_show(reply, false).find(R"(
UNDERLAY  REMOTE           STATE   WHY
fiber     192.0.2.1:51900  active
lte       192.0.2.1:51900  down    no carrier
-         -                -
)"),
            std::string::npos)
      << render_show(reply, false);
  EXPECT_NE(render_show(reply, true).find("\033[31mdown\033[0m"), std::string::npos);
}

TEST(Show, AClientTellsWhatItHasMadeOfItsHost) {
  nlohmann::json reply = {{"interface",
                           {{"name", "jvpn0"},
                            {"mtu", 1'380},
                            {"addresses", {"10.77.0.2/32", "fd77::2/128"}},
                            {"kill_switch", true},
                            {"dns", "set"}}},
                          {"sessions",
                           {{{"hold",
                              {{"packets", 12},
                               {"bytes", 3'482},
                               {"waiting", 2},
                               {"most_bytes", 4 << 20},
                               {"longest_ms", 3'000},
                               {"resent", 5}}}}}},
                          {"troubles", {"vpn.example.org: no name server\x1b", 7}}};
  EXPECT_EQ(render_host(reply, false), R"(
interface: jvpn0
  addresses:    10.77.0.2/32, fd77::2/128
  mtu:          1380
  kill switch:  on: nothing leaves but by the tunnel
  name servers: those of the tunnel
  hold:         12 packets, 3.40 KiB of 4.00 MiB, 3 s at most; 2 wait, 5 were sent again
  trouble:      vpn.example.org: no name server?
)");
  EXPECT_NE(render_show(reply, false).find("kill switch:  on"), std::string::npos);
  EXPECT_NE(render_host(reply, true).find("\033[32mon: nothing"), std::string::npos);
  reply["interface"]["kill_switch"] = false;
  reply["interface"]["dns"] = "resolvectl: no such program";
  reply["sessions"][0]["hold"]["most_bytes"] = 0;
  const std::string without = render_host(reply, false);
  for (const char* line :
       {"kill switch:  off\n", "name servers: not set: resolvectl: no such", "hold:         off\n"})
    EXPECT_NE(without.find(line), std::string::npos) << without;
  for (const char* wrong :
       {R"({})", R"({"interface":7})", R"({"interface":{"dns":3},"sessions":[7],"troubles":1})"})
    EXPECT_EQ(render_host(nlohmann::json::parse(wrong), true).find("kill"), std::string::npos)
        << wrong;
}

TEST(Show, PathsToSeveralGatewaysNameThem) {
  const nlohmann::json reply = {{"paths",
                                 {{{"underlay", "lte"},
                                   {"gateway", "berlin"},
                                   {"remote", "192.0.2.1:51900"},
                                   {"state", "candidate"}},
                                  {{"underlay", "lte"},
                                   {"gateway", "wien"},
                                   {"remote", "192.0.2.9:51900"},
                                   {"state", "active"}}}}};
  EXPECT_NE(render_show(reply, false).find(R"(
UNDERLAY  GATEWAY  REMOTE           STATE      WHY
lte       berlin   192.0.2.1:51900  candidate
lte       wien     192.0.2.9:51900  active
)"),
            std::string::npos)
      << render_show(reply, false);
}

TEST(Show, GatewaysOfAClusterTellWhoWouldAnswer) {
  const nlohmann::json reply = {{"gateways",
                                 {{{"name", "berlin"},
                                   {"state", "active"},
                                   {"underlay", "lte"},
                                   {"remote", "192.0.2.1:51900"},
                                   {"rtt_us", 12'300}},
                                  {{"name", "wien"},
                                   {"state", "warm"},
                                   {"underlay", "lte"},
                                   {"remote", "192.0.2.9:51900"},
                                   {"rtt_us", 21'000},
                                   {"answered_ms_ago", 4'200}},
                                  {{"name", "zagreb"},
                                   {"state", "unanswered"},
                                   {"underlay", "lte"},
                                   {"remote", "192.0.2.17:51900"},
                                   {"unanswered_ms", 65'000}}}}};
  EXPECT_NE(render_show(reply, false).find(R"(
GATEWAY  STATE                     UNDERLAY  REMOTE                RTT  ANSWERED
berlin   active                    lte       192.0.2.1:51900   12.3 ms         -
wien     warm                      lte       192.0.2.9:51900   21.0 ms   4 s ago
zagreb   unanswered for 1 min 5 s  lte       192.0.2.17:51900        -         -
)"),
            std::string::npos)
      << render_show(reply, false);
}

TEST(Show, ColoursStatesOnlyWhenAsked) {
  const auto reply = nlohmann::json::parse(kReply);
  EXPECT_NE(render_show(reply, true).find("\033[32mATTACHED\033[0m"), std::string::npos);
  EXPECT_EQ(render_show(reply, false).find('\033'), std::string::npos);
}

TEST(Show, EventSinksAreShownOnlyWhenOneIsIll) {
  nlohmann::json reply = {
      {"events",
       {{"written", 50},
        {"lost", 7},
        {"healthy", false},
        {"sinks",
         {{{"kind", "stdout"}, {"target", ""}, {"healthy", true}, {"written", 50}, {"lost", 0}},
          {{"kind", "unix"},
           {"target", "/run/c.sock"},
           {"healthy", false},
           {"why", "takes no more lines"},
           {"written", 43},
           {"lost", 7}}}}}}};
  EXPECT_NE(render_show(reply, false).find(R"(
EVENT SINK  TARGET       STATE      WRITTEN  LOST  WHY
stdout                   healthy         50     0
unix        /run/c.sock  unhealthy       43     7  takes no more lines
)"),
            std::string::npos)
      << render_show(reply, false);
  reply["events"]["healthy"] = true;
  EXPECT_EQ(render_show(reply, false).find("EVENT SINK"), std::string::npos);
}

TEST(Show, BearsMissingAndForeignFields) {
  for (const char* text :
       {"{}", R"({"sessions":[]})", R"({"sessions":[{}],"terminated":[{}],"ports":[{}]})",
        R"({"sessions":[7,null,"x",[]],"drops":[1],"ports":{},"terminated":"none"})",
        R"({"sessions":[{"rx_bytes":-1,"tx_bytes":"many","rekeys":[1],"session_id":5}]})",
        R"({"events":{"healthy":false}})", R"({"events":{"healthy":false,"sinks":[7,{}]}})",
        R"({"node":null,"uptime_ms":"x","drops":{"a":-5,"b":"x","c":null}})"}) {
    const std::string shown = render_show(nlohmann::json::parse(text), false);
    EXPECT_TRUE(shown.starts_with("- (-), up -, policy -")) << shown;
  }
}

TEST(Show, ForeignTextCantCommandTheTerminal) {
  const nlohmann::json reply = {{"node", "a\033[2Jb"}, {"drops", {{"x\ny", 1}}}};
  const std::string shown = render_show(reply, false);
  EXPECT_EQ(shown.find('\033'), std::string::npos);
  EXPECT_NE(shown.find("x?y"), std::string::npos);
}

TEST(TextTable, HumanBytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1'023), "1023 B");
  EXPECT_EQ(human_bytes(1'024), "1.00 KiB");
  EXPECT_EQ(human_bytes(10'240), "10.0 KiB");
  EXPECT_EQ(human_bytes(1'048'575), "1.00 MiB");
  EXPECT_EQ(human_bytes(268'435'456), "256 MiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(TextTable, HumanBitRate) {
  EXPECT_EQ(human_bit_rate(0), "0 bit/s");
  EXPECT_EQ(human_bit_rate(999), "999 bit/s");
  EXPECT_EQ(human_bit_rate(999.6), "1.00 kbit/s");
  EXPECT_EQ(human_bit_rate(12'345'678), "12.3 Mbit/s");
  EXPECT_EQ(human_bit_rate(9.4e9), "9.40 Gbit/s");
}

TEST(TextTable, HumanSpan) {
  EXPECT_EQ(human_span(999), "999 ms");
  EXPECT_EQ(human_span(59'999), "59 s");
  EXPECT_EQ(human_span(60'000), "1 min 0 s");
  EXPECT_EQ(human_span(3'600'000), "1 h 0 min");
  EXPECT_EQ(human_span(90'000'000), "1 d 1 h");
}

}  // namespace
}  // namespace jvpn
