#!/bin/bash
# Two gateways, the second dials the first over three ports: a port of the dialling one is pulled, then one of the
# answering one; the session jumps both times, and TCP between the two LANs lives on. Topology: tools/lib/lab.sh,
# `lab_up --site`.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

# pulled END WHOSE: the active link's cable, out of that end's port.
pulled() {
  step "$NOTED_LINK is pulled out of the port of the $2 gateway"
  fault_pull "$NOTED_LINK" "$1"
  expect_jump 10
}

lab_with_session --site
note_session
since=$(now_ms)
expect "pings pass from LAN to LAN" pings lan2 $LAB_SERVER4
expect "and back, over inner IPv6" pings lan $LAB_SITE6
transfer_start 32 16
pulled client dialling
pulled gw answering
expect "pings pass" pings lan $LAB_SITE4
jump_end "$since"
