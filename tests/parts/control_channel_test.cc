#include "control/session/control_channel.h"

#include "tests/support/part_rig.h"

namespace jvpn {
namespace {

using ControlChannelPart = test::PartRig;

/// The peer's view of a session's keys, so that what one end seals the other opens.
void mirror(Session& session) {
  std::swap(session.current->keys.send, session.current->keys.receive);
}

TEST_F(ControlChannelPart, WhatIsSealedOpensAtTheOtherEndAlone) {
  ControlChannel channel(context);
  Session& session = attached(true);
  session.current->remote = session.current->local;
  channel.send(session, control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat));
  const auto sealed = effects.datagram(latest<Send>());
  std::vector<uint8_t> datagram(sealed.begin(), sealed.end());
  std::vector<uint8_t> again = datagram;
  EXPECT_FALSE(channel.open(again)) << "one direction's key does not open the other's";
  mirror(session);
  const auto opened = channel.open(datagram);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->plaintext.size(), sizeof(wire::Heartbeat));
  EXPECT_EQ(opened->plaintext[1], static_cast<uint8_t>(wire::ControlType::kHeartbeat));
}

TEST_F(ControlChannelPart, EachBindingCountsForItself) {
  ControlChannel channel(context);
  Session& session = attached(true);
  learn(session, 1);
  SpareBinding& spare = *session.current->spares.numbered(1);
  spare.local = *table.indices().allocate(kPeer, 0x1111'0000);
  const Path path = test::path_over(2);
  const auto counter_of_latest = [&] {
    wire::TransportHeader header;
    __builtin_memcpy(&header, effects.datagram(latest<Send>()).data(), sizeof header);
    return header.counter ^ counter_mask(context.mac, session.current->keys.send, header.type,
                                         ReceiverIndex{header.receiver});
  };
  const auto heartbeat = control_message<wire::Heartbeat>(wire::ControlType::kHeartbeat);
  channel.send(session, heartbeat);
  channel.send(session, heartbeat);
  EXPECT_EQ(counter_of_latest(), wire::make_counter(LaneId{0}, 1));
  channel.send_along(session, *session.current, {spare.local, spare.remote, path}, heartbeat);
  EXPECT_EQ(counter_of_latest(), wire::make_counter(LaneId{1}, 0));
}

}  // namespace
}  // namespace jvpn
