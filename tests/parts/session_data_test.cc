// The peer table on its own: peers by key and index, and the ended sessions.
#include "control/session/peer_table.h"
#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using SessionData = test::PartRig;

TEST_F(SessionData, KeysAreOfOnePeerEach) {
  ASSERT_TRUE(table.add_keys(config.peers, PublicKey{}).ok());
  EXPECT_EQ(table.peer_with(config.peers[1].public_key), PeerId{1});
  EXPECT_EQ(table.peer_with(PublicKey{}), std::nullopt);
  PeerTable twice(2, 8);
  config.peers[1].public_key = config.peers[0].public_key;
  EXPECT_FALSE(twice.add_keys(config.peers, PublicKey{}).ok());
}

TEST_F(SessionData, AnIndexNamesItsSessionKeysAndSpare) {
  Session& session = attached(true);
  learn(session, 2);
  SpareBinding& spare = *session.current->spares.numbered(2);
  spare.local = *table.indices().allocate(kPeer, 0x4321'0000);
  const Keyed active = table.find(session.current->local);
  EXPECT_EQ(active.session, &session);
  EXPECT_EQ(active.spare, nullptr);
  EXPECT_EQ(table.find(spare.local).spare, &spare);
  EXPECT_EQ(table.find(ReceiverIndex{99}).session, nullptr);
  EXPECT_EQ(PeerTable::indices_alive(table.peer(kPeer)), 2U);
}

TEST_F(SessionData, RemembersTheLatestEndedSessionsOnly) {
  for (uint32_t i = 0; i < 300; ++i) {
    SessionId id;
    __builtin_memcpy(id.bytes.data(), &i, sizeof i);
    table.remember({id, kPeer, Reason::kPolicyTermination, Detail::kNone, now});
  }
  EXPECT_EQ(table.tombstones().size(), 256U);
  EXPECT_FALSE(table.remembers(SessionId{}));
  EXPECT_TRUE(table.remembers(table.tombstones().back().id));
}

}  // namespace
}  // namespace jvpn
