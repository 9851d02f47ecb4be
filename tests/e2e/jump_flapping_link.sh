#!/bin/bash
# The active link goes down and up every 300 ms while the others are stable: the session leaves it at once and
# does not come back, though it is the preferred one by policy, until it has been stable for long enough.
# Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

switches() { told jvpnd '"TRANSPORT_SWITCH"'; }
back() { [[ $(active_link) == "$PREFERRED" ]]; }

# toggle LINK: its cable is pulled and plugged again and again, until lab_stop toggler.
toggle() {
  # shellcheck disable=SC2016
  lab_spawn toggler client bash -c 'while ip link set "$1" down && sleep 0.3 && ip link set "$1" up; do sleep 0.3; done' - "$1"
}

LAB_POLICY='version: 1, switching: {failback: {when_stable_ms: 3000}}'
lab_with_session
note_session
PREFERRED=$NOTED_LINK
since=$(now_ms)
transfer_start 40 40

step "$PREFERRED goes down and up every 300 ms"
toggle "$PREFERRED"
expect_jump 5
expect "for 10 s the session stays away" not wait_for 10 back
expect "one TRANSPORT_SWITCH" test "$(switches)" = 1

step "$PREFERRED stays up"
lab_stop toggler
ip -n jvpn-client link set "$PREFERRED" up
expect "the session returns" wait_for 15 back
expect_jump 5
expect "two TRANSPORT_SWITCHes" test "$(switches)" = 2
jump_end "$since"
