#!/bin/bash
# An inner packet too large for the tunnel is answered with the MTU that fits: by the gateway with ICMP
# fragmentation-needed and packet-too-big towards the server, by the TUN's own MTU at the client.
# A packet of exactly that MTU passes. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 120 "$@"

# The tunnel's MTU over a 1500-byte link: 1440 over outer IPv4, 1420 over outer IPv6.
plausible() { (($1 >= 1400 && $1 <= 1440)); }

# ping_sized NAMESPACE ADDRESS PACKET_BYTES [COUNT]: one unfragmentable packet of that size, headers counted.
ping_sized() {
  local headers=28
  [[ $2 != *:* ]] || headers=48
  bounded 10 ip netns exec "jvpn-$1" ping -n -M "do" -c "${4:-1}" -i 0.2 -W 1 -s $(($3 - headers)) "$2" \
    >"$WORK/ping.txt" 2>&1
}

# told_mtu: the MTU that the last ping was told.
told_mtu() { sed -n -E 's/.*mtu[ :=]+([0-9]+).*/\1/p' "$WORK/ping.txt" | head -n 1; }

# told_by ADDRESS: a router at that address said so, not the own kernel.
told_by() { grep -qE "^From $1 .*(Frag needed|Packet too big)" "$WORK/ping.txt"; }

# gateway_answers_large TARGET ROUTER
gateway_answers_large() {
  local mtu
  in_ns lan ip route flush cache
  in_ns lan ip -6 route flush cache
  ping_sized lan "$1" 1500 2 || true
  mtu=$(told_mtu)
  expect "$1: $2 answers 1500 bytes with an MTU (${mtu:-none})" told_by "$2"
  expect "$1: the MTU is plausible" plausible "${mtu:-0}"
  expect "$1: a packet of that size passes" ping_sized lan "$1" "${mtu:-1500}"
  expect "$1: one byte more does not" not ping_sized lan "$1" $((${mtu:-0} + 1))
}

# client_answers_large TARGET
client_answers_large() {
  local mtu
  ping_sized client "$1" 1500 || true
  mtu=$(told_mtu)
  expect "$1: the client's kernel is told an MTU (${mtu:-none})" plausible "${mtu:-0}"
  expect "$1: a packet of that size passes" ping_sized client "$1" "${mtu:-1500}"
  expect "$1: one byte more does not" not ping_sized client "$1" $((${mtu:-0} + 1))
}

lab_with_session
step "From the server towards the client"
gateway_answers_large $LAB_CLIENT4 10.99.0.1
gateway_answers_large $LAB_CLIENT6 fd99::1
step "From the client towards the server"
client_answers_large $LAB_SERVER4
client_answers_large $LAB_SERVER6
e2e_end
