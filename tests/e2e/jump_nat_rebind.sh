#!/bin/bash
# A NAT on the way forgets its mapping: the client appears from another port, twice, then from another
# address. What the gateway sends to the former ones is lost. Topology: tools/lib/lab.sh; the NAT is nftables
# in the client's namespace (tools/lib/faults.sh).
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

# rebinding WHAT: the path stays on its link, and the gateway follows to the new source.
rebinding() {
  local link=$NOTED_LINK
  step "NAT rebinding of the $1 on $link"
  fault_rebind "$link" "$1"
  expect_jump 10
}

lab_with_session
note_session
since=$(now_ms)
transfer_start 36 18
rebinding port
rebinding port
rebinding address
jump_end "$since"
