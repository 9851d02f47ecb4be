#!/bin/bash
# The gateway commits a jump, but its first acknowledgements are lost: the client repeats its request and gets the
# same answer, without a second commit. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

LOST=3  # acknowledgements; less than the client waits for on one candidate

# UDP length of REATTACH_ACK: UDP header, JVP/1 header, message, tag (common/wire.h).
ACK=$((8 + 16 + 64 + 16))

# lose_acks LINK: of the control messages (type 5) of that size that come by LINK the first are dropped. quota
# counts bytes from the IPv4 header on.
lose_acks() {
  in_ns client nft -f - <<RULES
table netdev jvpn_lost_ack {
  chain $1 {
    type filter hook ingress device $1 priority 0
    meta protocol ip udp length $ACK @th,64,8 5 quota until $(((ACK + 20) * LOST + 1)) bytes counter drop
  }
}
RULES
}

acks_lost() { in_ns client nft list table netdev jvpn_lost_ack | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }

same_version() {
  local version
  version=$(session_field "$GATEWAY_SOCKET" binding_version) &&
    [[ $version == "$(session_field "$CLIENT_SOCKET" binding_version)" ]]
}

lab_with_session
note_session
since=$(now_ms)
transfer_start 24 12

step "$NOTED_LINK becomes a black hole; the first $LOST acknowledgements by wan1 are lost"
lose_acks wan1
fault_cut "$NOTED_LINK" silent
expect_jump 10
expect "$LOST acknowledgements were lost (got $(acks_lost))" test "$(acks_lost)" = $LOST
expect "the jump went to wan1" test "$(active_link)" = wan1
expect "one TRANSPORT_SWITCH at the gateway" test "$(told jvpnd '"TRANSPORT_SWITCH"')" = 1
expect "one TRANSPORT_SWITCH at the client" test "$(told jvpn-client '"TRANSPORT_SWITCH"')" = 1
expect "the same binding_version at both ends" wait_for 2 same_version
jump_end "$since"
