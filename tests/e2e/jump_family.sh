#!/bin/bash
# One link, endpoints of both families: when its IPv4 is cut the session goes on over its IPv6, and the other way
# round. Topology: tools/lib/lab.sh; only wan0 reaches the two endpoints.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

# family_cut FAMILY PATTERN: that family of wan0 becomes a black hole; the gateway then sends to a remote like PATTERN.
family_cut() {
  step "$1 on wan0 becomes a black hole"
  fault_cut wan0 "$1"
  expect_jump 10
  expect "wan0 still carries the session" test "$(active_link)" = wan0
  expect "by the other family" sends_to "$2"
  fault_heal wan0
}
# shellcheck disable=SC2053  # a pattern
sends_to() { [[ $(session_field "$GATEWAY_SOCKET" remote) == $1 ]]; }

LAB_ENDPOINTS="\"192.0.2.1:$LAB_PORT\", \"[2001:db8::1]:$LAB_PORT\""
lab_with_session
note_session
since=$(now_ms)
transfer_start 32 16
expect "the session begins over IPv4" sends_to '192.0.2.2:*'
family_cut ipv4 '\[2001:db8::2]:*'
family_cut ipv6 '192.0.2.2:*'
jump_end "$since"
