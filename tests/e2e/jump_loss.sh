#!/bin/bash
# The active link loses 30 % of its packets in each direction: the session leaves it, and TCP lives on. The
# links are emulated so that each packet has its own fate. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
note_session
since=$(now_ms)
transfer_start 24 12

step "30 % loss on $NOTED_LINK"
fault_loss "$NOTED_LINK" 30
expect_jump 60  # a bound: TCP may be silent for long meanwhile, and then only heartbeats tell of the loss
jump_end "$since"
